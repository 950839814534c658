"""What a server must still know after any end: a client's own account of what it sent and was promised.

    intent ──► (own file, synced) ──► request ──► 2xx ──► promise ──► (own file, synced)

`Account` is that file. It lives beside the server's directory, never in it, so it survives what the server
does not. Every lane (a source) numbers its events from 0 without a hole, so a lane's whole content is three
numbers: how many, the sum, the sum of squares. A batch whose answer never came is *open*: the next look at the
server settles it, for ever. It may be there whole or not at all (a JSON batch), or up to any line (NDJSON).

`look` compares: promised ⊆ there ⊆ sent, each once. What was seen once must be seen always.
"""
import contextlib
import http.client
import json
import os
import random
import threading
import time

from .events import event
from .feeder import BATCH, LINES

METRIC = ("CREATE METRIC kept AS SELECT source AS lane, count(*) AS n, sum(data.n) AS total, sum(data.q) AS squares "
          "FROM TUMBLE(events, time, INTERVAL '1 day') WHERE source LIKE '/lane/%' GROUP BY source")
REFUSED = (429, 503, 507)


class Batch:
    def __init__(self, first, count, lines):
        self.first = first
        self.count = count
        self.lines = lines  # NDJSON: a beginning of it may be there

    def sums(self, count=None):
        """(how many, sum, sum of squares) of its first `count` events."""
        count = self.count if count is None else count

        def below(n):
            return n, n * (n - 1) // 2, (n - 1) * n * (2 * n - 1) // 6
        upper, lower = below(self.first + count), below(self.first)
        return tuple(a - b for a, b in zip(upper, lower))


class Lane:
    def __init__(self, name):
        self.name = name
        self.next = 0
        self.there = (0, 0, 0)  # what must be there, and nothing else but `open`
        self.open = None
        self.promised = 0
        self.lines_sent_again = False  # after a refusal: pieces of them may be in the log twice

    def add(self, sums):
        self.there = tuple(a + b for a, b in zip(self.there, sums))

    def possible(self):
        """Each content that this lane may have now, with what of the open batch is in it."""
        if self.open is None:
            return {self.there: (0, 0, 0)}
        counts = range(self.open.count + 1) if self.open.lines else (0, self.open.count)
        parts = [self.open.sums(n) for n in counts]
        return {tuple(a + b for a, b in zip(self.there, part)): part for part in parts}

    def gap(self, found):
        """What of the open lines is there, when a piece of them was refused and the next was not: a disk that was
        full healed in between. None: that can't be either."""
        if self.open is None or not self.open.lines:
            return None
        parts = [self.open.sums(n) for n in range(self.open.count + 1)]
        wanted = tuple(a - b for a, b in zip(found, self.there))
        for first, before in enumerate(parts):
            for after in parts[first:]:
                part = tuple(whole - b + a for whole, b, a in zip(parts[-1], after, before))
                if part == wanted:
                    return part
        return None


class Account:
    """All lanes, and the file that says the same."""

    def __init__(self, path):
        self.path = path
        self.lanes = {}
        self._lock = threading.Lock()
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def close(self):
        os.close(self._fd)

    def _write(self, **entry):
        data = (json.dumps(entry) + "\n").encode()
        if os.write(self._fd, data) != len(data):
            raise AssertionError(f"{self.path} is full: the test has no account any more")
        os.fdatasync(self._fd)

    def lane(self, name):
        with self._lock:
            return self.lanes.setdefault(name, Lane(name))

    def intend(self, lane, batch):
        with self._lock:
            if lane.open is not None:
                raise AssertionError(f"{lane.name}: two batches on their way")
            self._write(what="sent", lane=lane.name, first=batch.first, count=batch.count, lines=batch.lines)
            lane.open = batch
            lane.next = batch.first + batch.count

    def promise(self, lane):
        with self._lock:
            self._write(what="promised", lane=lane.name, first=lane.open.first)
            lane.add(lane.open.sums())
            lane.promised += lane.open.count
            lane.open = None

    def settle(self, lane, part):
        """Of the open batch this was found; it is never sent again."""
        with self._lock:
            self._write(what="settled", lane=lane.name, first=lane.open.first, found=part)
            lane.add(part)
            lane.open = None

    def promised(self):
        return sum(lane.promised for lane in self.lanes.values())

    def sent(self):
        return sum(lane.next for lane in self.lanes.values())

    @staticmethod
    def read(path):
        """The account that the file tells."""
        account = Account.__new__(Account)
        account.path, account.lanes = path, {}
        with open(path, encoding="utf-8") as text:
            for line in text:
                entry = json.loads(line)
                lane = account.lanes.setdefault(entry["lane"], Lane(entry["lane"]))
                if entry["what"] == "sent":
                    lane.open = Batch(entry["first"], entry["count"], entry["lines"])
                    lane.next = entry["first"] + entry["count"]
                    continue
                lane.promised += lane.open.count if entry["what"] == "promised" else 0
                lane.add(lane.open.sums() if entry["what"] == "promised" else entry["found"])
                lane.open = None
        return account

    # Looking at a server.

    def prepare(self, server):
        """What the looks need; harmless when it is there already."""
        server.put_source("/hold", watermark="explicit", idle_after="P1D")  # keeps every window open
        server.sql(METRIC)

    def look(self, case, server, note=""):
        """Promised ⊆ there ⊆ sent, each once, by the metric; the open batches are settled."""
        reply = server.send([event(source="/nudge")], "applied")  # its answer is behind all that came before
        if reply.status == 507:
            reply = None  # a full disk takes nothing, and reads go on
        else:
            case.assertEqual(200, reply.status, repr(reply))
        rows = {r["lane"]: (r["n"], r["total"], r["squares"]) for r in server.values("kept")}
        written = Account.read(self.path)
        for name, lane in sorted(self.lanes.items()):
            case.assertEqual(lane.there, written.lanes[name].there if name in written.lanes else (0, 0, 0),
                             "the account's file says something else")
            possible = lane.possible()
            found = rows.get(name, (0, 0, 0))
            part = possible.get(found) or lane.gap(found)
            if part is None:
                case.fail(f"{note} {name}: {found} is there; {lane.there} must be, and of {lane.open and vars(lane.open)} "
                          "some may be")
            if lane.open is not None:
                self.settle(lane, part)
        case.assertEqual(set(), set(rows) - set(self.lanes), "lanes that were never sent")

    def read_back(self, case, server):
        """The events themselves, as they are read back from the log: each once, unless it was sent again because
        a piece of its lines was refused. Needs a log that was not trimmed."""
        for name, lane in sorted(self.lanes.items()):
            numbers = [e["data"]["n"] for e in server.walk("/v1/events", source=name, limit=1000)]
            once = set(numbers)
            if not lane.lines_sent_again:
                case.assertEqual(len(numbers), len(once), f"{name}: read back twice")
            case.assertEqual(lane.there, (len(once), sum(once), sum(n * n for n in once)), name)


class Client(threading.Thread):
    """Sends batches on one lane until it is told to stop, or until an answer stays out."""

    def __init__(self, account, port, number, seed, sizes=(1, 3, 40, 400), pad_bytes=300):
        super().__init__(daemon=True)
        self.account = account
        self.lane = account.lane(f"/lane/{number}")
        self.port = port
        self.draw = random.Random(f"{seed}-{number}")
        self.sizes = sizes
        self.pad_bytes = pad_bytes
        self.stop = threading.Event()
        self.wrong = []
        self.refused = 0
        self.answered = 0

    def body(self, batch):
        pad = "x" * self.draw.randrange(self.pad_bytes)
        made = [json.dumps(event(source=self.lane.name, id=f"n{n}", data={"n": n, "q": n * n, "pad": pad}))
                for n in range(batch.first, batch.first + batch.count)]
        return "".join(m + "\n" for m in made) if batch.lines else "[" + ",".join(made) + "]"

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            while not self.stop.is_set():
                batch = Batch(self.lane.next, self.draw.choice(self.sizes), self.draw.random() < 0.3)
                body = self.body(batch)
                self.account.intend(self.lane, batch)
                if not self._send(connection, batch, body):
                    return

    def _send(self, connection, batch, body):
        """False when the answer stayed out: what became of the batch is unknown."""
        while True:
            try:
                connection.request("POST", "/v1/events", body.encode(),
                                   {"Content-Type": LINES if batch.lines else BATCH})
                reply = connection.getresponse()
                text = reply.read()
            except (OSError, http.client.HTTPException):
                return False
            if reply.status == 200 and json.loads(text)["accepted"] == batch.count:
                self.account.promise(self.lane)
                self.answered += 1
                return True
            if reply.status not in REFUSED:
                self.wrong.append((reply.status, text[:300]))
                return False
            self.refused += 1
            self.lane.lines_sent_again |= batch.lines
            if self.stop.wait(0.05):
                return False


class Load:
    """Some clients at once; `heavy` of them send so much that the log goes from segment to segment."""

    def __init__(self, account, server, seed, clients=3, heavy=0):
        self.clients = [Client(account, server.port, n, seed) for n in range(clients)]
        self.clients += [Client(account, server.port, clients + n, seed, (300,), 14000) for n in range(heavy)]

    def __enter__(self):
        for c in self.clients:
            c.start()
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        for c in self.clients:
            c.stop.set()
        for c in self.clients:
            c.join(90)
            if c.is_alive():
                raise AssertionError(f"{c.lane.name}: an answer has been out for 90 s")

    def wrong(self):
        return [w for c in self.clients for w in c.wrong][:3]

    def wait_for_answers(self, count=1, seconds=30):
        """Until every client has had so many."""
        deadline = time.monotonic() + seconds
        while any(c.answered < count and c.is_alive() for c in self.clients) and time.monotonic() < deadline:
            time.sleep(0.005)

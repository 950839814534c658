#!/usr/bin/env python3
"""A 2xx means durable: kills, restarts, and a client that keeps count of what it was promised."""
import contextlib
import http.client
import json
import os
import random
import socket
import threading
import time
import unittest

from support import cases
from support.events import event, ndjson
from support.feeder import BATCH, LINES
from support.replay import check_replays, snapshots
from support.server import Server

SEED = int(os.environ.get("SEED", "7"))


class Client(threading.Thread):
    """Sends batches with a connection of its own, again and again until each is acknowledged."""

    def __init__(self, harness, number):
        super().__init__(daemon=True)
        self.harness = harness
        self.number = number
        self.draw = random.Random(SEED * 1000 + number)
        self.sent = 0
        self.acknowledged = set()
        self.retries = 0
        self.wrong = []
        self.ids = 0

    def batch(self):
        made = []
        for _ in range(self.draw.choice((1, 3, 40, 400))):
            made.append(event("2020-01-01T00:00:00Z", f"kind{self.ids % 5}", f"/client/{self.number}",
                              f"{self.number}-{self.ids}", data={"n": self.ids, "pad": "x" * self.draw.randrange(300)}))
            self.ids += 1
        return made

    def run(self):
        while not self.harness.stop.is_set():
            made = self.batch()
            lines = self.draw.random() < 0.3
            body = ndjson(made) if lines else json.dumps(made).encode()
            while True:
                try:
                    mine = http.client.HTTPConnection("127.0.0.1", self.harness.server.port, timeout=30)
                    with contextlib.closing(mine):
                        mine.request("POST", "/v1/events", body, {"Content-Type": LINES if lines else BATCH})
                        reply = mine.getresponse()
                        text = reply.read()
                except (OSError, http.client.HTTPException):
                    self.retries += 1
                    time.sleep(0.02)
                    continue
                if reply.status == 200:
                    if json.loads(text)["accepted"] != len(made):
                        self.wrong.append(text[:300])
                    self.acknowledged.update(e["id"] for e in made)
                    break
                if reply.status not in (429, 503):
                    self.wrong.append((reply.status, text[:300]))
                    return
                self.retries += 1
                time.sleep(0.02)


class Kills(unittest.TestCase):
    def setUp(self):
        print(f"seed {SEED}; again by: SEED={SEED} python3 tests/e2e/durability_test.py", flush=True)
        self.stop = threading.Event()

    def start(self, partitions=4, threads=2, arguments=()):
        self.server = Server(partitions, threads, arguments=arguments)
        self.addCleanup(self.server.discard)
        self.server.start()
        self.server.put_source("/hold", watermark="explicit", idle_after="P1D")
        self.server.sql("CREATE METRIC kept AS SELECT source AS lane, count(*) AS n, sum(data.n) AS total "
                        "FROM TUMBLE(events, time, INTERVAL '1 day') WHERE source LIKE '/client/%' GROUP BY source")

    def check_all_there_once(self, clients):
        self.assertEqual([], [w for c in clients for w in c.wrong][:3])
        self.server.send([event(source="/nudge")], "applied")  # its token is behind all the others'
        rows = {r["lane"]: (r["n"], r["total"]) for r in self.server.values("kept")}
        for c in clients:
            self.assertEqual(c.ids, len(c.acknowledged))
            n = c.ids
            if n:
                self.assertEqual((n, n * (n - 1) // 2), rows.get(f"/client/{c.number}"), f"client {c.number}")
            stored = [e["id"] for e in self.server.walk("/v1/events", source=f"/client/{c.number}", limit=1000)]
            self.assertEqual(c.acknowledged, set(stored))

    def check_what_was_promised(self, clients, least):
        """Right after a start: what was acknowledged before is there."""
        self.server.send([event(source="/nudge")], "applied")  # its token is behind all that
        rows = {r["lane"]: r["n"] for r in self.server.values("kept")}
        for c, n in zip(clients, least):
            self.assertGreaterEqual(rows.get(f"/client/{c.number}", 0), n)

    def interrupt(self, ends):
        clients = [Client(self, k) for k in range(3)]
        for c in clients:
            c.start()
        draw = random.Random(SEED)
        seconds = []
        try:
            for end in ends:
                time.sleep(draw.uniform(0.05, 0.5))
                least = [len(c.acknowledged) for c in clients]
                end()
                self.server.start()
                seconds.append(self.server.ready_seconds)
                self.check_what_was_promised(clients, least)
            time.sleep(0.2)
        finally:
            self.stop.set()
            for c in clients:
                c.join(60)
        sent = sum(c.ids for c in clients)
        print(f"{sent} events, {sum(c.retries for c in clients)} retries, ready again after "
              f"{min(seconds) * 1000:.0f} to {max(seconds) * 1000:.0f} ms", flush=True)
        self.assertGreater(sent, 0)
        self.check_all_there_once(clients)
        return clients

    def test_kills_with_sixteen_partitions_and_one_thread(self):
        self.start(16, 1)
        self.interrupt([self.server.kill9] * 4)

    def test_kills_while_snapshots_are_taken_all_the_time(self):
        self.start(4, 2, ["--snapshot-every", "1M"])
        clients = self.interrupt([self.server.kill9] * 6)
        self.server.kill9()
        self.server.start()
        self.check_all_there_once(clients)
        self.assertEqual(0, self.server.stop())
        self.assertTrue(snapshots(self.server.data))
        check_replays(self, self.server.data)

    def test_a_stream_of_lines_that_stays_open_does_not_keep_it_from_ending(self):
        self.start()
        made = [event(source="/client/8", id=f"o{k}", data={"n": 0}) for k in range(10)]
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as s:
            body = ndjson(made)
            s.sendall((f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{self.server.port}\r\nContent-Type: {LINES}\r\n"
                       "Transfer-Encoding: chunked\r\n\r\n").encode() + b"%x\r\n%s\r\n" % (len(body), body))
            time.sleep(0.2)
            began = time.monotonic()
            self.assertEqual(0, self.server.stop())
            self.assertLess(time.monotonic() - began, 12)
        self.server.start()
        self.assertEqual(10, len(self.server.walk("/v1/events", source="/client/8")))

    def test_sigterm_and_kill_by_turns(self):
        self.start(1, 2)

        def term():
            self.assertEqual(0, self.server.stop(), self.server.output()[-1000:])
        self.interrupt([term, self.server.kill9, term, self.server.kill9, term])

    def test_what_was_acknowledged_just_before_a_kill_is_seen_without_another_event(self):
        self.start()
        for k in range(15):
            self.assertEqual(200, self.server.send([event(source="/client/7", data={"n": 0})]).status)
            self.server.kill9()
            self.server.start()
            deadline = time.monotonic() + 5
            while (found := sum(r["n"] for r in self.server.values("kept", min_as_of=self.server.as_of))) != k + 1:
                self.assertLess(time.monotonic(), deadline, f"{found} of {k + 1}")
                time.sleep(0.02)

    def test_definitions_and_sources_are_durable_when_answered(self):
        self.start()
        for k in range(8):
            self.server.sql(f"CREATE METRIC m{k} AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 hour')")
            self.server.put_source(f"/s{k}", disorder=f"PT{k}S")
            self.server.kill9()
            self.server.start()
            self.assertEqual(200, self.server.request("GET", f"/v1/metrics/m{k}").status)
            self.assertIn(f"/s{k}", [s["name"] for s in self.server.walk("/v1/sources")])
            self.server.sql(f"CREATE METRIC m{k} AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 hour')")
        self.server.sql("DROP METRIC m0")
        self.server.kill9()
        self.server.start()
        self.assertEqual(404, self.server.request("GET", "/v1/metrics/m0").status)

    def test_sigterm_answers_what_is_on_its_way(self):
        self.start()
        results = []

        def send(k):
            mine = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
            made = [event(source="/client/9", id=f"t{k}-{i}", data={"n": 0}) for i in range(2000)]
            try:
                mine.request("POST", "/v1/events", json.dumps(made), {"Content-Type": BATCH})
                reply = mine.getresponse()
                reply.read()
                results.append((k, reply.status))
            except (OSError, http.client.HTTPException) as error:
                results.append((k, repr(error)))
            mine.close()
        senders = [threading.Thread(target=send, args=(k,)) for k in range(8)]
        for s in senders:
            s.start()
        time.sleep(0.05)
        began = time.monotonic()
        self.assertEqual(0, self.server.stop())
        self.assertLess(time.monotonic() - began, 12)
        for s in senders:
            s.join()
        taken = [k for k, status in results if status == 200]
        self.server.start()
        stored = {e["id"] for e in self.server.walk("/v1/events", source="/client/9", limit=1000)}
        for k in taken:
            self.assertTrue({f"t{k}-{i}" for i in range(2000)} <= stored, f"batch {k} was acknowledged")

    def test_an_idle_server_ends_quickly_and_starts_quickly(self):
        self.start()
        began = time.monotonic()
        self.assertEqual(0, self.server.stop())
        stopped = time.monotonic() - began
        self.server.start()
        print(f"ended after {stopped * 1000:.0f} ms, ready after {self.server.ready_seconds * 1000:.0f} ms", flush=True)
        self.assertLess(stopped, 12)


if __name__ == "__main__":
    cases.main()

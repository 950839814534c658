#!/usr/bin/env python3
"""A process that ends at any of its steps: what was acknowledged is there, once, after the next start.

Every point of failpoint.def is reached by a load, at its n-th passing, and the process ends there by
SIGKILL. Then it is started again, on the same directory, without the point. A point that no load
reaches fails: the list is alive.

    load     events and definitions, small segments, snapshots and retention all the time
    start    a directory in some state; n starts that end at the point, one after the other
    idle     pauses in which the log is sealed
    stop     SIGTERM
"""
import concurrent.futures
import glob
import http.client
import os
import re
import signal
import time
import unittest

from support import cases
from support.events import event
from support.hostile import HostileServer, need_build
from support.replay import digest, snapshots
from support.server import ROOT, Died, run

LONG = os.environ.get("TIDEMARK_LONG") == "1"
NTHS = (1, 2, 3, 5, 10) if LONG else (1, 3)
ONLY = os.environ.get("POINT")  # NAME, or NAME:n
AT_A_TIME = 2
SEGMENT = 256 * 1024
BLOCK = 4096
EVENTS = 20  # of a batch, of about 30 KB together
PAD = "x" * 1400
BATCHES_MAX = 160
BATCHES_A_METRIC = 6
BATCHES_AFTER = 12
SMALL = {"TIDEMARK_HOSTILE_SEGMENT_BYTES": str(SEGMENT), "TIDEMARK_HOSTILE_SNAPSHOT_BYTES": str(SEGMENT),
         "TIDEMARK_HOSTILE_RETAIN_BYTES": str(2 * SEGMENT)}
UNTRIMMED = {"TIDEMARK_HOSTILE_SEGMENT_BYTES": str(SEGMENT)}
POINTS = re.findall(r"^POINT\((\w+),", (ROOT / "src/base/failpoint.def").read_text(encoding="utf-8"), re.MULTILINE)


class Load:
    """One client: sends batch after batch and keeps count of what it was promised."""

    def __init__(self, server):
        self.server = server
        self.prepared = False
        self.acknowledged = []
        self.unknown = None  # the batch whose answer never came
        self.metrics = set()
        self.next = 0

    @staticmethod
    def batch(k):
        return [event(f"2020-01-01T{k % 24:02}:00:00Z", source="/client", id=f"{k}-{i}", data={"k": k, "n": i, "pad": PAD})
                for i in range(EVENTS)]

    def send(self, k):
        self.unknown = k
        reply = self.server.send(self.batch(k))
        if reply.status != 200 or reply.json["accepted"] != EVENTS:
            raise AssertionError(f"batch {k}: {reply}")
        self.unknown = None
        if k not in self.acknowledged:
            self.acknowledged.append(k)

    def define(self, name, what):
        self.server.sql(f"CREATE METRIC IF NOT EXISTS {name} AS SELECT {what}")
        self.metrics.add(name)

    def prepare(self):
        self.server.put_source("/hold", watermark="explicit", idle_after="P1D")
        self.define("kept", "data.k AS k, count(*) AS n, sum(data.n) AS total "
                            "FROM TUMBLE(events, time, INTERVAL '1 day') WHERE source = '/client' GROUP BY data.k")
        self.prepared = True

    def step(self):
        if not self.prepared:
            self.prepare()
        k = self.next
        self.next += 1
        self.send(k)
        if k % BATCHES_A_METRIC == 0:
            self.define(f"m{k}", "count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 hour')")

    def steps(self, count):
        for _ in range(count):
            self.step()

    def rows(self):
        return {r["k"]: (r["n"], r["total"]) for r in self.server.values("kept")}

    def check_promises(self):
        """Right after the start: what was acknowledged is there, once, and what was not is whole or absent."""
        there = {m["name"] for m in self.server.walk("/v1/metrics")}
        if not self.metrics <= there:
            raise AssertionError(f"definitions are gone: {sorted(self.metrics - there)}")
        if "kept" not in there:
            return
        whole = (EVENTS, EVENTS * (EVENTS - 1) // 2)
        promised = {k: whole for k in self.acknowledged}
        rows = self.rows()
        if self.unknown in rows:
            promised[self.unknown] = whole
        if rows != promised:
            wrong = {k: (promised.get(k), rows.get(k)) for k in {*rows, *promised} if promised.get(k) != rows.get(k)}
            raise AssertionError(f"promised and there, of {len(rows)} batches: {wrong}")

    def go_on(self):
        """Sends again what was left open, and one that was not; all is there once."""
        if not self.prepared:
            self.prepare()
        again = {self.unknown, *self.acknowledged[-1:]} - {None}
        for k in again:
            self.send(k)
        self.steps(3)
        self.check_promises()
        if self.acknowledged != sorted(set(self.acknowledged)) or len(self.acknowledged) != self.next:
            raise AssertionError(f"{self.next} batches were sent, acknowledged are {self.acknowledged}")


class Crash:
    """One point, one n: a directory, a load, the end, the start after it."""

    def __init__(self, point, nth, ending="kill", settings=SMALL):
        self.point = point
        self.nth = nth
        self.ending = ending
        self.settings = settings
        self.server = HostileServer(2, 2, arguments=["--memory", "256M"])
        self.load = Load(self.server)
        self.ended_as = None

    def start(self, point=None, settings=None):
        self.server.environment = {**self.server.environment, "TIDEMARK_FAILPOINT": point or "", **(settings or self.settings)}
        for name in SMALL:
            if name not in (settings or self.settings):
                self.server.environment.pop(name, None)
        self.server.start()

    def arm(self, settings=None):
        """Starts it with the point; a load may find it dead already."""
        self.start(f"{self.point}:{self.nth}:{self.ending}", settings)

    def hits(self, point=None):
        said = self.server.output() if os.path.exists(self.server.output_path) else ""
        return said.count(f"failpoint {point or self.point}\n")

    def until_dead(self, act, point=None):
        """Acts until the process ended. True when it ended at the point, and by it."""
        before = self.hits(point)
        try:
            act()
        except (Died, OSError, http.client.HTTPException, AttributeError):  # closed under its hands
            self.server.close()
            self.ended_as = self.server.process.wait(30)
            if self.hits(point) == before:
                raise AssertionError(f"it ended by itself, as {self.ended_as}: {self.server.output()[-1500:]}") from None
            return True
        return False

    def segments(self):
        return sorted(glob.glob(os.path.join(self.server.data, "log", "*.log")))

    # The loads.

    def load_until_hit(self):
        self.arm()
        while self.load.next < BATCHES_MAX:
            self.load.step()
            if self.hits():  # a forked copy ended: its parent goes on as if nothing had been
                self.load.steps(BATCHES_AFTER)
                self.server.kill9()
                return

    def run_load(self):
        if self.until_dead(self.load_until_hit):
            return 1
        return min(self.hits(), 1)

    def run_idle(self):
        def act():
            self.arm()
            for _ in range(2 * self.nth + 2):
                self.load.step()
                time.sleep(0.35)
        return int(self.until_dead(act))

    def run_stop(self):
        """n times in a row: started, loaded, and ended at the point by SIGTERM."""
        reached = 0
        for _ in range(self.nth):
            self.start(f"{self.point}:1:{self.ending}")
            self.load.steps(2)
            code = self.server.stop()
            there = self.hits() == reached + 1  # not at the very end of a segment: no room for the seal
            if code != (-signal.SIGKILL if there else 0):
                raise AssertionError(f"exit code {code} after SIGTERM: {self.server.output()[-1500:]}")
            reached += there
        return reached

    def run_starts(self, prepare):
        """n times in a row: a start that ends at the point; once the point is behind, a whole one."""
        prepare(self)
        reached = 0
        while reached < self.nth and self.until_dead(lambda: self.start(f"{self.point}:1:{self.ending}")):
            reached += 1
        self.server.kill9()
        return reached

    # States of a directory.

    def fresh(self):
        pass

    def killed(self):
        self.start()
        self.load.steps(10)
        self.server.kill9()

    def torn(self):
        """Something that is no frame stands where the next would."""
        self.start(settings=UNTRIMMED)
        self.load.steps(3)
        self.server.kill9()
        self.scribble(None)

    def unsealed(self):
        """The next segment is there, but the one before does not say that it continues."""
        def act():
            self.start("LOG_SEGMENT_SYNCED:2", UNTRIMMED)
            self.load.steps(30)
        if not self.until_dead(act, "LOG_SEGMENT_SYNCED"):
            raise AssertionError("a second segment was never begun")

    def scribbled(self):
        self.unsealed()
        self.scribble(2 * BLOCK)

    def scribble(self, offset):
        """Writes two blocks into the newest segment, at its end when no offset is given."""
        with open(self.segments()[-1], "r+b") as file:
            if offset is None:
                content = file.read().rstrip(b"\0")
                offset = (len(content) + BLOCK - 1) // BLOCK * BLOCK
            file.seek(offset)
            file.write(bytes(range(1, 256)) * 32)

    def other_size(self):
        """Enough segments of another size than is set later, which can't be used again."""
        self.start(settings={"TIDEMARK_HOSTILE_SEGMENT_BYTES": str(SEGMENT * 3 // 4)})
        self.load.steps(6 * self.nth + 30)
        if self.server.stop() != 0:
            raise AssertionError(self.server.output()[-1500:])

    # What is checked after each.

    def untrimmed(self):
        """Whether the log reaches back to its beginning."""
        return int(os.path.basename(self.segments()[0]).split(".")[0]) == 0

    def temporaries(self):
        """(path, last change) of each: a name may be used again at any time."""
        found = set()
        for path in glob.glob(os.path.join(self.server.data, "**", "*.tmp"), recursive=True):
            try:
                found.add((path, os.stat(path).st_ctime_ns))
            except FileNotFoundError:
                pass  # a running server renamed it meanwhile
        return found

    def check(self):
        before = self.temporaries()
        self.start()
        left = before & self.temporaries()  # it may be writing some of its own already
        self.load.check_promises()
        self.load.go_on()
        if self.server.stop() != 0:
            raise AssertionError(f"not stopped well: {self.server.output()[-1500:]}")
        left |= self.temporaries()
        if left:
            raise AssertionError(f"temporary files are left: {sorted(left)}")
        done = run(["log", "verify", self.server.data])
        if done.returncode != 0:
            raise AssertionError(f"log verify: exit {done.returncode}: {done.stdout}{done.stderr}")
        if LONG and self.untrimmed() and snapshots(self.server.data):
            digests = {digest(self.server.data), digest(self.server.data, "--from-snapshot")}
            if len(digests) != 1:
                raise AssertionError(f"replayed from the beginning and from a snapshot: {digests}")


STARTS = {
    "GENESIS_WRITTEN": Crash.fresh, "GENESIS_RENAMED": Crash.fresh, "GENESIS_SYNCED": Crash.fresh,
    "RECOVERY_LISTED": Crash.killed, "RECOVERY_WALKED": Crash.killed, "RECOVERY_BEFORE_ASIDE": Crash.killed,
    "RECOVERY_AFTER_ASIDE": Crash.torn, "RECOVERY_BEFORE_WITNESS": Crash.torn,
    "LOG_TORN_COPIED": Crash.torn, "LOG_TORN_RENAMED": Crash.torn, "LOG_SEGMENT_SHORTENED": Crash.torn,
    "LOG_SEGMENT_DISCARDED": Crash.unsealed, "LOG_SEGMENT_SET_ASIDE": Crash.scribbled,
}
SPARES = ("LOG_SPARE_RESERVED", "LOG_SPARE_RENAMED", "LOG_SPARE_SYNCED")


def ways(point):
    """(label, ending, settings) of each way in which a point is reached."""
    if not point.startswith("SNAPSHOT_") or point == "SNAPSHOT_REMOVED":
        return [("", "kill", UNTRIMMED if point in SPARES else SMALL)]
    return [("copy", "kill", SMALL), ("both", "all", SMALL),
            ("in process", "kill", {**SMALL, "TIDEMARK_HOSTILE_IN_PROCESS": "1"})]


def crash_once(point, nth, ending, settings):
    """How often it ended at the point; 0: it was never there."""
    crash = Crash(point, nth, ending, settings)
    try:
        if point in STARTS:
            reached = crash.run_starts(STARTS[point])
        elif point == "LOG_CLEAN_WRITTEN":
            reached = crash.run_stop()
        elif point == "LOG_SEAL_WRITTEN":
            reached = crash.run_idle()
        else:
            if point == "LOG_SEGMENT_DROPPED":
                crash.other_size()
            reached = crash.run_load()
        crash.server.kill9()
        crash.check()
        return reached
    finally:
        crash.server.discard()


def crash_all(point, nths):
    """(crashes, failures) of one point, over all ways and n."""
    crashes, failures = 0, []
    for label, ending, settings in ways(point):
        for nth in nths:
            try:
                reached = crash_once(point, nth, ending, settings)
            except Exception as error:  # told by the point's own test, with how to see it again
                failures.append(f"{point}:{nth} {label}: {type(error).__name__}: {error}\n"
                                f"again by: POINT={point}:{nth} python3 tests/e2e/failpoints_test.py")
                continue
            crashes += reached
            if reached == 0 and nth == nths[0]:
                failures.append(f"{point}:{nth} {label}: no load was there")
            if reached == 0:
                break  # nor will it pass it more often
    return crashes, failures


@need_build()
@cases.table("check_point", [(point, point) for point in POINTS])
class Failpoints(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        only, _, nth = (ONLY or "").partition(":")
        cls.only = only
        nths = (int(nth),) if nth else NTHS
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            jobs = {p: pool.submit(crash_all, p, nths) for p in POINTS if p == only or not only}
        cls.results = {p: job.result() for p, job in jobs.items()}
        crashes = sum(crashes for crashes, _ in cls.results.values())
        print(f"totals: failpoint_crashes={crashes} points={len(cls.results)} "
              f"seconds={time.monotonic() - began:.0f}", flush=True)

    def check_point(self, point):
        if point not in self.results:
            self.skipTest(f"POINT={ONLY}")
        crashes, failures = self.results[point]
        self.assertEqual([], failures, "\n".join(failures))
        self.assertGreater(crashes, 0)


@need_build()
class Endings(unittest.TestCase):
    def ended(self, ending):
        crash = Crash("HOST_FRAME_DURABLE", 3, ending)
        self.addCleanup(crash.server.discard)
        self.assertEqual(1, crash.run_load())
        crash.check()
        return crash.ended_as

    def test_by_exit_code(self):
        self.assertEqual(42, self.ended("exit"))

    def test_by_abort(self):
        self.assertEqual(-signal.SIGABRT, self.ended("abort"))

    def test_what_is_no_point_is_refused_at_the_start(self):
        for wrong in ("NO_SUCH_POINT:1", "HOST_FRAME_DURABLE", "HOST_FRAME_DURABLE:0", "HOST_FRAME_DURABLE:1:softly"):
            crash = Crash("HOST_FRAME_DURABLE", 1)
            self.addCleanup(crash.server.discard)
            with self.subTest(wrong=wrong), self.assertRaises(Died):
                crash.start(wrong)
            self.assertEqual(78, crash.server.process.returncode)


if __name__ == "__main__":
    cases.main()

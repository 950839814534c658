#!/usr/bin/env python3
"""System calls that fail, lie, take their time, or are the last that the process makes.

One directory lives through all of it, under load, with snapshots, rolls and trims. In each case the n-th call of a
kind fails, or kills; then the server starts without interference, and what was promised is there.
"""
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time
import unittest

from support import cases, strace, totals
from support.expected import Account, Load
from support.server import Died, run
from support.strace import Traced, attached

SEED = int(os.environ.get("SEED", "7"))
# From a call that failed to the end of the process: of all cases the middle one, and each one, for a machine with
# other work to do may let any of them wait.
EXIT_SECONDS_MEDIAN_MAX = 0.1
EXIT_SECONDS_MAX = 2
EIO, ENOSPC, KILL = "error=EIO", "error=ENOSPC", "signal=KILL"
LOADER_OPENS = 6  # the program's own come after those of its libraries
LOADER_READS = 5


def long_run(call, *whats, first=1, last=50):
    return [(call, what, n) for what in whats for n in range(first, last + 1)]


# (calls, what, n): while it runs, under load.
RUNNING = totals.thinned([
    ("pwritev", EIO, 1), ("pwritev", EIO, 9), ("pwritev", ENOSPC, 3), ("pwritev", KILL, 2), ("pwritev", KILL, 25),
    ("fdatasync", EIO, 1), ("fdatasync", KILL, 1),
    ("fsync", EIO, 1), ("fsync", EIO, 2), ("fsync", KILL, 3), ("renameat", EIO, 1), ("renameat", EIO, 2),
    ("renameat", KILL, 1), ("renameat", KILL, 2), ("unlinkat", EIO, 1), ("unlinkat", KILL, 1), ("openat", EIO, 1),
    ("openat", KILL, 1), ("fallocate", ENOSPC, 1), ("fallocate", EIO, 1), ("fallocate", KILL, 1)],
    long_run("pwritev", EIO, ENOSPC, KILL)
    + long_run("fdatasync", EIO, KILL, last=4) + long_run("fsync", EIO, KILL, last=12)
    + long_run("renameat", EIO, KILL, last=8) + long_run("unlinkat", EIO, KILL, last=4)
    + long_run("openat", EIO, KILL, last=8) + long_run("fallocate", EIO, ENOSPC, KILL, last=3))
# While it starts on a log with a torn end.
STARTING = totals.thinned([
    ("pwritev", EIO, 2), ("pwritev", KILL, 1), ("pwritev", KILL, 4), ("fsync", EIO, 2), ("fsync", KILL, 3),
    ("fdatasync", EIO, 1), ("renameat", EIO, 1), ("renameat", KILL, 2), ("ftruncate", EIO, 1), ("ftruncate", KILL, 1),
    ("pwrite64", EIO, 1), ("openat", EIO, LOADER_OPENS + 5), ("openat", KILL, LOADER_OPENS + 14), ("fallocate", ENOSPC, 1),
    ("fallocate", KILL, 1)],
    long_run("pwritev", EIO, ENOSPC, KILL, last=8) + long_run("fsync", EIO, KILL, last=8)
    + long_run("fdatasync", EIO, KILL, last=4) + long_run("renameat", EIO, KILL, last=4)
    + long_run("ftruncate", EIO, KILL, last=2) + long_run("pwrite64", EIO, KILL, last=2)
    + long_run("fallocate", EIO, ENOSPC, KILL, last=2) + long_run("unlinkat", EIO, KILL, last=3)
    + long_run("openat", EIO, KILL, first=LOADER_OPENS, last=LOADER_OPENS + 20))
READS = totals.thinned((0, 1, 2, 4, 7), range(50))


class Injections(unittest.TestCase):
    segments_of = ("--segment-bytes", "8M")
    arguments = ("--snapshot-every", "1M", "--retain-events-bytes", "1M", *segments_of)

    def setUp(self):
        strace.skip_unless_possible()
        print(f"seed {SEED}; again by: SEED={SEED} python3 tests/e2e/attack_injections_test.py", flush=True)
        self.draw = random.Random(SEED)
        fd, path = tempfile.mkstemp(prefix="tidemark-account-")
        os.close(fd)
        self.addCleanup(os.remove, path)
        self.account = Account(path)
        self.addCleanup(self.account.close)
        self.server = Traced(4, 2, arguments=self.arguments)
        self.addCleanup(self.server.discard)
        self.server.start()
        self.account.prepare(self.server)

    def start_plainly(self, note):
        self.server.kill9()
        self.server.inject = None
        try:
            self.server.start()
        except Died as died:
            self.fail(f"{note}: it doesn't start again: {died}")
        self.account.look(self, self.server, note)

    def load(self, note, seconds=0.0, answers=1, heavy=0):
        with Load(self.account, self.server, f"{SEED}-{note}", heavy=heavy) as load:
            load.wait_for_answers(answers)
            time.sleep(seconds)
        self.assertEqual([], load.wrong())

    def forget_spares(self):
        """So that the next segment has to be made."""
        self.server.kill9()
        self.remove_spares()
        self.server.arguments = ["--snapshot-every", "1M", *self.segments_of]  # nothing is trimmed: no segment becomes a spare
        self.start_plainly("without spares")

    def remove_spares(self):
        for path in pathlib.Path(self.server.data, "log").glob("spare-*"):
            path.unlink()

    def segments(self):
        return sorted(p for p in pathlib.Path(self.server.data, "log").iterdir() if p.suffix == ".log")

    def tear(self):
        """Junk behind the end, as a frame leaves that was half written. The server is dead.

        Without spares: a file that was used before may hold anything there, so the end would not look torn.
        """
        self.remove_spares()
        with open(self.segments()[-1], "r+b") as file:
            whole = file.read()
            file.seek((len(whole.rstrip(b"\0")) + 4095) // 4096 * 4096)
            if file.tell() + 8192 < len(whole):
                file.write(self.draw.randbytes(5000))

    def test_one_call_fails_or_is_the_last_under_load(self):
        fired = set()
        seconds = {}
        for call, what, n in RUNNING:
            note = f"{call}:{what}:when={n}"
            if call == "fallocate":
                self.forget_spares()
            with Load(self.account, self.server, f"{SEED}-{note}", 2, heavy=2) as load:
                load.wait_for_answers()
                with attached(self.server.process, call, f"{what}:when={n}") as trace:
                    ended = self.wait_for_end(trace, 1.0)
                    events = trace.injected()
                    killed = "killed by SIGKILL" in trace.text()
                    if ended and what != KILL:
                        seconds[note] = trace.exit_seconds(self.server.process.pid)
                load.end()
            self.assertEqual([], load.wrong(), note)
            if events or (what == KILL and killed):
                fired.add((call, what))
                totals.count("injections")
            if not ended:
                self.assertTrue(call != "pwritev" or not events, f"{note}: it went on")
            elif what == KILL:
                self.assertEqual(-signal.SIGKILL, self.server.process.returncode, note)
            else:
                self.assertTrue(events, f"{note}: it ended without a cause: {self.server.output()[-500:]}")
                self.assertEqual(74, self.server.process.returncode, f"{note}: {self.server.output()[-500:]}")
            self.start_plainly(note)
        wanted = {(call, what) for call, what, _ in RUNNING}
        self.assertEqual(set(), wanted - fired, "never happened")
        self.check_exit_seconds(seconds)

    def wait_for_end(self, trace, seconds):
        """Whether it ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.server.process.poll() is not None:
                return True
            time.sleep(0.005)
        if trace.injected() and "pwritev" in trace.injected()[0][1]:
            try:
                self.server.process.wait(5 * EXIT_SECONDS_MAX)
                return True
            except subprocess.TimeoutExpired:
                pass
        return False

    def check_exit_seconds(self, seconds):
        """{note: from the call that failed to the end of the process}: at once, before anything else can be promised."""
        self.assertNotEqual({}, seconds, "no call that failed ended it")
        self.assertNotIn(None, seconds.values(), f"an end without a cause: {seconds}")
        took = sorted(seconds.values())
        middle = took[len(took) // 2]
        slowest = max(seconds, key=seconds.get)
        print(f"{len(took)} ends after a call that failed: {middle * 1000:.1f} ms in the middle, "
              f"{took[-1] * 1000:.1f} ms at most ({slowest})", flush=True)
        self.assertLess(middle, EXIT_SECONDS_MEDIAN_MAX)
        self.assertLess(took[-1], EXIT_SECONDS_MAX, slowest)

    def test_one_call_fails_or_is_the_last_while_it_starts(self):
        fired = set()
        seconds = {}
        self.forget_spares()
        for call, what, n in STARTING:
            note = f"start, {call}:{what}:when={n}"
            self.load(note)
            self.server.kill9()
            self.tear()
            self.server.inject = (call, f"{what}:when={n}")
            try:
                self.server.start()
                self.load(note + " it runs")
            except Died:
                code = self.server.process.returncode
                self.assertIn(code, (-signal.SIGKILL,) if what == KILL else (74, 75, 78),
                              f"{note}: {self.server.output()[-800:]}")
                if what != KILL:
                    seconds[note] = self.server.exit_seconds()
            except AssertionError:
                if self.server.alive():
                    raise
            if self.server.injected() or "killed by SIGKILL" in self.server.trace():
                fired.add(call)
                totals.count("injections")
            self.server.kill9()
            self.remove_spares()
            self.start_plainly(note)
        self.assertEqual(set(), {call for call, _, _ in STARTING} - fired, "never happened")
        self.check_exit_seconds(seconds)

    def test_reads_that_fail_while_it_starts_change_nothing(self):
        """A snapshot that can't be read: an older one. A segment that can't be read: no start, with its name."""
        self.load("reads", heavy=1)
        refused = 0
        for n in (LOADER_READS + n for n in READS):
            note = f"pread64:{EIO}:when={n}"
            self.server.kill9()
            self.server.inject = ("pread64", f"{EIO}:when={n}")
            before = set(self.segments())
            said = len(self.server.output())
            try:
                self.server.start()
            except Died:
                self.assertEqual(75, self.server.process.returncode, f"{note}: {self.server.output()[said:]}")
                self.assertRegex(self.server.output()[said:], r"\d{20}\.log|snap-\d{20}|genesis", note)
                refused += 1
                self.assertEqual(before, set(self.segments()), note)
            if self.server.injected():
                totals.count("injections")
            self.start_plainly(note)
        self.assertGreater(refused, 0, "no read of a segment was hit")

    def test_a_slow_disk_makes_answers_wait_and_nothing_else(self):
        with attached(self.server.process, "pwritev", "delay_enter=700000"), \
                Load(self.account, self.server, SEED) as load:
            began = time.monotonic()
            load.wait_for_answers(2, 60)
            self.assertGreater(time.monotonic() - began, 0.7)
            begin, cpu = time.monotonic(), self.server.cpu_seconds()
            time.sleep(1)
            self.assertEqual(200, self.server.request("GET", "/healthz").status)
            share = (self.server.cpu_seconds() - cpu) / (time.monotonic() - begin)
            self.assertLess(share, 0.8, "it spins while it waits for the disk")
            load.end()
        totals.count("injections")
        self.assertEqual([], load.wrong())
        self.start_plainly("slow disk")

    def test_a_write_that_claims_more_than_it_did_is_found_at_the_next_start(self):
        """The one fault that loses promised events: it must be told, and salvaged in words."""
        self.load("before")
        with attached(self.server.process, "pwritev", "retval=4096:when=1") as trace:
            self.load("lie", answers=4)
            self.assertTrue(trace.injected())
        totals.count("injections")
        self.server.kill9()
        done = run(["serve", "--listen", "127.0.0.1:0", "--data", self.server.data], seconds=30)
        self.assertEqual(75, done.returncode, done.stderr)
        self.assertIn(self.segments()[-1].name, done.stderr)
        self.assertEqual(75, run(["log", "verify", self.server.data]).returncode)
        done = run(["log", "salvage", "--accept-loss", self.server.data])
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertRegex(done.stdout, r"[1-9].* set aside as \*\.torn; the log goes on at position [1-9]")
        self.server.start()
        rows = {r["lane"]: r["n"] for r in self.server.values("kept")}
        for name, lane in self.account.lanes.items():
            self.assertLessEqual(rows.get(name, 0), lane.next)


if __name__ == "__main__":
    cases.main()

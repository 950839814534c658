#!/usr/bin/env python3
"""A record that can't be applied ends the process; the third time in a row it is not started again."""
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest

from support import cases
from support.events import event
from support.hostile import BINARY, HostileServer, need_build
from support.server import Died

SEGMENT = "00000000000000000000.log"


@need_build()
class APoisonRecord(unittest.TestCase):
    word = "hostile.check"
    says = "CHECK failed"
    sanitizer = ""

    def setUp(self):
        self.server = HostileServer(2, 2, sanitizer=self.sanitizer)
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="tidemark-e2e-"))
        self.addCleanup(self.discard)

    def discard(self):
        # The failed CHECK is what the test asked for: it must not fail the test a second time.
        self.server.kill9()
        if os.path.exists(self.server.output_path):
            os.truncate(self.server.output_path, 0)
        self.server.discard()

    @property
    def notes(self):
        return pathlib.Path(self.server.data, "crashes")

    def poison(self):
        """Sends the record; the process dies of it."""
        with self.assertRaises(Exception):
            self.server.send([event(type=self.word, id="poison")], "applied")
        self.server.process.wait(20)
        self.server.close()

    def start_dies(self):
        with self.assertRaises(Died):
            self.server.start()
        return self.server.process.returncode

    def refused(self):
        """A start that must not try again: its exit code is 70 and it says what and where."""
        port = "127.0.0.1:0"
        return subprocess.run([BINARY, "serve", "--listen", port, "--data", self.server.data], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60,
                              env={**os.environ, **self.server.environment})

    def test_three_crashes_at_one_position_are_enough(self):
        self.server.start()
        self.assertEqual(200, self.server.send([event(id="good")]).status)
        self.poison()
        self.assertEqual(-signal.SIGABRT if self.word == "hostile.check" else -signal.SIGSEGV,
                         self.server.process.returncode)
        said = self.server.output()
        if self.says:
            self.assertIn(self.says, said)
        where = re.search(r"while the record at log position (\d+), offset (\d+), kind 2 was applied", said)
        self.assertTrue(where, said[-2000:])
        position = where[1]
        self.assertEqual(1, len(self.notes.read_text().splitlines()))
        for count in (2, 3):
            self.start_dies()
            lines = self.notes.read_text().splitlines()
            self.assertEqual([position] * count, [line.split()[0] for line in lines])
        before = {path: path.read_bytes() for path in pathlib.Path(self.server.data).rglob("*") if path.is_file()}
        for _ in range(2):
            done = self.refused()
            self.assertEqual(70, done.returncode, done.stderr)
            for word in ("poison record", f"{self.server.data}/log/{SEGMENT}", f"position  {position}", "events",
                         f"tidemark log dump {self.server.data} --from {position} --limit 1", str(self.notes)):
                self.assertIn(word, done.stderr)
        after = {path: path.read_bytes() for path in pathlib.Path(self.server.data).rglob("*") if path.is_file()}
        before.pop(pathlib.Path(self.server.data, "LOCK"))
        after.pop(pathlib.Path(self.server.data, "LOCK"))
        self.assertEqual(before, after)
        # What the report tells to run shows the record.
        dump = subprocess.run([BINARY, "log", "dump", self.server.data, "--from", position, "--limit", "1"],
                              stdout=subprocess.PIPE, text=True, timeout=60, check=True,
                              env={**os.environ, **self.server.environment})
        self.assertIn(self.word, dump.stdout)
        # As it tells: without the file it is tried again.
        self.notes.unlink()
        self.start_dies()
        self.assertEqual(1, len(self.notes.read_text().splitlines()))

    def test_a_kill_never_counts_and_a_good_start_forgets(self):
        self.server.start()
        self.server.send([event(id="good")], "applied")
        for _ in range(4):
            self.server.kill9()
            self.server.start()
        self.assertFalse(self.notes.exists())
        for number in (signal.SIGABRT, signal.SIGSEGV):  # from outside
            self.server.process.send_signal(number)
            self.server.process.wait(20)
            self.server.close()
            self.assertFalse(self.notes.exists())
            self.server.start()
        self.server.kill9()
        self.notes.write_text("4096 0 2 6\n4096 0 2 6\n")
        self.server.start()
        self.assertFalse(self.notes.exists(), "every record was applied")
        self.server.kill9()
        self.notes.write_text("4096 0 2 6\n8192 0 2 6\n4096 0 2 6\n4096 0 2 6\n")
        self.server.start()
        self.assertEqual(0, self.server.stop(), self.server.output()[-2000:])

    def test_notes_that_are_broken_are_passed_over(self):
        self.server.start()
        self.server.kill9()
        for text in (b"", b"\n\n\n\n", b"x" * 10000, b"1 2 3\n" * 5, b"4096 0 2 6\n" * 2 + b"4096 0 2", b"\0" * 300):
            self.notes.write_bytes(text)
            self.server.start()
            self.assertEqual(200, self.server.request("GET", "/healthz").status)
            self.server.kill9()


@need_build()
class APoisonRecordThatFaults(APoisonRecord):
    """The same by a fault instead of a CHECK."""
    word = "hostile.fault"
    says = ""
    sanitizer = ":handle_segv=0:use_sigaltstack=0"


if __name__ == "__main__":
    cases.main()

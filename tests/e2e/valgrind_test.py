#!/usr/bin/env python3
"""Recovery under valgrind (memcheck): no byte that was never written decides anything, none is leaked or
read beyond its end, whatever the log and the snapshots look like.

It is for a build without sanitizers, and skips where there is no valgrind.
"""
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from support import cases
from support.events import event
from support.replay import snapshots
from support.server import BINARY, Server

SEED = int(os.environ.get("SEED", "5"))
LONG = os.environ.get("TIDEMARK_LONG") == "1"
BUILD = pathlib.Path(os.environ.get("TIDEMARK_BUILD") or pathlib.Path(BINARY).parent)
ERROR_EXIT = 99
VALGRIND = ["valgrind", "--quiet", f"--error-exitcode={ERROR_EXIT}", "--leak-check=full", "--errors-for-leak-kinds=definite",
            "--trace-children=no"]
# Little memory is mapped, so that valgrind has little to keep books of.
SMALL = ["--memory", "256M", "--dedup-memory", "4M", "--quiet", "--json"]
UNIT_TESTS = ["log_format", "log_recover", "log_verify", "snapshot_dir"]
CUTS = 8 if LONG else 2
BLOCK = 4096
TIDEMARK_EXITS = (0, 75)  # fine; acknowledged data is damaged


class Recovery(unittest.TestCase):
    """Data directories of a server that was killed, and what a torn write or a flipped bit makes of them."""

    @classmethod
    def setUpClass(cls):
        print(f"seed {SEED}; again by: SEED={SEED} python3 tests/e2e/valgrind_test.py", flush=True)
        cls.runs = 0
        cls.draw = random.Random(SEED)
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-valgrind-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.addClassCleanup(lambda: print(f"totals: valgrind_runs={cls.runs}", flush=True))
        cls.data = cls.folder / "whole"
        server = Server(2, 1, data=cls.data, arguments=["--snapshot-every", "1M"])
        cls.addClassCleanup(server.discard)
        server.start()
        server.sql("CREATE METRIC n AS SELECT subject AS s, count(*) AS n, avg(data.x) AS mean FROM "
                   "TUMBLE(events, time, INTERVAL '1 hour') GROUP BY subject")
        for k in range(120):
            made = [event(f"2020-01-{1 + k % 28:02}T00:00:00Z", id=f"v{k}-{i}", subject=f"s{k % 7}", data={"x": i, "pad": "y" * 900})
                    for i in range(12)]
            if server.send(made).status != 200:
                raise AssertionError("the events were not taken")
        deadline = time.monotonic() + 60
        while not snapshots(cls.data) and time.monotonic() < deadline:
            time.sleep(0.05)
        server.kill9()

    def run_tidemark(self, data, *arguments):
        """One run under valgrind: its exit code and standard output, with no error of memory."""
        type(self).runs += 1
        done = subprocess.run([*VALGRIND, BINARY, *arguments, str(data)] if arguments[0] == "log" else
                              [*VALGRIND, BINARY, *arguments, "--data", str(data)], text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=500)
        self.assertNotEqual(ERROR_EXIT, done.returncode, done.stderr[-6000:])
        self.assertNotIn("==ERROR", done.stderr)
        self.assertIn(done.returncode, TIDEMARK_EXITS, done.stderr[-3000:])
        return done.returncode, done.stdout

    def copy(self, name):
        target = self.folder / name
        shutil.copytree(self.data, target)
        self.addCleanup(shutil.rmtree, target, ignore_errors=True)
        return target

    @staticmethod
    def last_segment(data):
        return sorted(path for path in (data / "log").iterdir() if path.is_file())[-1]

    @staticmethod
    def written_bytes(path):
        """Up to the end of the last block that is not empty: segments are longer than what they hold."""
        return (len(path.read_bytes().rstrip(b"\0")) + BLOCK - 1) // BLOCK * BLOCK

    def test_a_killed_servers_log_is_recovered(self):
        data = self.copy("killed")
        self.assertEqual(0, self.run_tidemark(data, "log", "verify")[0])
        code, from_log = self.run_tidemark(data, "replay", *SMALL, "--threads", "1")
        self.assertEqual(0, code)
        self.assertTrue(list((data / "snapshots").iterdir()), "there is no snapshot to begin at")
        code, from_snapshot = self.run_tidemark(data, "replay", *SMALL, "--from-snapshot", "--threads", "2")
        self.assertEqual(0, code)
        self.assertEqual(json.loads(from_log)["digest"], json.loads(from_snapshot)["digest"])

    def test_a_log_cut_anywhere(self):
        for cut in range(CUTS):
            data = self.copy(f"cut{cut}")
            path = self.last_segment(data)
            whole = bytearray(path.read_bytes())
            at = self.draw.randrange(self.written_bytes(path) - 64 * BLOCK, self.written_bytes(path))
            with self.subTest(at=at):
                whole[at:] = bytes(len(whole) - at)
                path.write_bytes(whole)
                self.run_tidemark(data, "log", "verify")
                self.run_tidemark(data, "replay", *SMALL)

    def test_junk_behind_the_end(self):
        data = self.copy("junk")
        path = self.last_segment(data)
        whole = bytearray(path.read_bytes())
        at = self.written_bytes(path)
        whole[at:at + 3000] = self.draw.randbytes(3000)
        path.write_bytes(whole)
        self.run_tidemark(data, "log", "verify")
        self.assertEqual(0, self.run_tidemark(data, "replay", *SMALL)[0])

    def test_flipped_bits(self):
        for flip in range(CUTS):
            data = self.copy(f"flip{flip}")
            path = self.draw.choice([path for path in data.rglob("*") if path.is_file() and path.stat().st_size > 0])
            whole = bytearray(path.read_bytes())
            end = max(1, self.written_bytes(path)) if "log" in path.parts else len(whole)
            at = self.draw.randrange(min(end, len(whole)))
            with self.subTest(file=str(path.relative_to(data)), at=at):
                whole[at] ^= 1 << self.draw.randrange(8)
                path.write_bytes(whole)
                self.run_tidemark(data, "log", "verify")
                self.run_tidemark(data, "replay", *SMALL, "--from-snapshot")


class UnitTests(unittest.TestCase):
    def test_the_unit_tests_of_log_and_snapshots(self):
        for name in UNIT_TESTS if LONG else UNIT_TESTS[:1]:
            with self.subTest(name):
                found = [path for path in (BUILD / "tests/unit/adapters").glob(f"*{name}*")
                         if path.is_file() and os.access(path, os.X_OK)]
                self.assertEqual(1, len(found), found)
                done = subprocess.run([*VALGRIND, str(found[0])], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                      errors="replace", timeout=500)
                self.assertEqual(0, done.returncode, done.stdout[-6000:])


if __name__ == "__main__":
    if shutil.which("valgrind") is None:
        print("there is no valgrind here")
        sys.exit(cases.SKIP_EXIT)
    cases.main()

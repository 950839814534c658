#!/usr/bin/env python3
"""Writes that do only a part of what they were asked for: the rest follows, and nothing is lost or double."""
import os
import shutil
import subprocess
import tempfile
import time
import unittest

from support import cases, totals
from support.expected import Account, Load
from support.replay import snapshots
from support.server import ROOT, Server, run

SEED = int(os.environ.get("SEED", "7"))


class ShortWrites(unittest.TestCase):
    def setUp(self):
        print(f"seed {SEED}; again by: SEED={SEED} python3 tests/e2e/attack_short_writes_test.py", flush=True)
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            self.skipTest("there is no C compiler for the library that shortens writes")
        folder = tempfile.mkdtemp(prefix="tidemark-short-")
        self.addCleanup(shutil.rmtree, folder)
        library = os.path.join(folder, "short_writes.so")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, str(ROOT / "tests/tools/short_writes.c"), "-ldl"],
                       check=True)
        self.account = Account(os.path.join(folder, "account"))
        self.addCleanup(self.account.close)
        self.server = Server(4, 2, arguments=["--snapshot-every", "1M"], environment={"LD_PRELOAD": library})
        self.addCleanup(self.server.discard)

    def test_every_third_large_write_is_short(self):
        for number in range(totals.thinned(3, 20)):
            self.server.start()
            with open(f"/proc/{self.server.process.pid}/maps", encoding="ascii") as text:
                if "short_writes" not in text.read():
                    self.skipTest("this build can't be preloaded into")
            self.account.prepare(self.server)
            with Load(self.account, self.server, f"{SEED}-{number}", heavy=1) as load:
                load.wait_for_answers(3)
                time.sleep(0.3)
                self.server.kill9()
            self.assertEqual([], load.wrong())
            totals.count("kills")
            self.server.start()
            self.account.look(self, self.server, f"round {number}")
            self.server.kill9()
        self.assertTrue(snapshots(self.server.data))
        done = run(["log", "verify", self.server.data])
        self.assertEqual(0, done.returncode, done.stderr)


if __name__ == "__main__":
    cases.main()

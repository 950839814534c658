#!/usr/bin/env python3
"""Killed at any moment: under load, while it recovers, while it recovers from that, again and again.

The same directory goes through all rounds; snapshots are taken all the time, and in the second test segments
fill, roll and are trimmed as well. After each start: promised ⊆ there ⊆ sent, each once.
"""
import os
import random
import subprocess
import tempfile
import time
import unittest

from support import cases, totals
from support.expected import Account, Load
from support.replay import digest, snapshots
from support.server import Server, free_port, run

SEED = int(os.environ.get("SEED", "7"))
AGAIN = f"seed {SEED}; again by: SEED={SEED} python3 tests/e2e/attack_kills_test.py"


class Kills(unittest.TestCase):
    def setUp(self):
        print(AGAIN, flush=True)
        self.draw = random.Random(SEED)
        fd, path = tempfile.mkstemp(prefix="tidemark-account-")
        os.close(fd)
        self.addCleanup(os.remove, path)
        self.account = Account(path)
        self.addCleanup(self.account.close)
        self.nested = 0

    def begin(self, *arguments):
        self.server = Server(4, 2, arguments=["--snapshot-every", "1M", *arguments])
        self.addCleanup(self.server.discard)
        self.server.start()
        self.account.prepare(self.server)

    def start_and_kill(self, seconds_max):
        """A start that doesn't come to its end, or just so."""
        with open(self.server.output_path, "ab") as output:
            self.server.process = subprocess.Popen(self.server.command(free_port()), stdin=subprocess.DEVNULL,
                                                   stdout=output, stderr=output)
        time.sleep(self.draw.uniform(0, seconds_max))
        self.server.kill9()
        # It may have ended by itself only because somebody took the port.
        self.assertIn(self.server.process.returncode, (-9, 69), self.server.output()[-1000:])
        totals.count("kills")
        self.nested += 1

    def round(self, number, load_seconds, heavy):
        with Load(self.account, self.server, f"{SEED}-{number}", heavy=heavy) as load:
            time.sleep(self.draw.uniform(0, load_seconds))
            self.server.kill9()
        self.assertEqual(-9, self.server.process.returncode, self.server.output()[-1000:])
        self.assertEqual([], load.wrong())
        totals.count("kills")
        for _ in range(self.draw.choice((0, 0, 1, 2, 3))):
            self.start_and_kill(1.3 * self.server.ready_seconds)
        if number % 8 == 7:
            self.check_digests()
        self.server.start()
        self.account.look(self, self.server, f"round {number}")

    def check_digests(self):
        """From the beginning or from a snapshot: the same state. What a replay reads, it leaves as it is."""
        if snapshots(self.server.data) and not self.trimmed:
            self.assertEqual(digest(self.server.data), digest(self.server.data, "--from-snapshot"))

    def end(self):
        self.assertEqual(0, self.server.stop(), self.server.output()[-1000:])
        done = run(["log", "verify", self.server.data])
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.server.start()
        self.account.look(self, self.server, "at the end")
        print(f"{self.account.sent()} events sent, {self.account.promised()} promised, {self.nested} kills during a start",
              flush=True)
        self.assertGreater(self.account.promised(), 0)
        self.assertGreater(self.nested, 0)

    def test_at_random_moments_while_snapshots_are_taken(self):
        self.trimmed = False
        self.begin()
        for number in range(totals.thinned(20, 100)):
            self.round(number, 0.3, 0)
        self.end()
        self.account.read_back(self, self.server)
        self.assertTrue(snapshots(self.server.data))

    def test_at_random_moments_while_segments_roll_and_are_trimmed(self):
        self.trimmed = True
        self.begin("--retain-events-bytes", "1M", "--segment-bytes", "8M")
        for number in range(totals.thinned(20, 100)):
            self.round(number, 1.0, 2)
        self.end()
        log = sorted(name for name in os.listdir(os.path.join(self.server.data, "log")) if name.endswith(".log"))
        self.assertGreater(int(log[0].split(".")[0]), 0, "no segment was trimmed")


if __name__ == "__main__":
    cases.main()

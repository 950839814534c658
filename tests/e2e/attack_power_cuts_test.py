#!/usr/bin/env python3
"""The power goes: a file system that stops in the middle of it all, and loses what was not synced.

ext4 on a loop device, stopped by its shutdown ioctl without flushing its journal; unmounted, mounted again (the
journal is replayed, as after a real cut), and the server started. What was promised is there. The device itself
keeps each block it was given, in order: a disk that lies about its cache is not part of this.
"""
import os
import random
import subprocess
import tempfile
import time
import unittest

from support import cases, totals
from support.disks import Disk
from support.expected import Account, Load
from support.server import Server, free_port

SEED = int(os.environ.get("SEED", "7"))


class PowerCuts(unittest.TestCase):
    def setUp(self):
        print(f"seed {SEED}; again by: SEED={SEED} python3 tests/e2e/attack_power_cuts_test.py", flush=True)
        self.draw = random.Random(SEED)
        self.disk = Disk(self, "ext4", 640)
        fd, path = tempfile.mkstemp(prefix="tidemark-account-")
        os.close(fd)
        self.addCleanup(os.remove, path)
        self.account = Account(path)
        self.addCleanup(self.account.close)
        self.server = Server(4, 2, data=self.disk.path + "/data",
                             arguments=["--snapshot-every", "1M", "--retain-events-bytes", "1M", "--segment-bytes", "8M"])
        self.addCleanup(self.server.discard)

    def cut(self, wait_for_end):
        """The power goes; a process that writes afterwards ends by itself, one that rests is ended."""
        self.disk.cut_power()
        totals.count("power_cuts")
        code = None
        if wait_for_end:
            code = self.server.process.wait(20)
        self.server.kill9()
        self.disk.unmount()
        self.disk.mount()
        return code

    def start_without_waiting(self):
        with open(self.server.output_path, "ab") as output:
            self.server.process = subprocess.Popen(self.server.command(free_port()), stdin=subprocess.DEVNULL,
                                                   stdout=output, stderr=output)

    def test_what_was_not_synced_is_lost_by_such_a_cut(self):
        """Else nothing here would prove anything."""
        for name, synced in (("synced", True), ("not-synced", False)):
            with open(os.path.join(self.disk.path, name), "wb", buffering=0) as file:
                file.write(b"x" * 8192)
                if synced:
                    os.fsync(file.fileno())
        self.disk.cut_power()
        totals.count("power_cuts")
        self.disk.unmount()
        self.disk.mount()
        self.assertEqual(8192, os.path.getsize(os.path.join(self.disk.path, "synced")))
        lost = os.path.join(self.disk.path, "not-synced")
        self.assertTrue(not os.path.exists(lost) or os.path.getsize(lost) == 0, "it was kept")

    def test_under_load_and_during_recovery(self):
        self.server.start()
        self.account.prepare(self.server)
        during_start = 0
        for number in range(totals.thinned(18, 70)):
            heavy = number % 3
            said = len(self.server.output())
            with Load(self.account, self.server, f"{SEED}-{number}", heavy=heavy) as load:
                time.sleep(self.draw.uniform(0, 0.9 if heavy else 0.3))
                code = self.cut(True)
            self.assertEqual(74, code, self.server.output()[said:][-1000:])
            self.assertEqual([], load.wrong())
            for _ in range(self.draw.choice((0, 1, 2))):
                self.start_without_waiting()
                time.sleep(self.draw.uniform(0, 1.2 * self.server.ready_seconds))
                self.cut(False)
                during_start += 1
            self.server.start()
            self.account.look(self, self.server, f"round {number}")
        self.server.kill9()
        self.disk.unmount()
        self.disk.check()
        self.disk.mount()
        print(f"{self.account.promised()} events promised, {during_start} cuts during a start", flush=True)
        self.assertGreater(self.account.promised(), 0)

    def test_during_the_very_first_start(self):
        for number in range(totals.thinned(5, 20)):
            self.disk.unmount()
            self.disk.make()
            self.disk.mount()
            self.start_without_waiting()
            time.sleep(self.draw.uniform(0, 0.03))
            self.cut(False)
            self.server.start()
            reply = self.server.send([{"specversion": "1.0", "id": f"f{number}", "source": "/first", "type": "t"}])
            self.assertEqual(200, reply.status)
            self.cut(False)
            self.server.start()
            self.assertEqual(1, len(self.server.walk("/v1/events", source="/first")))
            self.server.kill9()


if __name__ == "__main__":
    cases.main()

#!/usr/bin/env python3
"""A disk that is full, or read-only: what can't be kept is refused, what is there is read, and it heals by itself."""
import itertools
import os
import pathlib
import tempfile
import time
import unittest

from support import cases
from support.disks import Disk
from support.expected import Account, Load
from support.server import Server, free_port, run

SEED = int(os.environ.get("SEED", "7"))
HEAL_SECONDS_MAX = 20


class Full(unittest.TestCase):
    def begin(self, kind, size_mib):
        print(f"seed {SEED}; again by: SEED={SEED} python3 tests/e2e/attack_full_disk_test.py", flush=True)
        self.disk = Disk(self, kind, size_mib)
        fd, path = tempfile.mkstemp(prefix="tidemark-account-")
        os.close(fd)
        self.addCleanup(os.remove, path)
        self.account = Account(path)
        self.addCleanup(self.account.close)
        self.server = Server(4, 2, data=self.disk.path + "/data")
        self.addCleanup(self.server.discard)
        self.numbers = itertools.count()

    def load(self, note, seconds=0.2, heavy=0):
        with Load(self.account, self.server, f"{SEED}-{note}", heavy=heavy) as load:
            load.wait_for_answers()
            time.sleep(seconds)
        self.assertEqual([], load.wrong())

    def check_refusal(self):
        """Sends until it is refused; the refusal is a good one, and what is refused is not there afterwards."""
        deadline = time.monotonic() + 60
        n = next(self.numbers)
        while time.monotonic() < deadline:
            made = [{"specversion": "1.0", "id": f"r{n}-{k}", "source": f"/r/{n}", "type": "t", "data": "x" * 7000}
                    for k in range(300)]
            reply = self.server.send(made)
            if reply.status != 200:
                break
            n = next(self.numbers)
        self.assertEqual(507, reply.status, repr(reply))
        self.assertGreater(int(reply.headers["retry-after"]), 0)
        self.assertEqual("application/problem+json", reply.headers["content-type"])
        self.assertEqual(0, len(self.server.walk("/v1/events", source=f"/r/{n}")))

    def check_reads(self):
        for path in ("/healthz", "/v1/metrics", "/v1/sources", "/v1/metrics/kept/values", "/v1/events?limit=10"):
            self.assertEqual(200, self.server.request("GET", path).status, path)

    def check_heals(self):
        deadline = time.monotonic() + HEAL_SECONDS_MAX
        n = 0
        while (reply := self.server.send([{"specversion": "1.0", "id": f"h{n}", "source": "/heal", "type": "t"}])).status != 200:
            self.assertEqual(507, reply.status)
            self.assertLess(time.monotonic(), deadline, "it doesn't heal")
            time.sleep(0.1)
            n += 1

    def full_and_back(self, kind):
        self.begin(kind, 300)
        self.server.start()
        self.account.prepare(self.server)
        self.load("before")
        filler = self.disk.fill()
        self.check_refusal()
        self.check_reads()
        self.account.look(self, self.server, "full")
        with Load(self.account, self.server, f"{SEED}-full", heavy=1) as load:
            time.sleep(0.5)
            self.assertGreater(sum(c.refused for c in load.clients), 0)
            os.remove(filler)
            self.check_heals()
            load.wait_for_answers()
        self.assertEqual([], load.wrong())
        self.account.look(self, self.server, "healed")
        self.server.kill9()
        self.server.start()
        self.account.look(self, self.server, "started again")
        self.account.read_back(self, self.server)

    def test_full_and_back_on_tmpfs(self):
        self.full_and_back("tmpfs")

    def test_full_and_back_on_ext4(self):
        self.full_and_back("ext4")

    def test_a_start_on_a_full_disk_reads_and_answers(self):
        self.begin("ext4", 300)
        self.server.start()
        self.account.prepare(self.server)
        self.load("before")
        filler = self.disk.fill()
        self.check_refusal()
        for _ in range(3):
            self.server.kill9()
            self.server.start()
            self.check_reads()
            self.account.look(self, self.server, "on a full disk")
        self.check_refusal()
        os.remove(filler)
        self.check_heals()
        self.load("after")
        self.account.look(self, self.server, "healed")

    def test_a_torn_end_on_a_full_disk_is_no_damage(self):
        """Nothing is given up: it says that space is missing, and starts once there is some."""
        self.begin("ext4", 300)
        self.server.start()
        self.account.prepare(self.server)
        self.load("before")
        self.server.kill9()
        segment = sorted(pathlib.Path(self.server.data, "log").glob("*.log"))[-1]
        with open(segment, "r+b") as file:
            end = len(file.read().rstrip(b"\0"))
            file.seek((end + 4095) // 4096 * 4096)
            file.write(b"\7" * 300_000)
        filler = self.disk.fill()
        for path in pathlib.Path(self.server.data, "log").glob("spare-*"):
            path.unlink()
        self.disk.fill()
        done = run(["serve", "--listen", f"127.0.0.1:{free_port()}", "--data", self.server.data], seconds=30)
        self.assertRegex(done.stderr.lower(), "no space|disk is full|space left")
        self.assertNotIn("salvage", done.stderr)
        self.assertEqual(78, done.returncode, done.stderr)
        os.remove(filler)
        self.server.start()
        self.account.look(self, self.server, "with space")

    def test_full_at_the_very_first_start(self):
        for kind, size in (("tmpfs", 8), ("ext4", 16)):
            with self.subTest(kind):
                self.begin(kind, size)
                for leave in (0, 4096, 100_000, 4 << 20):
                    filler = self.disk.fill(leave)
                    done = run(["serve", "--listen", f"127.0.0.1:{free_port()}", "--data", self.server.data], seconds=30)
                    self.assertEqual(78, done.returncode, (leave, done.stderr))
                    self.assertRegex(done.stderr, "can't (write|open|use)")
                    os.remove(filler)
                self.server.discard()
                self.disk._discard()

    def test_a_first_start_that_can_not_write_says_where_and_why(self):
        self.begin("tmpfs", 8)
        for leave in (0, 4 << 20):
            filler = self.disk.fill(leave)
            done = run(["serve", "--listen", f"127.0.0.1:{free_port()}", "--data", self.server.data], seconds=30)
            self.assertIn(self.server.data, done.stderr)
            self.assertRegex(done.stderr.lower(), "no space left|disk is full")
            os.remove(filler)

    def test_a_disk_that_was_full_at_the_first_start_is_used_once_there_is_space(self):
        self.begin("ext4", 200)
        filler = self.disk.fill(100_000)
        done = run(["serve", "--listen", f"127.0.0.1:{free_port()}", "--data", self.server.data], seconds=30)
        self.assertEqual(78, done.returncode, done.stderr)
        os.remove(filler)
        self.server.start()
        self.account.prepare(self.server)
        self.load("after")
        self.account.look(self, self.server)

    def test_a_file_system_that_turns_read_only_ends_it(self):
        self.begin("ext4", 300)
        self.server.start()
        self.account.prepare(self.server)
        with Load(self.account, self.server, f"{SEED}-ro") as load:
            load.wait_for_answers()
            code, said = self.disk.remount("abort")
            if code != 0:
                self.skipTest(f"this ext4 can't be made to fail: {said[:200]}")
            self.assertEqual(74, self.server.process.wait(20), self.server.output()[-1000:])
        self.server.kill9()
        self.assertEqual([], load.wrong())
        before = sorted(os.listdir(self.server.data))
        done = run(["serve", "--listen", f"127.0.0.1:{free_port()}", "--data", self.server.data], seconds=30)
        self.assertEqual(78, done.returncode, done.stderr)
        self.assertIn("Read-only", done.stderr)
        self.assertEqual(before, sorted(os.listdir(self.server.data)))
        self.disk.unmount()
        self.disk.mount()
        self.server.start()
        self.account.look(self, self.server, "writable again")

    def test_nothing_is_created_on_a_read_only_file_system(self):
        self.begin("ext4", 100)
        code, said = self.disk.remount("ro")
        self.assertEqual(0, code, said)
        done = run(["serve", "--listen", f"127.0.0.1:{free_port()}", "--data", self.server.data], seconds=30)
        self.assertEqual(78, done.returncode, done.stderr)
        self.assertIn("Read-only", done.stderr)
        self.assertIn(self.server.data, done.stderr)
        self.assertFalse(os.path.exists(self.server.data))


if __name__ == "__main__":
    cases.main()

#!/usr/bin/env python3
"""Damage on disk: what was acknowledged is refused when it can't be read, never skipped in silence; what
can be done without is done without."""
import pathlib
import shutil
import unittest

from support import cases
from support.events import event
from support.server import Server, free_port, run


class Damage(unittest.TestCase):
    def setUp(self):
        self.server = Server(2, 2, arguments=["--snapshot-every", "1M"])
        self.addCleanup(self.server.discard)
        self.server.start()
        self.server.put_source("/hold", watermark="explicit", idle_after="P1D")
        self.server.sql("CREATE METRIC n AS SELECT subject AS s, count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 day') "
                        "GROUP BY subject")
        self.data = pathlib.Path(self.server.data)

    def send(self, n, stem="d"):
        for k in range(n):
            made = [event(id=f"{stem}{k}-{i}", subject=f"damage-me-{k % 3}", data="x" * 1000) for i in range(10)]
            self.assertEqual(200, self.server.send(made).status)

    def rows(self):
        return {r["s"]: r["n"] for r in self.server.values("n")}

    def segments(self):
        return sorted(p for p in (self.data / "log").iterdir() if p.is_file())

    def snapshots(self):
        """Whole ones: a .tmp is what a kill left of one that was being written."""
        return sorted(p for p in (self.data / "snapshots").iterdir() if p.suffix != ".tmp")

    def files(self):
        return {p.name: p.read_bytes() for p in self.data.rglob("*") if p.is_file() and p.name != "LOCK"}

    def flip(self, path, at):
        whole = bytearray(path.read_bytes())
        whole[at] ^= 0x20
        path.write_bytes(whole)

    def check_refused(self, *words):
        before = self.files()
        done = run(["serve", "--listen", f"127.0.0.1:{free_port()}", "--data", self.data], seconds=20)
        self.assertEqual(75, done.returncode, (done.stdout, done.stderr))
        for word in words:
            self.assertIn(word, done.stderr)
        after = self.files()
        self.assertEqual(set(before), set(after))
        self.assertEqual([], [f for f in before if before[f] != after[f]], "changed by a refused start")

    def newest_snapshot_file(self):
        newest = self.snapshots()[-1]
        return newest if newest.is_file() else max((p for p in newest.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)

    def test_a_byte_flipped_in_acknowledged_events(self):
        self.send(30)
        self.server.kill9()
        path = self.segments()[-1]
        self.flip(path, path.read_bytes().rindex(b"damage-me-1", 0, path.read_bytes().rindex(b"damage-me-1") - 5000))
        self.check_refused(path.name)
        done = run(["log", "verify", self.data])
        self.assertEqual(75, done.returncode, (done.stdout, done.stderr))
        self.assertEqual(75, run(["replay", "--data", self.data]).returncode)

    def test_the_log_after_the_newest_snapshot_is_gone(self):
        self.send(150)
        self.assertEqual(0, self.server.stop())
        self.assertTrue(self.snapshots(), "no snapshot after 1 MiB of log")
        for path in self.segments():
            path.unlink()
        done = run(["serve", "--listen", f"127.0.0.1:{free_port()}", "--data", self.data], seconds=20)
        self.assertEqual(75, done.returncode, (done.stdout, done.stderr))

    def test_a_broken_snapshot_is_not_needed(self):
        self.send(150)
        before = self.rows()
        self.assertEqual(0, self.server.stop())
        self.assertTrue(self.snapshots(), "no snapshot after 1 MiB of log")
        for part in (0, 0.5, 1):
            path = self.newest_snapshot_file()  # the server may have taken one since
            at = int((path.stat().st_size - 1) * part)
            kept = path.read_bytes()
            self.flip(path, at)
            self.server.start()
            self.assertEqual(before, self.rows(), f"byte {at} of {path.name}")
            self.assertIn(b"\ntidemark_snapshots_damaged_total 1\n", self.server.request("GET", "/metrics").body)
            self.server.kill9()
            path.write_bytes(kept)
        path = self.newest_snapshot_file()
        path.write_bytes(b"")
        self.server.start()
        self.assertEqual(before, self.rows())

    def test_without_any_snapshot_the_log_alone_is_enough(self):
        self.send(150)
        before = self.rows()
        self.server.kill9()
        for path in self.snapshots():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.server.start()
        self.assertEqual(before, self.rows())

    def test_junk_behind_the_end_was_never_promised(self):
        self.send(5)
        before = self.rows()
        self.server.kill9()
        path = self.segments()[-1]
        whole = bytearray(path.read_bytes())
        end = len(whole.rstrip(b"\0"))
        at = (end + 4096) // 4096 * 4096
        whole[at:at + 3000] = bytes(k * 7 % 256 for k in range(3000))
        path.write_bytes(whole)
        self.server.start()
        self.assertEqual(before, self.rows())
        self.send(5, "more")
        self.server.kill9()
        self.server.start()
        self.assertEqual(2 * sum(before.values()), sum(self.rows().values()))


if __name__ == "__main__":
    cases.main()

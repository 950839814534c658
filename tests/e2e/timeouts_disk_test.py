#!/usr/bin/env python3
"""Keys and data of timeouts beyond their memory lie on disk: nobody but the memory's size tells that they do."""
import json
import time

from support import cases, notes, timeouts
from support.replay import check_replays
from support.server import sanitized
from support.timeouts import TIMEOUTS, get, post_batch, results, states
from support.totals import thinned

MIB = 1 << 20
COUNT = thinned(60_000, 400_000)
FIRING = 40_000  # as many as the feed keeps
DATA_BYTES = 900  # incompressible to whoever looks: each one's own
PAYLOAD_MEMORY = 2 * MIB
# What 1 timeout takes beside its payload, generously, and a server with its buffers.
HOT_BYTES = 100
BESIDE_BYTES = 80 * MIB


def data_of(number, turn=0):
    return {"number": number, "turn": turn, "text": (f"{number:08d}-" * (DATA_BYTES // 9))}


class OnDisk(timeouts.Case):
    arguments = ("--memory", "2G", "--payload-memory", "2M", "--snapshot-every", "32M")

    def create_all(self, within="P1D", turn=0, count=COUNT):
        for first in range(0, count, 1000):
            got = results(post_batch(self.server, [
                {"op": "create", "key": f"disk-{n}", "within": within, "data": data_of(n, turn), "on_exists": "replace"}
                for n in range(first, first + 1000)]))
            self.assertEqual([], [one for one in got if one["status"] not in (200, 201)][:3])

    def check_data(self, numbers, turn=0):
        for number in numbers:
            self.assertEqual(data_of(number, turn), get(self.server, f"disk-{number}")["data"])

    def metric(self, name):
        text = self.server.request("GET", "/metrics").body.decode()
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"tidemark_{name} ")))

    def check_memory(self):
        """The payloads are on disk: memory holds little of them, soon after the last change."""
        if sanitized():
            return  # their own memory hides ours
        most = BESIDE_BYTES + COUNT * HOT_BYTES
        self.assertLess(most, COUNT * DATA_BYTES + BESIDE_BYTES, "the test is too small to tell")
        self.eventually(lambda: self.server.resident_bytes() < most, 30, f"less than {most >> 20} MiB resident")

    def test_1_they_leave_memory_and_are_there(self):
        self.create_all()
        self.eventually(lambda: self.metric("payload_memory_bytes") <= 2 * PAYLOAD_MEMORY + 32 * MIB, 30, "on disk")
        self.check_memory()
        self.assertGreater(self.metric("payload_written_bytes_total"), COUNT * DATA_BYTES / 2)
        self.assertEqual(0, self.metric("payload_failures_total"))
        self.assertGreater(self.metric("timeouts_cold_bytes"), COUNT * DATA_BYTES)
        self.assertEqual(COUNT, states(self.server)["pending"])
        self.check_data(range(0, COUNT, COUNT // 300))

    def test_2_what_changes_on_disk_stays_changed(self):
        numbers = range(0, COUNT, 7)
        for first in range(0, len(numbers), 1000):
            got = results(post_batch(self.server, [{"op": "heartbeat", "key": f"disk-{n}", "extend": "P2D"}
                                                   for n in numbers[first:first + 1000]]))
            self.assertEqual([], [one for one in got if one["status"] != 200][:3])
        self.check_data(range(0, COUNT, COUNT // 300))
        for number in range(0, COUNT, COUNT // 300):
            self.assertEqual(2 if number % 7 == 0 else 1, get(self.server, f"disk-{number}")["version"])

    def test_3_a_restart_finds_all_of_it_again(self):
        for end in (self.server.kill9, self.server.stop):
            end()
            self.server.start()
            self.assertEqual(COUNT, states(self.server)["pending"])
            self.check_data(range(0, COUNT, COUNT // 300))
            self.check_memory()
        listed = self.server.walk(TIMEOUTS, limit=1000)
        self.assertEqual(COUNT, len(listed))
        self.assertEqual(COUNT, len({one["key"] for one in listed}))
        self.assertEqual([], [one["key"] for one in listed if one["data"]["number"] != int(one["key"][5:])])

    def test_4_replaced_and_fired_they_tell_what_was_given_last(self):
        self.create_all(within="PT1S", turn=1, count=FIRING)
        deadline = time.monotonic() + 60
        seen = {}
        after = None
        while len(seen) < FIRING and time.monotonic() < deadline:
            items, after = notes.read(self.server, after=after, type=notes.FIRED)
            for item in items:
                self.assertNotIn(item["subject"], seen)
                number = int(item["subject"][5:])
                seen[item["subject"]] = number
                self.assertEqual(data_of(number, 1), item["data"]["data"], json.dumps(item)[:300])
        self.assertEqual(FIRING, len(seen))

    def test_5_the_log_gives_the_same_state_again(self):
        self.assertEqual(0, self.server.stop())
        check_replays(self, self.server.data)
        self.server.start()


if __name__ == "__main__":
    cases.main()

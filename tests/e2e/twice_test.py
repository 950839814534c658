#!/usr/bin/env python3
"""A file sent twice counts once."""
import gzip
import os
import pathlib
import unittest

import truth_lib as truth
from truth_lib import HOUR
from support import cases
from support.feeder import feed
from support.replay import check_replays
from support.server import Server

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo" / "flights-2013-01-01.ndjson.gz"
MONTH = pathlib.Path(os.environ.get("TIDEMARK_TRUTH", "/nonexistent")) / "flights" / "flights-2013-01.ndjson.gz"


class Twice(unittest.TestCase):
    def lines(self, path):
        return [line for line in gzip.open(path).read().splitlines() if line]

    def start(self, disorder="PT7H", lateness="", partitions=4):
        server = Server(partitions, 2)
        self.addCleanup(server.discard)
        server.start()
        server.put_source("*", watermark="bounded", disorder=disorder)
        server.sql("CREATE METRIC twice WITH (retain = '365 days') AS SELECT type AS kind, count(*) AS n, "
                   "sum(data.dep_delay) AS delay, avg(data.dep_delay) AS mean FROM TUMBLE(events, time, INTERVAL '1 hour') "
                   f"GROUP BY type {lateness}")
        return server

    def rows(self, server):
        return {(r["window_start"], r["kind"]): (r["n"], r["delay"], r["mean"], r["revision"]) for r in server.values("twice")}

    def check_right(self, path, rows):
        counts = truth.counts(truth.group_tumbling(truth.read_events(path), HOUR, ["type"]))
        self.assertEqual({(truth.time_text(k[0]), k[1]): n for k, n in counts.items()}, {k: r[0] for k, r in rows.items()})

    def test_without_final_in_between(self):
        lines = self.lines(DEMO)
        server = self.start()
        feed(server, lines, 500)
        server.send([], "applied")
        before = self.rows(server)
        feed(server, lines, 333)
        server.final("*")
        self.check_right(DEMO, self.rows(server))
        self.assertEqual(before, self.rows(server))

    def test_with_final_in_between(self):
        lines = self.lines(DEMO)
        server = self.start()
        feed(server, lines, 500)
        server.final("*")
        before = self.rows(server)
        self.check_right(DEMO, before)
        feed(server, lines, None)
        self.assertEqual(before, self.rows(server))
        server.final("*", False)
        feed(server, lines, 500)
        server.final("*")
        self.assertEqual(before, self.rows(server))
        self.assertEqual(0, server.stop())
        check_replays(self, server.data)

    def test_across_a_kill_and_a_restart(self):
        lines = self.lines(DEMO)
        server = self.start(lateness="ALLOW LATENESS INTERVAL '3 days'")
        feed(server, lines, 500, "kill")
        server.kill9()
        server.start()
        feed(server, lines, 500, "term")
        server.final("*")
        self.check_right(DEMO, self.rows(server))

    def test_answers_say_duplicate_or_late_for_each(self):
        # All of it lies within the dedup horizon of a day behind the last event but the first two days.
        lines = self.lines(DEMO)[-1500:]
        server = self.start()
        for again in (False, True):
            duplicates = 0
            for i in range(0, len(lines), 100):
                answer = server.send([line.decode() for line in lines[i:i + 100]], "applied").json
                self.assertEqual(len(lines[i:i + 100]), answer["accepted"])
                self.assertEqual(0, answer["late"])
                duplicates += answer["duplicates"]
            events = truth.read_events(DEMO)[-1500:]
            repeated = len(events) - len(truth.unique(events))
            self.assertEqual(len(lines) if again else repeated, duplicates)

    @unittest.skipUnless(MONTH.exists(), "the whole month isn't at hand (flights/flights-2013-01.ndjson.gz)")
    def test_a_whole_month_twice_far_beyond_the_dedup_horizon(self):
        lines = self.lines(MONTH)
        server = self.start(lateness="ALLOW LATENESS INTERVAL '3 days'", partitions=16)
        feed(server, lines, None)
        server.send([], "applied")
        first = {k: v[0] for k, v in self.rows(server).items()}
        feed(server, lines, None)
        server.final("*")
        feed(server, lines, None)
        rows = self.rows(server)
        self.check_right(MONTH, rows)
        self.assertEqual(first, {k: v[0] for k, v in rows.items()})


if __name__ == "__main__":
    cases.main()

#!/usr/bin/env python3
"""The oracle itself, against truths that somebody else computed.

tests/golden/flights holds the part of them that the demo's three days decide: windows that no event
outside the demo could change. When the whole month is at hand (TIDEMARK_TRUTH names the folder),
the oracle is checked on that too.
"""
import csv
import gzip
import os
import pathlib
import unittest

import truth_lib as truth
from truth_lib import DAY, HOUR, MINUTE, SECOND

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo" / "flights-2013-01-01.ndjson.gz"
GOLDEN = ROOT / "tests" / "golden" / "flights"
MONTH = pathlib.Path(os.environ.get("TIDEMARK_TRUTH", "/nonexistent"))


def rows(path):
    """The CSV's rows as dictionaries."""
    opened = gzip.open(path, "rt", newline="") if path.suffix == ".gz" else open(path, newline="")
    with opened as lines:
        return list(csv.DictReader(lines))


class Oracle:
    """The same questions for any file; the truths cover what ends by `end`."""

    @classmethod
    def file(cls, name):
        plain = cls.folder / name
        return plain if plain.exists() else cls.folder / (name + ".gz")

    def window_rows(self, name, columns):
        return {(truth.time_us(r["window_start"]), *(r[c] for c in columns[:-1])): r[columns[-1]]
                for r in rows(self.file(name))}

    def check_counts(self, name, groups, size_us, columns, end=None):
        expected = self.window_rows(name, (*columns, "n"))
        actual = {key: str(n) for key, n in truth.counts(groups).items()
                  if self.covered(key[0], size_us, end)}
        self.assertGreater(len(expected), 10)
        self.assertEqual(expected, actual)

    def test_counts_by_type_and_by_source(self):
        self.check_counts("tumbling_1h_by_type.csv",
                          truth.group_tumbling(self.events, HOUR, ["type"]), HOUR, ["type"])
        self.check_counts("tumbling_1h_by_source.csv",
                          truth.group_tumbling(self.events, HOUR, ["source"]), HOUR, ["source"])
        self.check_counts("tumbling_5m_by_type.csv",
                          truth.group_tumbling(self.events, 5 * MINUTE, ["type"]), 5 * MINUTE, ["type"])

    def test_hopping_windows(self):
        carrier = [e for e in self.events if e["source"] == "/carriers/UA"]
        self.check_counts("hopping_1h_5m_UA.csv",
                          truth.group_hopping(carrier, 5 * MINUTE, HOUR), HOUR, [])

    def test_sessions_merge_at_exactly_the_gap(self):
        departed = [e for e in self.events if e["type"] == "flight.departed"]
        expected = {(truth.time_us(r["first"]), r["origin"]): (truth.time_us(r["last"]), int(r["n"]))
                    for r in rows(self.file("sessions_10m_departed_by_origin_touching_merge.csv"))}
        actual = {key: (events[-1]["us"], len(events)) for key, events in
                  truth.group_sessions(departed, 10 * MINUTE, ["data.origin"]).items()
                  if self.session_covered(key[0], events[-1]["us"])}
        self.assertGreater(len(expected), 100)
        self.assertEqual(expected, actual)

    def test_aggregates_of_the_delay(self):
        departed = [e for e in self.events if e["type"] == "flight.departed"]
        groups = truth.group_tumbling(departed, HOUR, ["data.origin"])
        groups = {key: events for key, events in groups.items() if self.covered(key[0], HOUR)}
        expected = rows(self.file("agg_1h_departed_by_origin.csv"))
        self.assertEqual(len(expected), len(groups))
        for row in expected:
            events = groups[(truth.time_us(row["window_start"]), row["origin"])]
            actual = truth.summary(events, "data.dep_delay")
            self.assertEqual(int(row["n"]), len(events))
            for name in ("sum", "min", "max"):
                self.assertEqual(int(row[f"{name}_delay"]), actual[name])
            self.assertAlmostEqual(float(row["avg_delay"]), actual["avg"], delta=1e-9)
            self.assertAlmostEqual(float(row["stddev_pop"]), actual["stddev_pop"], delta=1e-9)

    def test_top_distinct_and_percentiles(self):
        departed = [e for e in self.events if e["type"] == "flight.departed"]
        groups = truth.group_tumbling(departed, HOUR)
        for row in rows(self.file("quantiles_1h_dep_delay.csv")):
            events = groups[(truth.time_us(row["window_start"]),)]
            for p in ("0.50", "0.90", "0.99"):
                self.assertEqual(float(row[f"p{p[2:]}_disc"]),
                                 truth.percentile(events, "data.dep_delay", p))
        best = {}
        for row in rows(self.file("top5_dest_1h_departed.csv")):
            best.setdefault(truth.time_us(row["window_start"]), []).append((row["dest"], int(row["n"])))
        for start, items in best.items():
            self.assertEqual(items, truth.top(groups[(start,)], "data.dest", 5))
        moved = [e for e in self.events if e["type"] in ("flight.departed", "flight.arrived")]
        groups = truth.group_tumbling(moved, HOUR)
        for row in rows(self.file("distinct_1h.csv")):
            events = groups[(truth.time_us(row["window_start"]),)]
            self.assertEqual(int(row["tailnums"]), truth.distinct(events, "data.tailnum"))
            self.assertEqual(int(row["subjects"]), truth.distinct(events, "subject"))

    def check_watermark(self, size_us, disorder_us, counts_file, dropped_file):
        kept, dropped = truth.drop_late(self.events, size_us, disorder_us)
        self.check_counts(counts_file, truth.group_tumbling(kept, size_us, ["type"]), size_us,
                          ["type"], truth.watermark(self.events, disorder_us))
        expected = [(r["source"], r["id"]) for r in rows(self.file(dropped_file))]
        actual = [(e["source"], e["id"]) for e in dropped
                  if self.covered(e["us"] // size_us * size_us, size_us)]
        self.assertGreater(len(expected), 5)
        self.assertEqual(expected, actual)

    def test_one_watermark_drops_the_same_events(self):
        self.check_watermark(HOUR, 600 * SECOND, "watermark_1h_by_type_ooo600s.csv",
                             "watermark_1h_ooo600s_dropped.csv")
        self.check_watermark(5 * MINUTE, 60 * SECOND, "watermark_5m_by_type_ooo60s.csv",
                             "watermark_5m_ooo60s_dropped.csv")


class TheDemosThreeDays(Oracle, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = GOLDEN
        cls.events = truth.read_events(DEMO)
        cls.end = truth.time_us("2013-01-04T06:00:00Z")

    def covered(self, start, size_us, end=None):
        return start + size_us <= (self.end if end is None else min(end, self.end))

    def session_covered(self, _first, last):
        return last + 10 * MINUTE < self.end

    def test_the_demo_has_duplicates_and_disorder_to_speak_of(self):
        self.assertEqual(8305, len(self.events))
        self.assertEqual(8220, len(truth.unique(self.events)))
        highest = 0
        behind = 0
        for event in self.events:
            behind += event["us"] < highest
            highest = max(highest, event["us"])
        self.assertEqual(519, behind)


@unittest.skipUnless((MONTH / "truth").is_dir(), f"the whole month isn't at hand ({MONTH.name}/truth)")
class TheWholeMonth(Oracle, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = MONTH / "truth"
        cls.events = truth.read_events(MONTH / "flights" / "flights-2013-01.ndjson.gz")
        cls.end = truth.time_us("2013-01-16T05:00:00Z")

    def covered(self, start, _size_us, _end=None):
        return start < self.end

    def session_covered(self, first, _last):
        return first < self.end

    def test_days_of_new_york(self):
        groups = truth.group_tumbling(self.events, DAY, ["type"], offset_us=5 * HOUR)
        self.check_counts("tumbling_day_newyork_by_type.csv", groups, DAY, ["type"])


class TheTextOfTimes(unittest.TestCase):
    def test_offsets_fractions_and_leap_seconds(self):
        self.assertEqual(0, truth.time_us("1970-01-01T00:00:00Z"))
        self.assertEqual(-HOUR, truth.time_us("1970-01-01T00:00:00+01:00"))
        self.assertEqual(1_500_000, truth.time_us("1970-01-01T00:00:01.5Z"))
        self.assertEqual(1, truth.time_us("1970-01-01T00:00:00.0000019Z"))
        self.assertEqual(truth.time_us("2017-01-01T00:00:00Z"), truth.time_us("2016-12-31T23:59:60Z"))
        self.assertEqual("2013-01-01T06:00:00Z", truth.time_text(truth.time_us("2013-01-01T06:00:00Z")))
        self.assertEqual("1970-01-01T00:00:01.5Z", truth.time_text(1_500_000))
        with self.assertRaises(ValueError):
            truth.time_us("yesterday")


if __name__ == "__main__":
    unittest.main(verbosity=2)

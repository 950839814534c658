#!/usr/bin/env python3
"""The engine against the truths: every window, every key, whatever the partitions, threads, batches
and interruptions.

A run sends a whole file, makes every lane final and reads all rows of all metrics. They must be those of
the naive oracle, and of the truths that somebody else computed wherever these reach. The list of
runs is pairwise complete. Without the whole month (TIDEMARK_TRUTH) the demo's three days are used.
"""
import csv
import gzip
import itertools
import json
import os
import pathlib
import time
import unittest
from collections import Counter

import truth_lib as truth
from truth_lib import DAY, HOUR, MINUTE, SECOND
from support import cases
from support.feeder import feed
from support.replay import check_replays
from support.server import Server

ROOT = pathlib.Path(__file__).resolve().parents[2]
MONTH = pathlib.Path(os.environ.get("TIDEMARK_TRUTH", "/nonexistent"))
HAS_MONTH = (MONTH / "truth").is_dir()

# Disorder, lateness of the plain metrics, and (size, name) of the metric that drops what is late.
SETTINGS = {
    "ten minutes": ("PT10M", "ALLOW LATENESS INTERVAL '3 days'", (HOUR, 600 * SECOND, "1 hour", "1h", "600s")),
    "one minute": ("PT1M", "ALLOW LATENESS INTERVAL '3 days'", (5 * MINUTE, 60 * SECOND, "5 minutes", "5m", "60s")),
    "seven hours": ("PT7H", "", None),
}
FORMS = {"events of 1": 1, "batches of 37": 37, "batches of 500": 500, "one stream of lines": None}
CHAOS = {"undisturbed": None, "restarted": "term", "killed": "kill"}
PARTITIONS = (1, 4, 16)
THREADS = (1, 2)

# Names, columns, window.
COUNTS = [
    ("tumbling_1h_by_type", ["type"], HOUR, "1 hour"), ("tumbling_1h_by_source", ["source"], HOUR, "1 hour"),
    ("tumbling_5m_by_type", ["type"], 5 * MINUTE, "5 minutes"),
    ("tumbling_5m_by_source", ["source"], 5 * MINUTE, "5 minutes"),
    ("tumbling_15m_by_source_type", ["source", "type"], 15 * MINUTE, "15 minutes"),
]


def runs():
    """Twelve runs in which each two values of two factors meet at least once."""
    for (f, form), (c, chaos) in itertools.product(enumerate(FORMS), enumerate(CHAOS)):
        yield {"form": form, "chaos": chaos, "partitions": PARTITIONS[(f + c) % 3],
               "threads": THREADS[(f + c) % 2], "setting": list(SETTINGS)[(f + 2 * c) % 3]}


class Data:
    """A file of events, its truths, and up to where they reach."""
    _kept = {}

    def __init__(self, name):
        if name == "month":
            path, self.folder = MONTH / "flights" / "flights-2013-01.ndjson.gz", MONTH / "truth"
            self.end = truth.time_us("2013-01-16T05:00:00Z")
        else:
            path, self.folder = ROOT / "demo" / "flights-2013-01-01.ndjson.gz", ROOT / "tests" / "golden" / "flights"
            self.end = truth.time_us("2013-01-04T06:00:00Z")
        self.name = name
        self.lines = [line for line in gzip.open(path).read().splitlines() if line]
        self.events = truth.read_events(path)
        if name == "slice":
            self.lines, self.events, self.folder = self.lines[:2000], self.events[:2000], None
        self._groups = {}

    @classmethod
    def of(cls, name):
        if name not in cls._kept:
            cls._kept[name] = cls(name)
        return cls._kept[name]

    def truths(self, stem, columns, value=int):
        """The rows of a truth file as {key: value}, or None."""
        for suffix, opened in ((".csv", open), (".csv.gz", gzip.open)):
            path = self.folder and self.folder / (stem + suffix)
            if path and path.exists():
                with opened(path, "rt", newline="") as lines:
                    return {(truth.time_us(r["window_start"]), *(r[c] for c in columns)): value(r)
                            for r in csv.DictReader(lines)}
        return None

    def covered(self, start, size, watermark=None):
        if self.name == "month":
            return start < self.end
        return start + size <= min(self.end, watermark or self.end)

    def counts(self, columns, size):
        key = tuple(columns), size
        if key not in self._groups:
            self._groups[key] = truth.counts(truth.group_tumbling(self.events, size, columns))
        return self._groups[key]


def column(name):
    """'type' and 'source' as output columns of another name."""
    return {"type": "kind", "source": "lane"}.get(name, name.rsplit(".", 1)[-1])


def create(name, select, window, where="", by=(), lateness="", options=""):
    groups = "".join(f"{b} AS {column(b)}, " for b in by)
    group_by = f"GROUP BY {', '.join(by)}" if by else ""
    return (f"CREATE METRIC {name} WITH (retain = '3650 days'{options}) AS SELECT {groups}{select} "
            f"FROM {window} {where} {group_by} {lateness}")


def tumble(size):
    return f"TUMBLE(events, time, INTERVAL '{size}')"


class TheListOfRuns(unittest.TestCase):
    def test_each_two_values_of_two_factors_meet(self):
        factors = {"form": FORMS, "chaos": CHAOS, "partitions": PARTITIONS, "threads": THREADS, "setting": SETTINGS}
        for (a, a_values), (b, b_values) in itertools.combinations(factors.items(), 2):
            met = {(r[a], r[b]) for r in runs()}
            self.assertEqual(set(itertools.product(a_values, b_values)), met, (a, b))


class Run:
    """What every run checks. Subclasses are made from the list below."""
    maxDiff = 3000

    @classmethod
    def setUpClass(cls):
        began = time.monotonic()
        disorder, lateness, dropping = SETTINGS[cls.plan["setting"]]
        form = FORMS[cls.plan["form"]]
        cls.data = Data.of("slice" if form == 1 else "month" if HAS_MONTH else "demo")
        # Small, so that a restart in the middle begins at a snapshot, and not always the same one.
        cls.server = server = Server(cls.plan["partitions"], cls.plan["threads"],
                                     arguments=["--snapshot-every", "3M"])
        cls.addClassCleanup(server.discard)
        server.start()
        server.put_source("*", watermark="bounded", disorder=disorder)
        for name, by, _, size in COUNTS:
            server.sql(create(name, "count(*) AS n", tumble(size), "", by, lateness))
        server.sql(create("agg", "count(*) AS n, sum(data.dep_delay) AS sum_delay, avg(data.dep_delay) AS avg_delay, "
                          "min(data.dep_delay) AS min_delay, max(data.dep_delay) AS max_delay, "
                          "count(*) FILTER (WHERE data.dep_delay > 15) AS over15",
                          tumble("1 hour"), "WHERE type = 'flight.departed'", ["data.origin"], lateness))
        if dropping:
            server.sql(create("dropping", "count(*) AS n", tumble(dropping[2]), "", ["type"]))
        feed(server, cls.data.lines, form, CHAOS[cls.plan["chaos"]], seed=20130101)
        cls.fed = time.monotonic() - began
        server.final("*")

    @classmethod
    def tearDownClass(cls):
        print(f"{cls.__name__}: {len(cls.data.lines)} events in {cls.fed:.1f} s, {cls.plan}", flush=True)

    def read(self, metric, columns, value="n"):
        rows = self.server.values(metric)
        keyed = {(truth.time_us(r["window_start"]), *(r[column(c)] for c in columns)): r for r in rows}
        self.assertEqual(len(rows), len(keyed), "a row twice")
        for row in rows:
            self.assertTrue(row["closed"] and row["final"], row)
        return {k: r[value] for k, r in keyed.items()} if value else keyed

    def check_same(self, expected, actual):
        if expected != actual:
            missing = {k: expected[k] for k in expected if k not in actual}
            extra = {k: actual[k] for k in actual if k not in expected}
            other = {k: (expected[k], actual[k]) for k in expected if k in actual and expected[k] != actual[k]}
            self.fail(f"of {len(expected)} rows {len(missing)} missing, {len(extra)} extra, {len(other)} different: "
                      f"{list(missing.items())[:3]} {list(extra.items())[:3]} {list(other.items())[:5]}")

    def check_counts(self, name, by, size):
        actual = self.read(name, by)
        self.check_same(self.data.counts(by, size), actual)
        told = self.data.truths(name, by, lambda r: int(r["n"]))
        if told is not None:
            self.check_same(told, {k: n for k, n in actual.items() if self.data.covered(k[0], size)})

    def test_aggregates_of_the_delay(self):
        actual = self.read("agg", ["data.origin"], None)
        departed = [e for e in self.data.events if e["type"] == "flight.departed"]
        groups = truth.group_tumbling(departed, HOUR, ["data.origin"])
        self.assertEqual(set(groups), set(actual))
        told = self.data.truths("agg_1h_departed_by_origin", ["origin"], dict) or {}
        for key, events in groups.items():
            row = actual[key]
            sums = truth.summary(events, "data.dep_delay")
            over = sum(1 for v in truth.numbers(events, "data.dep_delay") if v > 15)
            self.assertEqual((len(events), sums["sum"], sums["min"], sums["max"], over),
                             tuple(row[c] for c in ("n", "sum_delay", "min_delay", "max_delay", "over15")), key)
            self.assertAlmostEqual(sums["avg"], row["avg_delay"], delta=1e-9 * max(1, abs(sums["avg"])))
            if key in told and self.data.covered(key[0], HOUR):
                other = told[key]
                self.assertEqual(tuple(int(other[c]) for c in ("n", "sum_delay", "min_delay", "max_delay", "over15")),
                                 tuple(row[c] for c in ("n", "sum_delay", "min_delay", "max_delay", "over15")), key)
                self.assertAlmostEqual(float(other["avg_delay"]), row["avg_delay"],
                                       delta=1e-9 * max(1, abs(row["avg_delay"])))
        self.assertTrue(all(k in actual for k in told))

    def test_what_a_watermark_drops(self):
        dropping = SETTINGS[self.plan["setting"]][2]
        if dropping is None:
            if self.plan["form"] != "one stream of lines":  # sent again from the start when disturbed
                self.assertEqual([], self.server.walk("/v1/late"))  # nothing is 7 h late
            return
        size, disorder, _, short, ooo = dropping
        kept, dropped = truth.drop_late(self.data.events, size, disorder)
        actual = self.read("dropping", ["type"])
        self.check_same(truth.counts(truth.group_tumbling(kept, size, ["type"])), actual)
        told = self.data.truths(f"watermark_{short}_by_type_ooo{ooo}", ["type"], lambda r: int(r["n"]))
        if told is not None:
            watermark = truth.watermark(self.data.events, disorder)
            self.check_same(told, {k: n for k, n in actual.items() if self.data.covered(k[0], size, watermark)})
        late = Counter((e["source"], e["id"]) for e in map(inner, self.server.walk("/v1/late", limit=500)))
        wanted = {(e["source"], e["id"]): 1 for e in dropped}
        if FORMS[self.plan["form"]] is None and self.plan["chaos"] != "undisturbed":
            # What was sent again from the start is far behind the dedup horizon: it is late, if not counted.
            self.assertEqual(set(), set(wanted) - set(late))
            again = {(e["source"], e["id"]) for e in self.data.events[:len(self.data.events) // 2]}
            self.assertEqual(set(), set(late) - set(wanted) - again)
        else:
            self.check_same(wanted, dict(late))

    def test_zz_replays_give_the_same_digest(self):
        # Last by its name: it stops the server.
        before = self.server.values("tumbling_1h_by_source")
        self.assertEqual(0, self.server.stop(), self.server.output()[-2000:])
        check_replays(self, self.server.data)
        self.server.start()
        self.assertEqual(before, self.server.values("tumbling_1h_by_source"), "rows after a start at a snapshot")


def inner(item):
    """An item of the late stream: the event itself, or in a member of that name."""
    return item["event"] if "event" in item and "id" not in item else item


for _number, _plan in enumerate(runs(), 1):
    _members = {"plan": _plan}
    for _name, _by, _us, _ in COUNTS:
        _members[f"test_{_name}"] = lambda self, a=_name, b=_by, c=_us: self.check_counts(a, b, c)
    globals()[f"Run{_number:02d}"] = type(f"Run{_number:02d}", (Run, unittest.TestCase), _members)


# Truths that need more of the language than counting; each is skipped while it is refused.
FURTHER = [
    ("hop", create("hop", "count(*) AS n, count(*) FILTER (WHERE type = 'flight.departed') AS departed",
                   "HOP(events, time, INTERVAL '5 minutes', INTERVAL '1 hour')", "WHERE source = '/carriers/UA'")),
    ("session", create("session", "count(*) AS n", "SESSION(events, time, INTERVAL '10 minutes')",
                       "WHERE type = 'flight.departed'", ["data.origin"])),
    ("newyork", create("newyork", "count(*) AS n", tumble("1 day"), "", ["type"],
                       options=", timezone = 'America/New_York'")),
    ("geo", create("geo", "count(*) AS n", tumble("1 hour"), "WHERE type = 'flight.arrived' AND "
                   "geo_distance(data.lat, data.lon, 41.978603, -87.904842) < 500000")),
    ("spread", create("spread", "count(*) AS n, stddev_pop(data.dep_delay) AS spread", tumble("1 hour"),
                      "WHERE type = 'flight.departed'", ["data.origin"])),
    ("quantiles", create("quantiles", "approx_percentile(data.dep_delay, 0.5) AS p50, "
                         "approx_percentile(data.dep_delay, 0.9) AS p90, approx_percentile(data.dep_delay, 0.99) AS p99",
                         tumble("1 hour"), "WHERE type = 'flight.departed'")),
    ("distinct_", create("distinct_", "approx_count_distinct(data.tailnum) AS tails, approx_count_distinct(subject) AS flights",
                         tumble("1 hour"), "WHERE type IN ('flight.departed', 'flight.arrived')")),
    ("top", create("top", "approx_top_k(data.dest, 5) AS top", tumble("1 hour"), "WHERE type = 'flight.departed'")),
]


class MoreOfTheLanguage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.data = Data.of("month" if HAS_MONTH else "demo")
        cls.server = server = Server(4, 2)
        cls.addClassCleanup(server.discard)
        server.start()
        server.put_source("*", watermark="bounded", disorder="PT7H")
        cls.refused = {}
        for name, text in FURTHER:
            reply = server.request("POST", "/v1/sql", text, content_type="text/plain")
            if reply.status not in (200, 201):
                cls.refused[name] = reply.json["detail"]
        feed(server, cls.data.lines, None)
        server.final("*")

    def rows(self, name):
        if name in self.refused:
            self.skipTest(f"the language refuses it: {self.refused[name]}")
        return self.server.values(name)

    def starts(self, rows, *columns):
        return {(truth.time_us(r["window_start"]), *(r[c] for c in columns)): r for r in rows}

    def of_type(self, *types):
        return [e for e in self.data.events if e["type"] in types]

    def test_hopping_windows(self):
        rows = {k[0]: (r["n"], r["departed"]) for k, r in self.starts(self.rows("hop")).items()}
        groups = truth.group_hopping([e for e in self.data.events if e["source"] == "/carriers/UA"], 5 * MINUTE, HOUR)
        self.assertEqual({k[0]: (len(v), sum(e["type"] == "flight.departed" for e in v)) for k, v in groups.items()}, rows)

    def test_sessions(self):
        groups = truth.group_sessions(self.of_type("flight.departed"), 10 * MINUTE, ["data.origin"])
        rows = self.starts(self.rows("session"), "origin")
        self.assertEqual({k: (len(v), v[-1]["us"] + 10 * MINUTE) for k, v in groups.items()},
                         {k: (r["n"], truth.time_us(r["window_end"])) for k, r in rows.items()})

    def test_days_of_new_york(self):
        groups = truth.group_tumbling(self.data.events, DAY, ["type"], offset_us=5 * HOUR)
        self.assertEqual(truth.counts(groups), {k: r["n"] for k, r in self.starts(self.rows("newyork"), "kind").items()})

    def test_a_circle_on_the_globe(self):
        rows = {k: r["n"] for k, r in self.starts(self.rows("geo")).items()}
        told = self.data.truths("geo_500km_ORD_1h_arrived", [], lambda r: int(r["n"]))
        if told is None:
            self.skipTest("its truth is not at hand (truth/geo_500km_ORD_1h_arrived)")
        self.assertEqual(told, {k: n for k, n in rows.items() if self.data.covered(k[0], HOUR)})

    def test_standard_deviation(self):
        rows = self.starts(self.rows("spread"), "origin")
        for key, events in truth.group_tumbling(self.of_type("flight.departed"), HOUR, ["data.origin"]).items():
            wanted = truth.summary(events, "data.dep_delay")["stddev_pop"]
            self.assertAlmostEqual(wanted, rows[key]["spread"], delta=1e-9 * max(1, wanted))

    def test_quantiles_within_a_hundredth(self):
        rows = self.starts(self.rows("quantiles"))
        for key, events in truth.group_tumbling(self.of_type("flight.departed"), HOUR).items():
            for name, p in (("p50", "0.5"), ("p90", "0.9"), ("p99", "0.99")):
                wanted = float(truth.percentile(events, "data.dep_delay", p))
                self.assertAlmostEqual(wanted, rows[key][name], delta=0.01 * abs(wanted) + 1e-9, msg=(key, name))

    def test_distinct_values(self):
        rows = self.starts(self.rows("distinct_"))
        for key, events in truth.group_tumbling(self.of_type("flight.departed", "flight.arrived"), HOUR).items():
            for name, path in (("tails", "data.tailnum"), ("flights", "subject")):
                wanted = truth.distinct(events, path)
                self.assertAlmostEqual(wanted, rows[key][name], delta=max(0.03 * wanted, 0.5), msg=(key, name))
                self.assertIn(f"{name}_error", rows[key])

    def test_the_most_frequent(self):
        rows = self.starts(self.rows("top"))
        for key, events in truth.group_tumbling(self.of_type("flight.departed"), HOUR).items():
            self.assertEqual(truth.top(events, "data.dest", 5), [(t["value"], t["count"]) for t in rows[key]["top"]])


@unittest.skipUnless(HAS_MONTH, f"the other feeds aren't at hand ({MONTH.name}/other)")
class OtherFeeds(unittest.TestCase):
    def fed(self, file, *texts):
        server = Server(4, 2)
        self.addCleanup(server.discard)
        server.start()
        server.put_source("*", watermark="bounded", disorder="PT7H")
        for text in texts:
            server.sql(text)
        feed(server, gzip.open(MONTH / "other" / file).read().splitlines(), 500)
        server.final("*")
        return server

    def told(self, name):
        with open(MONTH / "truth" / f"{name}.csv", newline="", encoding="utf-8") as lines:
            return list(csv.DictReader(lines))

    def test_earthquakes_by_source_and_the_strong_ones(self):
        server = self.fed("earthquakes-2018-02.ndjson.gz",
                          create("quakes", "count(*) AS n, count(data.mag) AS n_mag, max(data.mag) AS max_mag, "
                                 "avg(data.mag) AS avg_mag", tumble("1 hour"), "WHERE type = 'earthquake.detected'", ["source"]),
                          create("strong", "count(*) AS n, max(data.mag) AS mag", tumble("1 hour"),
                                 "WHERE type = 'earthquake.detected' AND data.mag >= 4.5", ["subject"]),
                          create("near", "count(*) AS n, max(data.mag) AS max_mag", tumble("6 hours"),
                                 "WHERE type = 'earthquake.detected' AND geo_distance(data.lat, data.lon, 37.7749, -122.4194) "
                                 "<= 368000"))
        told = {(truth.time_us(r["window_start"]), r["source"]): r for r in self.told("quakes_1h_by_source")}
        rows = {(truth.time_us(r["window_start"]), r["lane"]): r for r in server.values("quakes")}
        self.assertEqual(set(told), self.before_the_cut(rows, told))
        for key, t in told.items():
            r = rows[key]
            self.assertEqual((int(t["n"]), int(t["n_mag"])), (r["n"], r["n_mag"]))
            self.assertEqual(float(t["max_mag"]) if t["max_mag"] else None, r["max_mag"])
            if t["avg_mag"]:
                self.assertAlmostEqual(float(t["avg_mag"]), r["avg_mag"], delta=1e-9)
            else:
                self.assertIsNone(r["avg_mag"])
        told = {(truth.time_us(t["t"]) // HOUR * HOUR, t["subject"]): float(t["mag"]) for t in self.told("quakes_mag45")}
        rows = {(truth.time_us(r["window_start"]), r["subject"]): r["mag"] for r in server.values("strong")}
        self.assertEqual(told, {k: rows[k] for k in self.before_the_cut(rows, told)})
        told = {(truth.time_us(t["window_start"]),): (int(t["n"]), float(t["max_mag"]))
                for t in self.told("quakes_368km_SF_6h")}
        rows = {(truth.time_us(r["window_start"]),): (r["n"], r["max_mag"]) for r in server.values("near")}
        self.assertEqual(told, {k: rows[k] for k in self.before_the_cut(rows, told)})

    def before_the_cut(self, rows, told):
        """The truths cover the first half of each feed."""
        cut = max(key[0] for key in told)
        return {key for key in rows if key[0] <= cut}

    def test_football_by_weeks_that_start_on_monday(self):
        server = self.fed("football-2013-2017.ndjson.gz",
                          create("weeks", "count(*) AS matches, sum(data.home_score + data.away_score) AS goals, "
                                 "count(*) FILTER (WHERE data.home_score = data.away_score) AS draws", tumble("1 week"), "",
                                 ["source"]))
        told = {(truth.time_us(r["window_start"]), r["source"]): (int(r["matches"]), int(r["goals"]), int(r["draws"]))
                for r in self.told("football_week_by_league")}
        rows = {(truth.time_us(r["window_start"]), r["lane"]): (r["matches"], r["goals"], r["draws"])
                for r in server.values("weeks")}
        self.assertEqual(told, {k: rows[k] for k in self.before_the_cut(rows, told)})


if __name__ == "__main__":
    cases.main()

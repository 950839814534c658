#!/usr/bin/env python3
"""Rules against the truths: exactly the expected notifications, none missed, none twice, none early.

A run defines every rule, sends a whole file while it reads the feed, makes all lanes final and compares what
was told with the naive oracle (support/rules.py); the oracle is compared with the truths that somebody else
computed. Nothing may be told before the watermark has passed its deadline. Without the whole month
(TIDEMARK_TRUTH names the folder) the demo's three days are used, and the oracle alone says what is right.
"""
import csv
import gzip
import os
import pathlib
import unittest
from collections import Counter

import truth_lib as truth
from truth_lib import HOUR, MINUTE, time_us
from support import cases, notes, rules
from support.feeder import BATCH, feed
from support.rules import Silence, Timeout, of_type
from support.server import Server

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo" / "flights-2013-01-01.ndjson.gz"
MONTH = pathlib.Path(os.environ.get("TIDEMARK_TRUTH", "/nonexistent"))
HAS_MONTH = (MONTH / "truth").is_dir()
CUT = time_us("2013-01-16T05:00:00Z")  # the truths cover what began before
QUAKES_CUT = time_us("2018-02-04T00:00:00Z")
DEPARTED, ARRIVED, SCHEDULED = "flight.departed", "flight.arrived", "flight.scheduled"


def subject(event):
    return event.get("subject")


def source(event):
    return event["source"]


def flight(name, after, expect, within):
    return Timeout(name, of_type(after), of_type(expect), within, subject)


# The rule as text and as the oracle has it. Each is named as its truth file.
FLIGHTS = {
    "timeout_departed_arrived_8h": (
        "AFTER type = 'flight.departed' EXPECT type = 'flight.arrived' WITHIN INTERVAL '8 hours' PER subject",
        flight("timeout_departed_arrived_8h", DEPARTED, ARRIVED, 8 * HOUR)),
    "timeout_departed_arrived_3h": (
        "AFTER type = 'flight.departed' EXPECT type = 'flight.arrived' WITHIN INTERVAL '3 hours' PER subject "
        "CLOCK EVENT",
        flight("timeout_departed_arrived_3h", DEPARTED, ARRIVED, 3 * HOUR)),
    "timeout_departed_arrived_sched90": (
        "AFTER type = 'flight.departed' EXPECT type = 'flight.arrived' "
        "WITHIN (data.sched_min + 90) * INTERVAL '1 minute' PER subject",
        flight("timeout_departed_arrived_sched90", DEPARTED, ARRIVED,
               lambda start: int(start["data"]["sched_min"] + 90) * MINUTE)),
    "timeout_scheduled_departed_60m": (
        "AFTER type = 'flight.scheduled' EXPECT type = 'flight.departed' WITHIN INTERVAL '60 minutes' PER subject",
        flight("timeout_scheduled_departed_60m", SCHEDULED, DEPARTED, 60 * MINUTE)),
    "timeout_scheduled_departed_6h": (
        "AFTER type = 'flight.scheduled' EXPECT type = 'flight.departed' WITHIN INTERVAL '6' HOUR PER subject",
        flight("timeout_scheduled_departed_6h", SCHEDULED, DEPARTED, 6 * HOUR)),
    "silence_weather_90m": (
        "EXPECT type = 'weather.observed' EVERY INTERVAL '90 minutes' PER subject",
        Silence("silence_weather_90m", of_type("weather.observed"), 90 * MINUTE, subject)),
    "silence_carrier_12h": (
        "EXPECT type = 'flight.departed' EVERY INTERVAL '12 hours' PER source",
        Silence("silence_carrier_12h", of_type(DEPARTED), 12 * HOUR, source)),
}
QUAKES = {
    "quakes_timeout_update_24h": (
        "AFTER type = 'earthquake.detected' EXPECT type = 'earthquake.updated' WITHIN INTERVAL '1 day' PER subject",
        Timeout("quakes_timeout_update_24h", of_type("earthquake.detected"), of_type("earthquake.updated"), 24 * HOUR,
                subject)),
}


def lines_of(path):
    with gzip.open(path) as text:
        return [line for line in text.read().splitlines() if line]


def truth_notes(name):
    """A truth file as the oracle tells it."""
    told = Counter()
    with open(MONTH / "truth" / f"{name}.csv", newline="", encoding="utf-8") as text:
        for row in csv.DictReader(text):
            key = row.get("subject") or row.get("source") or row["origin"]
            told[name, key, time_us(row.get("trigger") or row["last_seen"]), time_us(row["deadline"])] += 1
    return told


def note_of(item):
    """A fired item of the feed as the oracle tells it."""
    data = item["data"]
    began = data["last_seen"] if data["rule"].startswith("silence") else data["started"]
    return data["rule"], item["subject"], time_us(began), time_us(data["deadline"])


@unittest.skipUnless(HAS_MONTH, f"the whole month isn't at hand ({MONTH.name}/truth)")
class TheOracle(unittest.TestCase):
    def check(self, name, told, before):
        expected = truth_notes(name)
        told = Counter({note: n for note, n in told.items() if note[2] < before})
        self.assertTrue(expected)
        self.assertEqual({}, dict(expected - told), "missed")
        self.assertEqual({}, dict(told - expected), "too many")

    def test_it_gives_each_truth_of_the_flights(self):
        events = truth.read_events(MONTH / "flights" / "flights-2013-01.ndjson.gz")
        for name, (_, rule) in FLIGHTS.items():
            with self.subTest(name):
                self.check(name, rule.notes(events), CUT)

    def test_it_gives_the_truth_of_the_earthquakes(self):
        events = truth.read_events(MONTH / "other" / "earthquakes-2018-02.ndjson.gz")
        for name, (_, rule) in QUAKES.items():
            self.check(name, rule.notes(events), QUAKES_CUT)


class Run:
    """One server, its rules, and all that it told so far."""

    def __init__(self, case, defined, partitions=4, disorder="PT7H"):
        self.case = case
        self.server = Server(partitions, 2)
        case.addCleanup(self.server.discard)
        self.server.start()
        self.server.put_source("*", watermark="bounded", disorder=disorder)
        for name, (text, _) in defined.items():
            kind = "SILENCE" if name.startswith("silence") else "TIMEOUT"
            self.server.sql(f"CREATE {kind} {name} AS {text};")
        self.items = []
        self.cursor = None

    def read(self):
        """All that is new; nothing of it may be ahead of the watermark."""
        more, self.cursor = notes.read(self.server, self.cursor)
        watermark = self.server.get("/v1/watermark")["watermark"]
        for item in more:
            if watermark is not None and item["type"] == notes.FIRED:
                self.case.assertLess(time_us(item["data"]["deadline"]), time_us(watermark), f"early: {item}")
        self.items += more

    def send(self, lines, batch):
        for at in range(0, len(lines), batch):
            body = b"[" + b",".join(lines[at:at + batch]) + b"]"
            reply = self.server.request("POST", "/v1/events?ack=applied", body, content_type=BATCH)
            self.case.assertEqual(200, reply.status, reply)
            self.read()

    def finish(self):
        self.server.final("*")

    def check(self, defined, events):
        """Exactly what the oracle tells, each once; and the feed read again from its start is the same."""
        expected = rules.notes([rule for _, rule in defined.values()], events)
        cases.Case.eventually(self.case, lambda: self.read() or len(self.items) >= sum(expected.values()), 60,
                              f"{sum(expected.values())} notifications")
        self.read()
        notes.check_feed(self.case, self.items)
        told = Counter(note_of(item) for item in self.items if item["type"] == notes.FIRED)
        self.case.assertGreater(len(expected), 20)
        self.case.assertEqual({}, dict(expected - told), "missed")
        self.case.assertEqual({}, dict(told - expected), "told though it should not be, or twice")
        self.case.assertEqual({notes.FIRED}, {item["type"] for item in self.items})
        again, _ = notes.read(self.server)
        self.case.assertEqual([item["id"] for item in self.items], [item["id"] for item in again])
        return told


class Flights(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        if not HAS_MONTH:
            print(f"\nthe whole month isn't at hand ({MONTH.name}/truth): the demo's three days instead", flush=True)
        path = MONTH / "flights" / "flights-2013-01.ndjson.gz" if HAS_MONTH else DEMO
        cls.lines = lines_of(path)
        cls.events = truth.read_events(path)

    def check_truths(self, told):
        if HAS_MONTH:
            for name in FLIGHTS:
                half = {note for note in told if note[0] == name and note[2] < CUT}
                self.assertEqual(set(truth_notes(name)), half, name)

    def test_a_plain_run(self):
        run = Run(self, FLIGHTS)
        run.send(self.lines, 2000 if HAS_MONTH else 250)
        self.assertTrue(run.items, "nothing was told before all was sent")
        run.finish()
        self.check_truths(run.check(FLIGHTS, self.events))

    def test_kills_in_the_middle_and_all_of_it_sent_again(self):
        run = Run(self, FLIGHTS)
        size = 2000 if HAS_MONTH else 250
        feed(run.server, self.lines[:len(self.lines) // 2], size, "kill", seed=1)
        cases.Case.eventually(self, lambda: run.read() or run.items, 60, "something told before the last kill")
        run.server.kill9()
        run.server.start()
        feed(run.server, self.lines[:len(self.lines) // 2], size)
        run.read()
        feed(run.server, self.lines[len(self.lines) // 3:], size, "kill", seed=2)
        run.finish()
        self.check_truths(run.check(FLIGHTS, self.events))

    def test_one_partition(self):
        run = Run(self, FLIGHTS, partitions=1)
        run.send(self.lines, 4001 if HAS_MONTH else 333)
        run.finish()
        self.check_truths(run.check(FLIGHTS, self.events))

    def test_sixteen_partitions_and_one_stream_of_lines(self):
        run = Run(self, FLIGHTS, partitions=16)
        feed(run.server, self.lines, None)
        run.finish()
        self.check_truths(run.check(FLIGHTS, self.events))

    def test_after_the_end_a_restart_tells_nothing_more(self):
        run = Run(self, FLIGHTS)
        part = self.lines[:8000]
        feed(run.server, part, 500)
        run.finish()
        run.check(FLIGHTS, self.events[:8000])
        ids = [item["id"] for item in run.items]
        for end in (run.server.kill9, run.server.stop):
            end()
            run.server.start()
            feed(run.server, part, 500)
            run.server.send([], "applied")
            again, _ = notes.read(run.server)
            self.assertEqual(ids, [item["id"] for item in again])


@unittest.skipUnless(HAS_MONTH, f"the earthquakes aren't at hand ({MONTH.name}/other)")
class Earthquakes(unittest.TestCase):
    def test_updates_that_never_came(self):
        path = MONTH / "other" / "earthquakes-2018-02.ndjson.gz"
        run = Run(self, QUAKES, disorder="P30D")
        run.send(lines_of(path), 500)
        run.finish()
        told = run.check(QUAKES, truth.read_events(path))
        half = Counter({note: n for note, n in told.items() if note[2] < QUAKES_CUT})
        self.assertEqual(truth_notes("quakes_timeout_update_24h"), half)


if __name__ == "__main__":
    cases.main()

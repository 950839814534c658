#!/usr/bin/env python3
"""Random rules over random small streams: what fires is what the naive oracle says, each once, none early.

Times lie on a grid of minutes, keys are few: so ties, exact deadlines and overlapping starts are common. Events
arrive shuffled within the disorder, some of them twice, in batches of any size, through stops and kills.
The outcome must not depend on any of that.

TIDEMARK_SEED=n repeats the round of that seed.
"""
import json
import os
import random
import unittest
from collections import Counter

from support import cases, notes, rules
from support.rules import Silence, Timeout, of_type
from support.server import Server
from support.totals import thinned
from truth_lib import MINUTE, time_text, time_us

BASE = time_us("2021-05-01T00:00:00Z")
STEPS = 240  # minutes that a stream covers
DISORDER_MINUTES = 7
KEYS = ("a", "b", "c\u00e9", "d/e", "f g")
TYPES = ("start", "beat", "come", "stop", "tick")


def minutes_of(step):
    """What a start at this step says of its own deadline."""
    return 3 + step % 8


def subject(event):
    return event.get("subject")


def source(event):
    return event["source"]


class Stream:
    """Events in event-time order with "us", and the JSON texts in order of arrival."""

    def __init__(self, draw, sources):
        self.events = []
        texts = []
        for n in range(draw.randrange(60, 300)):
            step = draw.randrange(STEPS)
            event = {"specversion": "1.0", "id": f"r{n}", "source": draw.choice(sources), "type": draw.choice(TYPES),
                     "time": time_text(BASE + step * MINUTE), "data": {"minutes": minutes_of(step)}}
            if draw.random() < 0.97:
                event["subject"] = draw.choice(KEYS)
            arrives = step + draw.random() * DISORDER_MINUTES
            text = json.dumps(event, ensure_ascii=False)
            texts.append((arrives, n, text))
            if draw.random() < 0.1:
                texts.append((arrives + draw.random() * 60, n, text))
            self.events.append({**event, "us": BASE + step * MINUTE})
        self.texts = [text for _, _, text in sorted(texts)]


def timeout_rule(draw, name):
    """(text, oracle) of a rule drawn by chance."""
    clauses = {"heartbeat": "beat", "cancel": "stop"}
    clauses = {clause: kind for clause, kind in clauses.items() if draw.random() < 0.5}
    minutes = draw.choice((1, 5, 10, 31))
    by_start = draw.random() < 0.3
    within = "data.minutes * INTERVAL '1 minute'" if by_start else f"INTERVAL '{minutes} minutes'"
    text = f"CREATE TIMEOUT {name} AS AFTER type = 'start' EXPECT type = 'come' "
    text += "".join(f"{clause.upper()} type = '{kind}' " for clause, kind in clauses.items())
    text += f"WITHIN {within} PER subject"
    text += draw.choice(("", " CLOCK EVENT"))
    text += draw.choice(("", f" GRACE INTERVAL '{draw.randrange(1, 20)} minutes'"))
    text += draw.choice(("", " LATE RETRACT", " LATE IGNORE"))
    rule = Timeout(name, of_type("start"), of_type("come"),
                   (lambda start: start["data"]["minutes"] * MINUTE) if by_start else minutes * MINUTE, subject,
                   **{clause: of_type(kind) for clause, kind in clauses.items()})
    return text, rule


def silence_rule(draw, name):
    minutes = draw.choice((1, 4, 15))
    column, key = draw.choice((("subject", subject), ("source", source)))
    text = f"CREATE SILENCE {name} AS EXPECT type = 'tick' EVERY INTERVAL '{minutes} minutes' PER {column}"
    return text, Silence(name, of_type("tick"), minutes * MINUTE, key)


def note_of(item):
    data = item["data"]
    began = data["last_seen"] if data["rule"].startswith("quiet") else data["started"]
    return data["rule"], item["subject"], time_us(began), time_us(data["deadline"])


class RandomStreams(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        given = os.environ.get("TIDEMARK_SEED")
        self.seed = int(given) if given else random.SystemRandom().randrange(1 << 32)
        self.rounds = 1 if given else thinned(5, 60)

    def test_random_rules_over_random_streams(self):
        told = 0
        for number in range(self.rounds):
            seed = self.seed + number
            print(f"seed {seed}: TIDEMARK_SEED={seed} python3 tests/e2e/timeout_random_test.py", flush=True)
            with self.subTest(seed=seed):
                told += self.round(random.Random(seed))
        if self.rounds > 1:
            self.assertGreater(told, 5 * self.rounds, "hardly anything fired: the streams test nothing")

    def round(self, draw):
        lanes = ["*"] + (["/declared"] if draw.random() < 0.5 else [])
        stream = Stream(draw, ["/x", "/y", *lanes[1:]])
        server = Server(draw.choice((1, 2, 4)), draw.choice((1, 2)))
        try:
            server.start()
            for lane in lanes:
                server.put_source(lane, watermark="bounded", disorder=f"PT{DISORDER_MINUTES}M", idle_after="P1D")
            defined = [timeout_rule(draw, f"late{n}") for n in range(3)] + [silence_rule(draw, f"quiet{n}") for n in range(2)]
            for text, _ in defined:
                server.sql(text)
            items = self.send(server, stream, draw)
            for lane in lanes:
                server.final(lane)
            return self.check(server, [rule for _, rule in defined], stream, items)
        finally:
            server.discard()

    def send(self, server, stream, draw):
        """All texts, through ends; what was told on the way, nothing of it ahead of the watermark."""
        items = []
        cursor = None
        at = 0
        while at < len(stream.texts):
            size = draw.choice((1, 3, 20, 60))
            reply = server.send(stream.texts[at:at + size], "applied")
            self.assertEqual(200, reply.status, reply)
            at += size
            more, cursor = notes.read(server, cursor)
            watermark = server.get("/v1/watermark")["watermark"]
            for item in more:
                self.assertLess(time_us(item["data"]["deadline"]), time_us(watermark), f"early: {item}")
            items += more
            if draw.random() < 0.04:
                draw.choice((server.kill9, server.stop))()
                server.start()
                at = max(0, at - draw.randrange(30))  # some of it is sent again
        return items

    def check(self, server, oracles, stream, items):
        expected = rules.notes(oracles, stream.events)
        again = []

        def all_told():
            again[:], _ = notes.read(server)
            return len(again) >= sum(expected.values())
        cases.Case.eventually(self, all_told, 20, f"{sum(expected.values())} notifications")
        server.send([], "applied")
        again, _ = notes.read(server)
        told = Counter(note_of(item) for item in again if item["type"] == notes.FIRED)
        self.assertEqual({}, dict(expected - told), "missed")
        self.assertEqual({}, dict(told - expected), "told though it should not be, or twice")
        self.assertEqual({notes.FIRED} if told else set(), {item["type"] for item in again})
        notes.check_feed(self, again)
        self.assertEqual([item["id"] for item in items], [item["id"] for item in again[:len(items)]],
                         "what was told before is told otherwise now")
        return len(told)


class TheOracleItself(unittest.TestCase):
    """Small cases, worked out by hand."""

    def notes(self, rule, *events):
        made = [{"id": str(n), "source": "/s", "type": kind, "subject": "k", "us": us} for n, (kind, us) in
                enumerate(events)]
        return sorted((began, deadline) for _, _, began, deadline in rule.notes(made))

    def rule(self):
        return Timeout("r", of_type("start"), of_type("come"), 10, subject, of_type("beat"), of_type("stop"))

    def test_exactly_at_the_deadline_is_in_time(self):
        self.assertEqual([], self.notes(self.rule(), ("start", 0), ("come", 10)))
        self.assertEqual([(0, 10)], self.notes(self.rule(), ("start", 0), ("come", 11)))
        self.assertEqual([(5, 15)], self.notes(self.rule(), ("start", 5), ("come", 4)))

    def test_heartbeats_carry_on_and_one_too_late_does_not(self):
        self.assertEqual([(0, 20)], self.notes(self.rule(), ("start", 0), ("beat", 10), ("come", 21)))
        self.assertEqual([(0, 10)], self.notes(self.rule(), ("start", 0), ("beat", 11), ("come", 12)))

    def test_a_cancel_and_one_arrival_for_two_starts(self):
        self.assertEqual([], self.notes(self.rule(), ("start", 0), ("stop", 3)))
        self.assertEqual([], self.notes(self.rule(), ("start", 0), ("start", 4), ("come", 8)))
        self.assertEqual([(0, 10)], self.notes(self.rule(), ("start", 0), ("start", 4), ("come", 12)))

    def test_a_silence_fires_once_and_is_armed_again(self):
        rule = Silence("q", of_type("tick"), 10, subject)
        self.assertEqual([], self.notes(rule, ("tick", 0), ("tick", 10)))
        self.assertEqual([(0, 10), (11, 21)], self.notes(rule, ("tick", 0), ("tick", 11), ("other", 22)))
        self.assertEqual([(0, 10)], self.notes(rule, ("tick", 0), ("tick", 11), ("other", 21)))


if __name__ == "__main__":
    cases.main()

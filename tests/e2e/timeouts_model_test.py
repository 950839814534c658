#!/usr/bin/env python3
"""Random operations on few keys against a model of a page: each answer and each state must be the model's.

All is by event time, with a source that is advanced by hand, so that every deadline and every firing is exact.
Operations go one by one or in batches; between them the server is stopped or killed. In the end each firing is
in the feed exactly once.

TIDEMARK_SEED=n repeats the round of that seed.
"""
import os
import random
import unittest
from collections import Counter

from support import cases, notes
from support.server import Server
from support.timeouts import TIMEOUTS, act, create, get, post_batch, results
from support.totals import thinned
from truth_lib import SECOND, time_text, time_us

BASE = time_us("2020-01-01T00:00:00Z")
KEYS = [f"k{n}" for n in range(6)]
ENDED = {"complete": "completed", "cancel": "cancelled"}


class Model:
    """What a server must hold; `expect` of an operation gives the statuses that are right and applies it."""

    def __init__(self):
        self.watermark = 0  # seconds behind BASE, as all times here
        self.there = {}
        self.fired = Counter()

    def fire_due(self):
        for key, one in self.there.items():
            if one["state"] == "pending" and one["deadline"] < self.watermark:
                one["state"] = "fired"
                self.fired[key, one["deadline"], one["generation"]] += 1

    def expect(self, operation):
        kind = operation["op"]
        one = self.there.get(operation["key"])
        return self.create(one, operation) if kind == "create" else self.act(one, kind, operation)

    def create(self, one, operation):
        asked = (operation["within_s"], operation["event_s"])
        way = operation.get("on_exists", "reject")
        if one is None or one["state"] == "completed_early":
            state = "pending" if one is None else "completed"
            self.make(operation, asked, 1, state)
            return {201}
        if one["state"] == "pending" and one["asked"] == asked:
            return {200}
        if way == "replace":
            self.make(operation, asked, one["generation"] + 1, "pending")
            return {200, 201} if one["state"] == "pending" else {201}
        if way == "return":
            return {200} if one["state"] == "pending" else {200, 409}
        return {409}

    def make(self, operation, asked, generation, state):
        self.there[operation["key"]] = {"state": state, "generation": generation, "asked": asked, "within": asked[0],
                                        "deadline": sum(asked), "seen": asked[1]}
        self.fire_due()

    def act(self, one, kind, operation):
        if one is None:
            if kind == "heartbeat":
                return {404}
            self.there[operation["key"]] = {"state": "completed_early", "generation": 1}
            return {202}
        if operation.get("generation", one["generation"]) != one["generation"]:
            return {412}
        if one["state"] == "pending":
            if kind == "heartbeat":
                one["seen"] = operation["event_s"]
                one["deadline"] = operation["event_s"] + operation.get("extend_s", one["within"])
                self.fire_due()
            else:
                one["state"] = ENDED[kind]
            return {200}
        if one["state"] == "completed_early":
            return {404, 409} if kind == "heartbeat" else {200, 202, 409}
        return {200, 409} if ENDED.get(kind) == one["state"] else {409}


def as_sent(operation):
    """The operation as a client writes it."""
    sent = {name: value for name, value in operation.items() if not name.endswith("_s")}
    if "within_s" in operation:
        sent.update(within=f"PT{operation['within_s']}S", clock="event")
    if "event_s" in operation:
        sent["event_time"] = time_text(BASE + operation["event_s"] * SECOND)
    if "extend_s" in operation:
        sent["extend"] = f"PT{operation['extend_s']}S"
    return sent


class RandomOperations(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        given = os.environ.get("TIDEMARK_SEED")
        self.seed = int(given) if given else random.SystemRandom().randrange(1 << 32)
        self.rounds = 1 if given else thinned(3, 40)

    def test_each_answer_is_the_models(self):
        fired = 0
        for seed in range(self.seed, self.seed + self.rounds):
            print(f"seed {seed}: TIDEMARK_SEED={seed} python3 tests/e2e/timeouts_model_test.py", flush=True)
            with self.subTest(seed=seed):
                fired += self.round(random.Random(seed))
        if self.rounds > 1:
            self.assertGreater(fired, 5 * self.rounds, "hardly anything fired: the operations test nothing")

    def round(self, draw):
        server = Server(draw.choice((1, 2, 5)), draw.choice((1, 2)))
        model = Model()
        try:
            server.start()
            server.put_source("/told", watermark="explicit", idle_after="P1D")
            server.final("*")
            self.advance(server, model, 1)
            for _ in range(80):
                choice = draw.random()
                if choice < 0.2:
                    self.advance(server, model, draw.randrange(1, 15))
                elif choice < 0.26:
                    draw.choice((server.kill9, server.stop))()
                    server.start()
                    self.advance(server, model, 1)  # heard again; until then nothing fires
                elif choice < 0.6:
                    self.single(server, model, self.operation(draw, model))
                else:
                    self.batch(server, model, draw)
                self.check_all(server, model)
            self.advance(server, model, 1000)
            self.check_all(server, model)
            self.check_feed(server, model)
            server.kill9()
            server.start()
            self.check_all(server, model)
            self.check_feed(server, model)
            return sum(model.fired.values())
        finally:
            server.discard()

    def operation(self, draw, model, late=True):
        """`late`: what is due from the start may be drawn. Until it has fired it may still be completed."""
        key = draw.choice(KEYS)
        one = model.there.get(key)
        kind = draw.choice(("create", "create", "heartbeat", "heartbeat", "complete", "cancel"))
        made = {"op": kind, "key": key}
        if kind == "create":
            made.update(within_s=draw.choice((1, 5, 20)), event_s=draw.choice((0 if late else model.watermark, model.watermark, model.watermark + 3)))
            if draw.random() < 0.6 and (one is None or one["state"] != "completed_early"):
                made["on_exists"] = draw.choice(("reject", "replace", "replace", "return"))
            return made
        if one is not None and one["state"] != "completed_early" and draw.random() < 0.3:
            made["generation"] = draw.choice((1, 2, 3))
        if kind == "heartbeat":
            # In time, and never behind the one before.
            pending = one is not None and one["state"] == "pending"
            first = one["seen"] if pending else 0
            made["event_s"] = draw.randrange(first if late else max(first, model.watermark), one["deadline"] + 1) \
                if pending else model.watermark
            if draw.random() < 0.4:
                made["extend_s"] = draw.choice((2, 30))
        return made

    def single(self, server, model, operation):
        statuses = model.expect(operation)
        sent = as_sent(operation)
        kind, key = sent.pop("op"), sent.pop("key")
        reply = create(server, key, **sent) if kind == "create" else act(server, key, kind, **sent)
        self.assertIn(reply.status, statuses, (operation, model.there.get(key), reply))

    def batch(self, server, model, draw):
        operations = []
        expected = []
        for _ in range(draw.choice((1, 5, 25))):
            operations.append(self.operation(draw, model, late=False))
            expected.append(model.expect(operations[-1]))
        got = results(post_batch(server, [as_sent(operation) for operation in operations]))
        self.assertEqual(len(operations), len(got))
        for operation, statuses, result in zip(operations, expected, got):
            self.assertIn(result.get("status"), statuses, (operation, result, operations))

    def advance(self, server, model, seconds):
        model.watermark += seconds
        reply = server.watermark("/told", time=time_text(BASE + model.watermark * SECOND))
        self.assertEqual(200, reply.status, reply)
        model.fire_due()

    def check_all(self, server, model):
        """Each key is as the model has it; only a firing may come a little later."""
        for key, one in model.there.items():
            if one["state"] == "fired":
                cases.Case.eventually(self, lambda key=key: get(server, key)["state"] == "fired", what=f"the firing of {key}")
            there = get(server, key)
            state = "pending" if there["state"] == "unknown" else there["state"]
            self.assertEqual((one["state"], one["generation"]), (state, there["generation"]), key)
            if "deadline" in one and one["state"] != "completed":
                self.assertEqual(time_text(BASE + one["deadline"] * SECOND), there["deadline"], key)
        self.assertEqual(len(model.there), len(server.walk(TIMEOUTS)))

    def check_feed(self, server, model):
        items, _ = notes.read(server)
        notes.check_feed(self, items)
        told = Counter((item["subject"], (time_us(item["data"]["deadline"]) - BASE) // SECOND) for item in items)
        expected = Counter()
        for (key, deadline, _), n in model.fired.items():
            expected[key, deadline] += n
        self.assertEqual(expected, told)
        self.assertEqual({notes.FIRED}, {item["type"] for item in items})


if __name__ == "__main__":
    cases.main()

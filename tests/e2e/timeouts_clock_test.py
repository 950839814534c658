#!/usr/bin/env python3
"""Explicit timeouts of the event clock: the watermark decides, and who holds it back."""
import itertools
import time
import unittest

from support import cases, notes, timeouts
from support.events import event, text_time
from support.server import Server
from support.timeouts import TIMEOUTS, act, create, get
from truth_lib import SECOND, time_text, time_us


class EventClock(timeouts.Case):
    """By event time: it fires when the watermark has passed the deadline, not when it reaches it."""
    hours = itertools.count(1)

    @classmethod
    def prepare(cls):
        cls.server.put_source("/told", watermark="explicit", idle_after="P1D")
        cls.server.final("*")

    def setUp(self):
        super().setUp()
        self.base = time_us("2020-01-01T00:00:00Z") + next(self.hours) * 3600 * SECOND

    def at(self, seconds):
        return time_text(self.base + int(seconds * SECOND))

    def advance(self, seconds):
        reply = self.server.watermark("/told", time=self.at(seconds))
        self.assertEqual(200, reply.status, reply)
        self.eventually(lambda: time_us(self.server.get("/v1/watermark")["watermark"] or "0001-01-01T00:00:00Z")
                        >= self.base + int(seconds * SECOND), what="the watermark")

    def pulse(self):
        """A timeout of the processing clock has fired since: pulses went by."""
        made = self.made(within="PT0.05S")
        self.fired(made["key"])

    def by_events(self, **members):
        return self.made(clock="event", **members)

    def test_within_counts_from_the_event_time(self):
        made = self.by_events(within="PT10M", event_time=self.at(5))
        self.assertEqual(self.at(605), made["deadline"])

    def test_it_fires_when_the_watermark_has_passed_the_deadline(self):
        made = self.by_events(deadline=self.at(60))
        self.advance(59)
        self.pulse()
        self.assertEqual("pending", get(self.server, made["key"])["state"])
        self.advance(60)
        self.pulse()
        self.assertEqual("pending", get(self.server, made["key"])["state"], "exactly at the deadline is in time")
        self.advance(60.000001)
        item = self.fired(made["key"])
        self.assertEqual(self.at(60), item["data"]["deadline"])
        self.assertEqual("fired", get(self.server, made["key"])["state"])

    def test_a_completion_with_the_watermark_exactly_at_the_deadline_is_in_time(self):
        made = self.by_events(deadline=self.at(60))
        self.advance(60)
        reply = act(self.server, made["key"], "complete", event_time=self.at(60))
        self.assertEqual((200, "completed"), (reply.status, reply.json.get("state")), reply)
        self.advance(61)
        self.check_never_fired(made["key"])

    def test_a_heartbeat_counts_from_its_event_time(self):
        made = self.by_events(within="PT1M", event_time=self.at(0))
        self.advance(30)
        reply = act(self.server, made["key"], "heartbeat", event_time=self.at(40))
        self.assertEqual((200, self.at(100)), (reply.status, reply.json.get("deadline")), reply)
        reply = act(self.server, made["key"], "heartbeat", event_time=self.at(50), extend="PT10M")
        self.assertEqual((200, self.at(650)), (reply.status, reply.json.get("deadline")), reply)
        self.advance(649)
        self.pulse()
        self.assertEqual("pending", get(self.server, made["key"])["state"])
        self.advance(651)
        self.fired(made["key"])

    def test_a_deadline_behind_the_watermark_is_born_late(self):
        self.advance(100)
        self.pulse()
        made = self.by_events(deadline=self.at(50))
        self.assertIs(True, made["born_late"], made)
        self.fired(made["key"])

    def test_after_the_firing_a_completion_loses(self):
        made = self.by_events(deadline=self.at(10))
        self.advance(11)
        self.fired(made["key"])
        for event_time in (self.at(5), self.at(12)):
            reply = act(self.server, made["key"], "complete", event_time=event_time)
            self.check_problem(reply, 409, kind="already-fired")

    def test_the_wall_clock_means_nothing_to_it(self):
        far = self.by_events(deadline=self.at(3000))
        self.pulse()
        self.assertEqual("pending", get(self.server, far["key"])["state"])
        near = self.made(deadline=text_time(0.2), clock="event")
        time.sleep(0.4)
        self.pulse()
        self.assertIn(get(self.server, near["key"])["state"], ("pending", "unknown"))
        act(self.server, near["key"], "cancel")

    def test_both_survive_a_kill(self):
        fires, stays = self.by_events(deadline=self.at(10)), self.by_events(deadline=self.at(20))
        self.advance(5)
        self.server.kill9()
        self.server.start()
        self.pulse()
        self.assertIn(get(self.server, fires["key"])["state"], ("pending", "unknown"))
        self.advance(15)
        self.fired(fires["key"])
        self.assertIn(get(self.server, stays["key"])["state"], ("pending", "unknown"))
        self.advance(21)
        self.fired(stays["key"])


class Lanes(unittest.TestCase):
    """Who holds firings back, and when the engine can't tell. Each test has a server of its own."""
    eventually = cases.Case.eventually

    def setUp(self):
        self.server = Server(2, 2)
        self.addCleanup(self.server.discard)
        self.server.start()

    def by_events(self, key, deadline):
        reply = create(self.server, key, clock="event", deadline=deadline)
        self.assertEqual(201, reply.status, reply)

    def state(self, key):
        return get(self.server, key)["state"]

    def test_a_bounded_lane_fires_by_the_times_of_its_events(self):
        self.server.put_source("*", watermark="bounded", disorder="PT10S", idle_after="PT1H")
        self.server.send([event("2020-01-01T00:00:00Z")], "applied")
        self.by_events("k", "2020-01-01T00:01:00Z")
        self.server.send([event("2020-01-01T00:01:10Z")], "applied")
        self.assertEqual("pending", self.state("k"))
        self.server.send([event("2020-01-01T00:01:10.000001Z")], "applied")
        self.eventually(lambda: self.state("k") == "fired")

    def test_a_slow_lane_holds_back(self):
        self.server.put_source("*", watermark="bounded", disorder="PT0S", idle_after="PT1H")
        self.server.put_source("/slow", watermark="bounded", disorder="PT0S", idle_after="PT1H")
        self.server.send([event("2020-01-01T00:00:00Z"), event("2020-01-01T00:00:00Z", source="/slow")], "applied")
        self.by_events("k", "2020-01-01T00:01:00Z")
        self.server.send([event("2020-01-01T02:00:00Z")], "applied")
        self.assertEqual("pending", self.state("k"))
        self.server.send([event("2020-01-01T00:01:01Z", source="/slow")], "applied")
        self.eventually(lambda: self.state("k") == "fired")

    def test_with_all_lanes_silent_the_clock_moves_on(self):
        self.server.put_source("*", watermark="bounded", disorder="PT0S", idle_after="PT1S")
        self.server.send([event(text_time())], "applied")
        deadline = text_time(2)
        self.by_events("k", deadline)
        self.assertIn(self.state("k"), ("pending", "unknown"))
        self.eventually(lambda: self.state("k") == "fired", 30)
        self.assertGreater(time_us(text_time()), time_us(deadline), "early")

    def test_after_a_start_it_cannot_tell_until_the_lane_is_heard(self):
        self.server.put_source("*", watermark="bounded", disorder="PT0S", idle_after="PT1H")
        now = time_us(text_time())
        self.server.send([event(time_text(now))], "applied")
        self.by_events("k", time_text(now + 500_000))
        self.by_events("completed", time_text(now + 500_000))
        self.server.kill9()
        time.sleep(0.6)
        self.server.start()
        self.eventually(lambda: self.state("k") == "unknown", what="the state unknown")
        listed = {item["key"] for item in self.server.walk(TIMEOUTS, state="unknown")}
        self.assertEqual({"k", "completed"}, listed)
        reply = act(self.server, "completed", "complete", event_time=time_text(now + 400_000))
        self.assertEqual((200, "completed"), (reply.status, reply.json.get("state")), reply)
        self.assertEqual("unknown", self.state("k"))
        self.server.send([event(text_time())], "applied")
        self.eventually(lambda: self.state("k") == "fired")
        self.assertEqual("completed", self.state("completed"))
        self.assertEqual(["k"], [item["subject"] for item in notes.read(self.server, type=notes.FIRED)[0]])

    def test_final_lanes_make_all_due(self):
        self.server.send([event("2020-01-01T00:00:00Z")], "applied")
        self.by_events("far", "2300-01-01T00:00:00Z")
        self.assertEqual("pending", self.state("far"))
        self.server.final("*")
        self.eventually(lambda: self.state("far") == "fired")


if __name__ == "__main__":
    cases.main()

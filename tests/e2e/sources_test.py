#!/usr/bin/env python3
"""Lanes: who holds the watermark, who lets go of it, and what finality does."""
import time
import unittest

from support import cases
from support.events import event, text_time
from support.server import Server, quoted

DAY = "2020-03-01T"


def at(clock):
    return DAY + clock + "Z"


class Lanes(unittest.TestCase):
    """Each test has a server of its own: a watermark can't be taken back."""

    def setUp(self):
        self.server = Server(partitions=2, threads=2)
        self.addCleanup(self.server.discard)
        self.server.start()

    def metric(self, name="m", options="", where="", lateness=""):
        self.server.sql(f"CREATE METRIC {name} {options} AS SELECT count(*) AS n "
                        f"FROM TUMBLE(events, time, INTERVAL '1 minute') {where} {lateness}")

    def send(self, source, *times):
        reply = self.server.send([event(t, source=source) for t in times], "applied")
        self.assertEqual(200, reply.status, reply)
        return reply.json

    def now(self):
        return self.server.get("/v1/watermark")["watermark"]

    def holders(self):
        return {h["source"]: h["why"] for h in self.server.get("/v1/watermark")["held_by"]}

    def lane(self, source):
        return next((l for l in self.server.get("/v1/watermark")["lanes"] if l["source"] == source), None)

    def rows(self, name="m"):
        return {r["window_start"]: (r["n"], r["closed"], r["final"]) for r in self.server.values(name)}

    def test_the_default_lane_follows_the_latest_time_less_its_disorder(self):
        self.send("/a", at("10:00:00"))
        self.assertEqual(at("09:59:55"), self.now())
        self.send("/b", at("10:00:30.5"))
        self.assertEqual(at("10:00:25.5"), self.now())
        self.send("/a", at("09:00:00"))
        self.assertEqual(at("10:00:25.5"), self.now())

    def test_before_any_event_there_is_no_watermark(self):
        answer = self.server.get("/v1/watermark")
        self.assertIsNone(answer["watermark"])

    def test_a_bounded_source_holds_from_its_declaration_on(self):
        self.metric()
        self.send("/a", at("10:00:00"))
        self.server.put_source("/slow", watermark="bounded", disorder="PT10S", idle_after="PT1H")
        before = self.now()
        self.assertEqual("no event yet", self.holders()["/slow"])
        self.send("/a", at("11:00:00"))
        self.assertEqual(before, self.now())
        self.assertEqual(0, self.send("/a", at("10:00:00"))["late"])
        self.send("/slow", at("10:30:00"))
        self.assertEqual(at("10:29:50"), self.now())
        self.assertEqual({"/slow": "slow"}, self.holders())
        self.assertEqual(at("10:29:50"), self.lane("/slow")["watermark"])
        self.assertEqual(at("10:59:55"), self.lane("*")["watermark"])
        self.send("/slow", at("12:00:00"))
        self.assertEqual(at("10:59:55"), self.now())

    def test_an_explicit_source_holds_until_its_producer_says(self):
        self.metric()
        self.server.put_source("/told", watermark="explicit", idle_after="PT1H")
        self.send("/a", at("11:00:00"))
        self.send("/told", at("11:00:00"))
        self.assertEqual((2, False, False), self.rows()[at("11:00:00")])
        self.assertIn(self.holders()["/told"], ("explicit", "no event yet"))
        told = "/v1/sources/" + quoted("/told")
        tag = self.server.request("GET", told).headers["etag"]
        for match, status in (('"99"', 412), ("W/" + tag, 412), ('"99", ' + tag, 200), ("*", 200)):
            reply = self.server.request("POST", told + "/watermark", {"time": at("10:15:00")}, {"If-Match": match})
            self.assertEqual((status, match), (reply.status, match), reply)
        self.assertEqual(200, self.server.watermark("/told", time=at("10:15:00")).status)
        self.assertEqual(at("10:15:00"), self.now())
        self.assertEqual({"/told": "explicit"}, self.holders())
        self.assertEqual(200, self.server.watermark("/told", time="2020-03-01T13:15:00+02:00").status)
        self.assertEqual(at("10:59:55"), self.now())
        self.assertEqual(at("11:15:00"), self.lane("/told")["watermark"])

    def test_a_window_closes_exactly_when_the_watermark_reaches_its_end(self):
        self.metric()
        self.server.put_source("/told", watermark="explicit", idle_after="PT1H")
        self.server.put_source("*", watermark="bounded", disorder="PT0S")
        self.send("/a", at("10:00:59.999999"), at("12:00:00"))
        self.server.watermark("/told", time=at("10:00:59.999999"))
        self.assertEqual(0, self.send("/a", at("10:00:00"))["late"])
        self.assertEqual((2, False, False), self.rows()[at("10:00:00")])
        self.server.watermark("/told", time=at("10:01:00"))
        self.assertEqual(1, self.send("/a", at("10:00:01"))["late"])
        self.assertEqual((2, True, True), self.rows()[at("10:00:00")])

    def test_lateness_ends_exactly_at_its_bound(self):
        self.metric(lateness="ALLOW LATENESS INTERVAL '5 minutes'")
        self.server.put_source("/told", watermark="explicit", idle_after="PT1H")
        self.send("/a", at("10:00:00"), at("12:00:00"))
        self.server.watermark("/told", time=at("10:05:59.999999"))
        self.send("/a", at("10:00:00"))
        self.assertEqual((2, True, False), self.rows()[at("10:00:00")])
        self.server.watermark("/told", time=at("10:06:00"))
        self.send("/a", at("10:00:00"))
        self.assertEqual((2, True, True), self.rows()[at("10:00:00")])

    def test_final_lets_go_closes_all_and_can_be_taken_back(self):
        self.metric()
        self.server.put_source("/told", watermark="explicit", idle_after="PT1H")
        self.send("/a", at("10:00:00"), at("11:00:00"))
        self.send("/told", at("10:00:00"))
        self.server.final("/told")
        self.assertEqual(at("10:59:55"), self.now())
        self.assertEqual({at("10:00:00"): (2, True, True), at("11:00:00"): (1, False, False)}, self.rows())
        self.server.final("*")
        self.assertIsNone(self.now())
        self.assertEqual([], self.server.get("/v1/watermark")["held_by"])
        self.assertEqual({at("10:00:00"): (2, True, True), at("11:00:00"): (1, True, True)}, self.rows())
        self.assertIsNone(self.server.page("m")["watermark"])
        self.assertEqual(1, self.send("/a", at("11:00:30"))["late"])
        self.assertEqual(1, self.send("/a", at("15:00:30"))["late"])
        self.assertEqual({at("10:00:00"): (2, True, True), at("11:00:00"): (1, True, True)}, self.rows())
        self.server.final("*", False)
        self.send("/a", at("16:00:30"))
        self.assertEqual((1, False, False), self.rows()[at("16:00:00")])
        self.assertEqual((1, True, True), self.rows()[at("11:00:00")])

    def test_final_survives_a_restart(self):
        self.metric()
        self.send("/a", at("10:00:00"), at("11:00:00"))
        self.server.final("*")
        before = self.rows()
        for end in (self.server.kill9, self.server.stop):
            end()
            self.server.start()
            self.assertIsNone(self.now())
            self.assertEqual(before, self.rows())
            self.assertEqual(1, self.send("/a", at("11:00:40"))["late"])

    def test_lanes_survive_a_restart_and_never_go_back(self):
        self.metric()
        self.server.put_source("/told", watermark="explicit", idle_after="PT1H")
        self.server.put_source("/slow", watermark="bounded", disorder="PT1M30S", idle_after="PT2H")
        self.send("/a", at("11:00:00"))
        self.send("/slow", at("10:45:00"))
        self.server.watermark("/told", time=at("10:30:00"))
        before = self.server.get("/v1/watermark")
        sources = {s["name"]: s for s in self.server.walk("/v1/sources")}
        self.assertEqual(at("10:30:00"), before["watermark"])
        for end in (self.server.kill9, self.server.stop):
            end()
            self.server.start()
            after = self.server.get("/v1/watermark")
            self.assertEqual(before["watermark"], after["watermark"])
            self.assertEqual({l["source"]: l["watermark"] for l in before["lanes"]},
                             {l["source"]: l["watermark"] for l in after["lanes"]})
            again = {s["name"]: s for s in self.server.walk("/v1/sources")}
            for name in ("/told", "/slow"):
                for member in ("disorder", "idle_after", "max_future_skew"):
                    self.assertEqual(sources[name][member], again[name][member])
            self.assertEqual(409, self.server.watermark("/told", time=at("10:29:00")).status)

    def test_a_silent_lane_lets_go_after_idle_after(self):
        self.metric()
        self.server.put_source("/short", watermark="bounded", disorder="PT0S", idle_after="PT1S")
        self.server.put_source("*", watermark="bounded", disorder="PT0S", idle_after="PT1H")
        self.send("/short", at("10:00:00"))
        self.send("/a", at("10:30:00"))
        self.assertEqual(at("10:00:00"), self.now())
        started = time.monotonic()
        while self.now() != at("10:30:00"):
            self.assertLess(time.monotonic() - started, 10, self.server.get("/v1/watermark"))
            self.send("/a", at("10:20:00"))  # the others go on
            time.sleep(0.1)
        self.assertGreater(time.monotonic() - started, 0.7)
        # Back again, it is older than the watermark, which doesn't go back.
        self.assertEqual(1, self.send("/short", at("10:00:30"))["late"])
        self.assertEqual(at("10:30:00"), self.now())

    def test_a_replay_of_old_data_just_holds_when_all_are_silent(self):
        self.server.put_source("*", watermark="bounded", disorder="PT5S", idle_after="PT1S")
        self.send("/a", at("10:00:00"))
        time.sleep(2.5)
        self.assertEqual(at("09:59:55"), self.now())

    def test_a_live_source_that_falls_silent_is_followed_by_the_clock(self):
        self.metric()
        self.server.put_source("*", watermark="bounded", disorder="PT1S", idle_after="PT1S")
        sent = text_time()
        self.send("/a", sent)
        first = self.now()
        self.assertLess(first, sent)
        deadline = time.monotonic() + 15
        while self.now() <= sent:
            self.assertLess(time.monotonic(), deadline, "the watermark stood still")
            time.sleep(0.1)
        self.assertLess(self.now(), text_time())

    def test_a_metric_of_chosen_sources_waits_for_them_alone(self):
        self.server.put_source("/ua", watermark="bounded", disorder="PT0S", idle_after="PT1H")
        self.server.put_source("/b6", watermark="bounded", disorder="PT0S", idle_after="PT1H")
        self.server.put_source("/dead", watermark="explicit", idle_after="PT1H")
        self.metric("all_of_them")
        self.metric("two", options="WITH (sources = '/ua, /b6')")
        self.send("/ua", at("10:00:10"), at("10:05:00"))
        self.send("/b6", at("10:00:20"), at("10:03:00"))
        self.send("/a", at("10:00:30"))
        page = self.server.page("two")
        self.assertEqual(at("10:03:00"), page["watermark"])
        rows = {r["window_start"]: (r["closed"], r["final"]) for r in page["items"]}
        self.assertEqual((True, True), rows[at("10:00:00")])
        self.assertEqual((False, False), rows[at("10:03:00")])
        self.assertEqual({False}, {r["closed"] for r in self.server.values("all_of_them")})
        self.server.final("/b6")
        self.assertEqual(at("10:05:00"), self.server.page("two")["watermark"])

    def test_a_source_that_is_forgotten_holds_nothing(self):
        self.server.put_source("/told", watermark="explicit", idle_after="PT1H")
        self.send("/a", at("10:00:00"))
        self.assertIn("/told", self.holders())
        self.assertIn(self.server.request("DELETE", "/v1/sources/%2Ftold").status, (200, 204))
        self.assertEqual(at("09:59:55"), self.eventually_now(at("09:59:55")))
        self.assertNotIn("/told", [s["name"] for s in self.server.walk("/v1/sources")])
        self.assertEqual(404, self.server.request("DELETE", "/v1/sources/%2Ftold").status)

    def eventually_now(self, wanted):
        for _ in range(50):
            if self.now() == wanted:
                break
            time.sleep(0.02)
        return self.now()

    def test_how_far_ahead_a_source_may_be_is_its_own(self):
        self.server.put_source("/ahead", max_future_skew="PT2H", idle_after="PT1H")
        self.send("/ahead", text_time(3600))
        reply = self.server.send([event(text_time(3600), source="/other")])
        self.assertEqual(422, reply.status, reply)
        self.assertIn("time-in-future", reply.body.decode())
        self.assertEqual(422, self.server.send([event(text_time(3 * 3600), source="/ahead")]).status)
        self.send("/other", text_time(280))

    def test_a_declaration_shows_its_defaults_and_is_repeatable(self):
        for name in ("/plain", "sp ace/\u20ac?&%2F", "x"):
            first = self.server.request("PUT", "/v1/sources/" + quoted(name), {})
            self.assertIn(first.status, (200, 201), first)
            again = self.server.request("PUT", "/v1/sources/" + quoted(name), {})
            self.assertEqual(200, again.status, again)
        shown = {s["name"]: s for s in self.server.walk("/v1/sources", limit=1)}
        for name in ("/plain", "sp ace/\u20ac?&%2F", "x"):
            self.assertEqual(("bounded", "PT5S", "PT30S", "PT5M"),
                             tuple(shown[name][k] for k in ("watermark_mode" if "watermark_mode" in shown[name] else
                                                            "watermark", "disorder", "idle_after", "max_future_skew")))

    def test_disorder_can_be_changed_and_the_watermark_does_not_go_back(self):
        self.send("/a", at("10:00:00"))
        self.assertEqual(at("09:59:55"), self.now())
        self.server.put_source("*", disorder="PT1H")
        self.send("/a", at("10:10:00"))
        self.assertEqual(at("09:59:55"), self.now())
        self.send("/a", at("11:10:00"))
        self.assertEqual(at("10:10:00"), self.now())
        self.server.put_source("*", disorder="PT0.5S")
        self.send("/a", at("11:10:00"))
        self.assertEqual(at("11:09:59.5"), self.eventually_now(at("11:09:59.5")))


if __name__ == "__main__":
    cases.main()

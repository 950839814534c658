#!/usr/bin/env python3
"""Rules told as small stories: what is sent, what fires, what is told late."""
import time
import unittest

from support import cases, notes
from support.notes import COMPLETED_LATE, FIRED, RETRACTED
from support.server import Server, quoted, run
from support.timeouts import TIMEOUTS, create, get, path
from truth_lib import time_us

DAY = "2020-03-01T"
ORDERS = "AFTER type = 'order.placed' EXPECT type = 'order.paid' WITHIN INTERVAL '15 minutes' PER subject"


def at(clock):
    return DAY + clock + "Z"


class Stories(unittest.TestCase):
    """Each test has a server of its own: a watermark can't be taken back."""
    maxDiff = 4000
    eventually = cases.Case.eventually

    def setUp(self):
        self.server = Server(3, 2)
        self.addCleanup(self.server.discard)
        self.server.start()
        # The watermark is the latest time so far: tests move it by a tick of another type.
        self.server.put_source("*", watermark="bounded", disorder="PT0S", idle_after="P1D")
        self.sent = 0

    def say(self, kind, clock, subject=None, source="/shop", **data):
        """One event, applied."""
        self.sent += 1
        made = {"specversion": "1.0", "id": f"s{self.sent}", "source": source, "type": kind, "time": at(clock)}
        if subject is not None:
            made["subject"] = subject
        if data:
            made["data"] = data
        reply = self.server.send([made], "applied")
        self.assertEqual((200, 1), (reply.status, reply.json["accepted"]), reply)

    def tick(self, clock):
        self.say("tick", clock)

    def told_all(self):
        """What rules told so far; `pulse` makes explicit timeouts, and they are none of them."""
        items, _ = notes.read(self.server)
        notes.check_feed(self, items)
        return [item for item in items if item["data"].get("rule")]

    def told(self, kind=FIRED):
        """[(rule, subject, deadline)] so far of one kind; the pulse that tells may come a little later."""
        return [(item["data"]["rule"], item["subject"], item["data"]["deadline"][len(DAY):-1]) for item in self.told_all()
                if item["type"] == kind]

    def expect(self, *expected, kind=FIRED):
        """This is told, and nothing else: also after another pulse."""
        self.eventually(lambda: len(self.told(kind)) >= len(expected), what=f"{expected}")
        self.pulse()
        self.assertEqual(sorted(expected), sorted(self.told(kind)))

    def pulse(self):
        """Something else has fired since."""
        key = f"pulse{self.sent}-{time.monotonic_ns()}"
        create(self.server, key, deadline="2001-01-01T00:00:00Z")
        self.eventually(lambda: get(self.server, key)["state"] == "fired")

    def restart(self):
        self.server.kill9()
        self.server.start()

    def state(self, rule, key):
        reply = self.server.request("GET", path(key) + f"?rule={quoted(rule)}")
        self.assertEqual(200, reply.status, reply)
        return reply.json["state"]


class Timeouts(Stories):
    def test_an_order_not_paid_within_fifteen_minutes(self):
        self.server.sql(f"CREATE TIMEOUT unpaid AS {ORDERS}")
        self.say("order.placed", "10:00:00", "o1")
        self.say("order.placed", "10:05:00", "o2")
        self.say("order.paid", "10:10:00", "o2")
        self.tick("10:15:00")
        self.expect()
        self.assertEqual("pending", self.state("unpaid", "o1"))
        self.tick("10:15:00.000001")
        self.expect(("unpaid", "o1", "10:15:00"))
        self.tick("12:00:00")
        self.expect(("unpaid", "o1", "10:15:00"))
        item = self.told_all()[0]
        self.assertEqual((at("10:00:00"), "o1"), (item["data"]["started"], item["subject"]))
        self.assertGreaterEqual(time_us(item["data"]["fired_at"]), time_us(at("10:15:00")))
        self.assertEqual(("fired", "completed"), (self.state("unpaid", "o1"), self.state("unpaid", "o2")))

    def test_exactly_at_the_deadline_is_in_time_and_a_microsecond_later_is_not(self):
        self.server.sql(f"CREATE TIMEOUT unpaid AS {ORDERS}")
        self.say("order.placed", "10:00:00", "exact")
        self.say("order.placed", "10:00:00", "late")
        self.say("order.paid", "10:15:00", "exact")
        self.say("order.paid", "10:15:00.000001", "late")
        self.tick("11:00:00")
        self.expect(("unpaid", "late", "10:15:00"))

    def test_what_is_expected_may_arrive_before_its_start(self):
        self.server.put_source("*", watermark="bounded", disorder="PT1H", idle_after="P1D")
        self.server.sql(f"CREATE TIMEOUT unpaid AS {ORDERS}")
        self.say("order.paid", "10:10:00", "o1")
        self.say("order.placed", "10:00:00", "o1")
        self.say("order.paid", "10:00:00", "older")
        self.say("order.placed", "10:00:01", "older")
        self.tick("12:00:00")
        self.expect(("unpaid", "older", "10:15:01"))

    def test_other_keys_and_other_types_do_not_help(self):
        self.server.sql(f"CREATE TIMEOUT unpaid AS {ORDERS}")
        self.say("order.placed", "10:00:00", "o1")
        self.say("order.paid", "10:01:00", "o10")
        self.say("order.paid", "10:01:00", "O1")
        self.say("order.shipped", "10:01:00", "o1")
        self.say("order.paid", "10:01:00")
        self.tick("11:00:00")
        self.expect(("unpaid", "o1", "10:15:00"))

    def test_each_start_has_a_deadline_of_its_own_and_one_arrival_serves_all_that_are_open(self):
        self.server.sql(f"CREATE TIMEOUT unpaid AS {ORDERS}")
        self.say("order.placed", "10:00:00", "o1")
        self.say("order.placed", "10:10:00", "o1")
        self.say("order.paid", "10:20:00", "o1")
        self.say("order.placed", "11:00:00", "o2")
        self.say("order.placed", "11:05:00", "o2")
        self.say("order.paid", "11:06:00", "o2")
        self.tick("12:00:00")
        self.expect(("unpaid", "o1", "10:15:00"))

    def test_heartbeats_carry_the_deadline_on(self):
        self.server.sql("CREATE TIMEOUT stuck AS AFTER type = 'start' EXPECT type = 'end' HEARTBEAT type = 'beat' "
                        "WITHIN INTERVAL '10 minutes' PER subject")
        self.say("start", "10:00:00", "job")
        self.say("beat", "10:10:00", "job")
        self.say("beat", "10:20:00", "job")
        self.tick("10:30:00")
        self.expect()
        self.tick("10:30:01")
        self.expect(("stuck", "job", "10:30:00"))
        self.say("beat", "10:31:00", "job")
        self.say("beat", "10:31:00", "never started")
        self.tick("11:00:00")
        self.expect(("stuck", "job", "10:30:00"))
        self.assertEqual(at("10:20:00"), self.told_all()[0]["data"]["last_seen"])

    def test_a_cancel_ends_it(self):
        self.server.sql("CREATE TIMEOUT unpaid AS AFTER type = 'order.placed' EXPECT type = 'order.paid' "
                        "CANCEL type = 'order.withdrawn' WITHIN INTERVAL '15 minutes' PER subject")
        self.say("order.placed", "10:00:00", "o1")
        self.say("order.withdrawn", "10:01:00", "o1")
        self.say("order.placed", "10:00:00", "o2")
        self.say("order.withdrawn", "10:16:00", "o2")
        self.tick("11:00:00")
        self.expect(("unpaid", "o2", "10:15:00"))
        self.assertEqual("cancelled", self.state("unpaid", "o1"))

    def test_a_deadline_that_the_start_names(self):
        self.server.sql("CREATE TIMEOUT overdue AS AFTER type = 'start' EXPECT type = 'end' "
                        "WITHIN data.minutes * INTERVAL '1 minute' PER data.job")
        self.say("start", "10:00:00", minutes=5, job="short")
        self.say("start", "10:00:00", minutes=45, job="long")
        self.say("end", "10:30:00", job="long")
        self.tick("12:00:00")
        self.expect(("overdue", "short", "10:05:00"))

    def test_grace_waits_but_moves_no_deadline(self):
        self.server.sql(f"CREATE TIMEOUT unpaid AS {ORDERS} GRACE INTERVAL '10 minutes'")
        for key in ("never", "in time", "too late"):
            self.say("order.placed", "10:00:00", key)
        self.tick("10:25:00")
        self.expect()
        self.say("order.paid", "10:14:00", "in time")
        self.say("order.paid", "10:20:00", "too late")
        self.tick("10:25:00.000001")
        self.expect(("unpaid", "never", "10:15:00"), ("unpaid", "too late", "10:15:00"))

    def test_late_evidence_retracts_where_the_rule_says_so(self):
        self.server.sql(f"CREATE TIMEOUT unpaid AS {ORDERS} LATE RETRACT")
        for key in ("before", "exact", "behind"):
            self.say("order.placed", "10:00:00", key)
        self.tick("11:00:00")
        self.expect(*(("unpaid", key, "10:15:00") for key in ("before", "exact", "behind")))
        self.say("order.paid", "10:10:00", "before")
        self.say("order.paid", "10:15:00", "exact")
        self.say("order.paid", "10:15:00.000001", "behind")
        self.expect(("unpaid", "before", "10:15:00"), ("unpaid", "exact", "10:15:00"), kind=RETRACTED)
        self.say("order.paid", "10:11:00", "before")
        self.expect(("unpaid", "before", "10:15:00"), ("unpaid", "exact", "10:15:00"), kind=RETRACTED)
        self.assertEqual(["retracted", "retracted", "fired"],
                         [self.state("unpaid", key) for key in ("before", "exact", "behind")])
        self.assertEqual([], self.told(COMPLETED_LATE))

    def test_late_evidence_is_told_once_where_it_retracts_nothing(self):
        for name, late in (("plain", ""), ("ignoring", "LATE IGNORE")):
            self.server.sql(f"CREATE TIMEOUT {name} AS {ORDERS} {late}")
        self.say("order.placed", "10:00:00", "o1")
        self.tick("11:00:00")
        self.expect(("plain", "o1", "10:15:00"), ("ignoring", "o1", "10:15:00"))
        for clock in ("10:10:00", "10:12:00"):
            self.say("order.paid", clock, "o1")
        self.expect(("plain", "o1", "10:15:00"), ("ignoring", "o1", "10:15:00"), kind=COMPLETED_LATE)
        self.assertEqual([], self.told(RETRACTED))
        self.assertEqual("fired", self.state("plain", "o1"))

    def test_late_evidence_after_kills_retracts_once(self):
        self.server.sql(f"CREATE TIMEOUT unpaid AS {ORDERS} LATE RETRACT")
        for key in ("o1", "o2"):
            self.say("order.placed", "10:00:00", key)
        self.tick("11:00:00")
        fired = [("unpaid", key, "10:15:00") for key in ("o1", "o2")]
        self.expect(*fired)
        self.server.kill9()
        self.server.start()
        self.say("order.paid", "10:10:00", "o1")
        self.expect(fired[0], kind=RETRACTED)
        before = self.told_all()
        for end in (self.server.stop, self.server.kill9):
            end()
            self.server.start()
            self.say("order.paid", "10:12:00", "o1")
        self.assertEqual(before, self.told_all()[:len(before)])
        self.say("order.paid", "10:15:00", "o2")
        self.expect(*fired, kind=RETRACTED)
        self.assertEqual(sorted(fired), sorted(self.told()))
        self.assertEqual([], self.told(COMPLETED_LATE))

    def test_an_instance_that_lives_on_fires_anew_and_each_retraction_names_its_own_firing(self):
        self.server.sql("CREATE TIMEOUT stuck AS AFTER type = 'start' EXPECT type = 'end' HEARTBEAT type = 'beat' "
                        "WITHIN INTERVAL '10 minutes' PER subject LATE RETRACT")
        self.say("start", "10:00:00", "job")
        self.tick("10:30:00")
        self.expect(("stuck", "job", "10:10:00"))
        self.say("beat", "10:10:00", "job")
        self.expect(("stuck", "job", "10:10:00"), ("stuck", "job", "10:20:00"))
        self.say("end", "10:20:00", "job")
        self.eventually(lambda: len(self.told(RETRACTED)) == 2)
        items = self.told_all()
        fired = [item["id"] for item in items if item["type"] == FIRED]
        taken_back = [item for item in items if item["type"] == RETRACTED]
        self.assertEqual(4, len({item["id"] for item in items}))
        self.assertEqual(fired, [item["data"]["fired_id"] for item in taken_back])

    def test_a_firing_keeps_its_time_whatever_becomes_of_it(self):
        """Taken back, told as completed late, or fired anew: each note and each object says when its firing was."""
        beats = "AFTER type = 'start' EXPECT type = 'end' HEARTBEAT type = 'beat' WITHIN INTERVAL '10 minutes' PER subject"
        self.server.sql(f"CREATE TIMEOUT back AS {beats} LATE RETRACT")
        self.server.sql(f"CREATE TIMEOUT told AS {beats}")
        self.server.sql("CREATE SILENCE quiet AS EXPECT type = 'start' EVERY INTERVAL '10 minutes' PER subject")
        for key in ("ends", "lives"):
            self.say("start", "10:00:00", key)
        self.tick("10:30:00")
        self.eventually(lambda: len(self.told()) == 6)
        self.restart()
        self.say("end", "10:10:00", "ends")
        self.say("beat", "10:10:00", "lives")
        self.say("start", "10:01:00", "ends")
        # "back" fires anew for "lives" and, of the other start, for "ends"; so does "told" for the latter.
        self.eventually(lambda: len(self.told(RETRACTED)) == 2 and len(self.told(COMPLETED_LATE)) == 3 and
                        ("back", "lives", "10:20:00") in self.told())
        self.restart()
        self.say("end", "10:20:00", "lives")
        self.eventually(lambda: len(self.told(RETRACTED)) == 3)
        items = self.told_all()
        fired = {item["id"]: item for item in items if item["type"] == FIRED}
        for item in items:
            data = item["data"]
            if item["type"] != FIRED:
                self.assertEqual(fired[data["fired_id"]]["data"]["fired_at"], data["fired_at"], item)
                self.assertLess(time_us(data["fired_at"]), time_us(item["time"]), item)
        for key in ("ends", "lives"):
            taken = [item["data"] for item in items if item["type"] == RETRACTED and item["subject"] == key][-1]
            reply = self.server.request("GET", path(key) + "?rule=back").json
            shown = [one for one in reply["instances"] if one["started"] == at("10:00:00")][0]
            self.assertEqual(("retracted", taken["fired_at"], taken["retracted_at"]),
                             (shown["state"], shown["fired_at"], shown["retracted_at"]))

    def test_the_command_line_shows_when_a_false_alarm_was(self):
        self.server.sql(f"CREATE TIMEOUT unpaid AS {ORDERS} LATE RETRACT")
        self.say("order.placed", "10:00:00", "o1")
        self.tick("11:00:00")
        self.expect(("unpaid", "o1", "10:15:00"))
        self.say("order.paid", "10:10:00", "o1")
        self.expect(("unpaid", "o1", "10:15:00"), kind=RETRACTED)
        url = ["--url", f"http://127.0.0.1:{self.server.port}"]
        shown = run(["timeouts", "show", "o1", "--rule", "unpaid", *url])
        self.assertEqual(0, shown.returncode, shown)
        self.assertRegex(shown.stdout, r"(?m)^o1: retracted .* ago\n(.*\n)*  fired +\S+ \S+ .*\n  retracted +\S+ \S+ ")
        told = run(["tail", "notifications", "--type", RETRACTED, "--limit", "1", *url])
        self.assertEqual(0, told.returncode, told)
        self.assertRegex(told.stdout, r"  timeout\.retracted  o1  of unpaid  due .*, fired \d\S+ \S+\n$")

    def test_a_late_event_satisfies_what_is_still_open(self):
        self.server.sql("CREATE TIMEOUT slow AS AFTER type = 'a' EXPECT type = 'b' WITHIN INTERVAL '2 hours' PER subject")
        self.say("a", "10:00:00", "k")
        self.tick("11:00:00")
        self.say("b", "10:30:00", "k")
        self.tick("13:00:00")
        self.expect()
        self.assertEqual("completed", self.state("slow", "k"))

    def test_a_duplicate_event_counts_once(self):
        self.server.sql(f"CREATE TIMEOUT unpaid AS {ORDERS} LATE RETRACT")
        made = {"specversion": "1.0", "id": "same", "source": "/shop", "type": "order.placed", "subject": "o1",
                "time": at("10:00:00")}
        for _ in range(3):
            self.server.send([made, made], "applied")
        self.tick("11:00:00")
        self.expect(("unpaid", "o1", "10:15:00"))
        self.server.send([made], "applied")
        self.expect(("unpaid", "o1", "10:15:00"))

    def test_final_lets_all_fire(self):
        self.server.sql(f"CREATE TIMEOUT unpaid AS {ORDERS}")
        self.say("order.placed", "10:00:00", "o1")
        self.server.final("*")
        self.expect(("unpaid", "o1", "10:15:00"))

    def test_only_the_lanes_of_the_rule_hold_it_back(self):
        self.server.put_source("/fast", watermark="bounded", disorder="PT0S", idle_after="P1D")
        self.server.put_source("/slow", watermark="explicit", idle_after="P1D")
        self.server.sql("CREATE TIMEOUT quick WITH (sources = '/fast') AS " + ORDERS)
        self.server.sql(f"CREATE TIMEOUT whole AS {ORDERS}")
        self.say("order.placed", "10:00:00", "o1", source="/fast")
        self.say("order.placed", "10:00:00", "o2", source="/slow")
        self.say("tick", "12:00:00", source="/fast")
        self.tick("12:00:00")
        # It waits for them alone, but it sees the events of all.
        quick = [("quick", "o1", "10:15:00"), ("quick", "o2", "10:15:00")]
        self.expect(*quick)
        self.server.watermark("/slow", time=at("11:00:00"))
        self.expect(*quick, ("whole", "o1", "10:15:00"), ("whole", "o2", "10:15:00"))


class Silences(Stories):
    def setUp(self):
        super().setUp()
        self.server.sql("CREATE SILENCE quiet AS EXPECT type = 'sensor.reading' EVERY INTERVAL '90 minutes' PER source")

    def read(self, clock, source="/s1"):
        self.say("sensor.reading", clock, source=source)

    def test_it_fires_once_per_silence_and_is_armed_again_by_the_next_event(self):
        self.read("10:00:00")
        self.tick("11:30:00")
        self.expect()
        self.tick("11:30:01")
        self.expect(("quiet", "/s1", "11:30:00"))
        self.tick("18:00:00")
        self.expect(("quiet", "/s1", "11:30:00"))
        self.assertEqual(at("10:00:00"), self.told_all()[0]["data"]["last_seen"])
        self.read("19:00:00")
        self.tick("20:30:00")
        self.expect(("quiet", "/s1", "11:30:00"))
        self.tick("20:30:01")
        self.expect(("quiet", "/s1", "11:30:00"), ("quiet", "/s1", "20:30:00"))

    def test_exactly_every_is_in_time(self):
        for clock in ("10:00:00", "11:30:00", "13:00:00"):
            self.read(clock)
        self.tick("14:30:00")
        self.expect()

    def test_each_key_for_itself_and_keys_never_seen_not_at_all(self):
        self.read("10:00:00", "/s1")
        self.read("10:00:00", "/s2")
        self.read("11:00:00", "/s2")
        self.say("other", "10:00:00", source="/s3")
        self.tick("12:00:00")
        self.expect(("quiet", "/s1", "11:30:00"))

    def test_events_out_of_order_within_the_disorder_change_nothing(self):
        self.server.put_source("*", watermark="bounded", disorder="PT3H", idle_after="P1D")
        for clock in ("10:00:00", "12:00:00", "11:00:00", "16:00:00"):
            self.read(clock)
        self.tick("21:00:00")
        self.expect(("quiet", "/s1", "13:30:00"), ("quiet", "/s1", "17:30:00"))

    def test_a_finished_source_is_not_silent(self):
        self.read("10:00:00", "/early")
        self.read("11:00:00", "/middle")
        self.read("12:30:00", "/last")
        self.server.final("*")
        self.expect(("quiet", "/early", "11:30:00"))

    def test_a_restart_loses_no_silence_and_tells_none_twice(self):
        self.read("10:00:00", "/s1")
        self.read("10:30:00", "/s2")
        self.tick("11:45:00")
        self.expect(("quiet", "/s1", "11:30:00"))
        for end in (self.server.kill9, self.server.stop):
            end()
            self.server.start()
        self.tick("12:30:00")
        self.expect(("quiet", "/s1", "11:30:00"), ("quiet", "/s2", "12:00:00"))


class TheProcessingClock(Stories):
    """Here the time of arrival decides, whatever an event says of its own."""

    def test_a_timeout_by_the_clock(self):
        self.server.sql("CREATE TIMEOUT soon AS AFTER type = 'a' EXPECT type = 'b' WITHIN INTERVAL '1 second' PER subject "
                        "CLOCK PROCESSING")
        self.say("a", "10:00:00", "fires")
        self.say("a", "10:00:00", "kept")
        self.say("b", "23:00:00", "kept")
        self.eventually(lambda: self.told_all(), 30, "the firing")
        self.pulse()
        items = self.told_all()
        self.assertEqual(["fires"], [item["subject"] for item in items])
        data = items[0]["data"]
        self.assertGreaterEqual(time_us(data["fired_at"]), time_us(data["deadline"]), "early")
        self.assertGreater(time_us(data["deadline"]), time_us("2026-01-01T00:00:00Z"))
        self.assertEqual("completed", self.state("soon", "kept"))

    def test_a_silence_by_the_clock(self):
        self.server.sql("CREATE SILENCE hush AS EXPECT type = 'beat' EVERY INTERVAL '1 second' PER subject CLOCK PROCESSING")
        begin = time.monotonic()
        while time.monotonic() - begin < 2:
            self.say("beat", "10:00:00", "alive")
            time.sleep(0.05)
        early = [item["subject"] for item in self.told_all()]
        self.eventually(lambda: len(self.told_all()) > len(early), 30, "the silence")
        self.pulse()
        time.sleep(1.2)
        self.assertEqual(len(early) + 1, len(self.told_all()), "it fires once")
        data = self.told_all()[-1]["data"]
        self.assertGreaterEqual(time_us(data["fired_at"]), time_us(data["deadline"]), "early")

    def test_a_deadline_that_passes_while_it_is_down(self):
        self.server.sql("CREATE TIMEOUT soon AS AFTER type = 'a' EXPECT type = 'b' WITHIN INTERVAL '1 second' PER subject "
                        "CLOCK PROCESSING")
        self.say("a", "10:00:00", "k")
        self.server.kill9()
        time.sleep(1.2)
        self.server.start()
        self.eventually(lambda: self.told_all(), 30, "the firing")
        self.pulse()
        self.assertEqual(1, len(self.told_all()))


class Figures(Stories):
    def figure(self, name):
        for line in self.server.request("GET", "/metrics").body.decode().splitlines():
            if line.rpartition(" ")[0] == "tidemark_" + name:
                return int(line.rpartition(" ")[2])
        return None

    def test_metrics_count_timeouts_rules_and_notifications(self):
        self.server.sql(f"CREATE TIMEOUT unpaid AS {ORDERS} LATE RETRACT")
        self.server.sql("CREATE TIMEOUT odd AS AFTER type = 'odd' EXPECT type = 'b' "
                        "WITHIN data.minutes * INTERVAL '1 minute' PER subject")
        for key in ("o1", "o2"):
            self.say("order.placed", "10:00:00", key)
        self.say("odd", "10:00:00", "no minutes")
        self.tick("10:20:00")
        self.expect(("unpaid", "o1", "10:15:00"), ("unpaid", "o2", "10:15:00"))
        self.say("order.paid", "10:10:00", "o1")
        self.say("order.placed", "10:20:00", "o3")
        self.tick("10:21:00")
        self.eventually(lambda: self.figure('rule_pending{rule="unpaid"}') == 1)
        self.eventually(lambda: self.figure('rule_retracted_total{rule="unpaid"}') == 1)
        create(self.server, "waits", within="P1D")
        self.pulse()
        for name, rule, count in (("fired", "unpaid", 2), ("lost", "unpaid", 0), ("unusable", "unpaid", 0),
                                  ("unusable", "odd", 1), ("fired", "odd", 0)):
            self.assertEqual(count, self.figure(f'rule_{name}_total{{rule="{rule}"}}'), (name, rule))
        self.assertEqual(1, self.figure('timeouts{state="pending"}'))
        self.assertEqual(self.figure('timeouts{state="fired"}'), self.figure("timeouts_fired_total"))
        self.assertEqual(len(notes.read(self.server)[0]), self.figure("notifications_kept"))
        for name in ("notifications_forgotten_total", "notifications_lost_total", "timeouts_no_room_total"):
            self.assertEqual(0, self.figure(name), name)
        self.assertGreater(self.figure("timeouts_bytes"), 0)


class Definitions(Stories):
    def test_a_rule_can_be_read_by_its_name(self):
        self.server.sql(f"CREATE TIMEOUT unpaid AS {ORDERS}")
        for n in range(7):
            self.say("order.placed", "10:00:00", f"o{n}")
        self.say("order.paid", "10:01:00", "o3")
        self.tick("10:02:00")
        self.eventually(lambda: len(self.server.walk(TIMEOUTS, rule="unpaid")) == 7)
        items = self.server.walk(TIMEOUTS, rule="unpaid", limit=2)
        self.assertEqual({f"o{n}" for n in range(7)}, {item["key"] for item in items})
        self.assertEqual(7, len(items))
        self.assertEqual(["o3"], [one["key"] for one in self.server.walk(TIMEOUTS, rule="unpaid", state="completed")])
        self.assertEqual(at("10:15:00"), self.server.get(path("o1"), rule="unpaid")["deadline"])
        self.assertEqual(404, self.server.request("GET", path("nobody") + "?rule=unpaid").status)

    def test_a_key_with_several_starts_shows_all_its_instances(self):
        self.server.sql(f"CREATE TIMEOUT unpaid AS {ORDERS}")
        for clock in ("10:00:00", "10:10:00"):
            self.say("order.placed", clock, "o1")
        self.tick("10:20:00")
        self.expect(("unpaid", "o1", "10:15:00"))
        self.say("order.paid", "10:21:00", "o1")
        self.say("order.placed", "10:30:00", "o1")
        self.tick("10:31:00")
        self.eventually(lambda: len(self.server.get(path("o1"), rule="unpaid")["instances"]) == 3)
        self.eventually(lambda: self.server.get(TIMEOUTS + ":count", rule="unpaid")["completed"] == 1)
        one = self.server.get(path("o1"), rule="unpaid")
        self.assertEqual((at("10:30:00"), "pending"), (one["started"], one["state"]))
        self.assertEqual([(at("10:30:00"), "pending"), (at("10:10:00"), "completed"), (at("10:00:00"), "fired")],
                         [(each["started"], each["state"]) for each in one["instances"]])
        counts = self.server.get(TIMEOUTS + ":count", rule="unpaid")
        self.assertEqual((1, 1, 1, 3), tuple(counts[name] for name in ("pending", "fired", "completed", "total")))
        self.assertEqual(404, self.server.request("GET", TIMEOUTS + ":count?rule=nowhere").status)

    def test_explicit_timeouts_and_those_of_rules_do_not_meet(self):
        self.server.sql(f"CREATE TIMEOUT unpaid AS {ORDERS}")
        self.say("order.placed", "10:00:00", "o1")
        self.assertEqual(404, self.server.request("GET", path("o1")).status)
        made = create(self.server, "o1", within="P1D")
        self.assertEqual((201, 1), (made.status, made.json["generation"]))
        self.say("order.paid", "10:01:00", "o1")
        self.tick("10:30:00")
        self.assertEqual(("pending", "completed"), (get(self.server, "o1")["state"], self.state("unpaid", "o1")))
        self.assertEqual(["o1"], [one["key"] for one in self.server.walk(TIMEOUTS, prefix="o1")])

    def test_making_and_dropping(self):
        text = f"CREATE TIMEOUT unpaid AS {ORDERS}"
        self.server.sql(text)
        self.server.sql(text)
        self.say("order.placed", "10:00:00", "o1")
        self.server.sql("DROP TIMEOUT unpaid")
        self.tick("11:00:00")
        self.expect()
        self.assertIn(self.server.request("GET", TIMEOUTS + "?rule=unpaid").status, (404, 422))
        self.server.sql(text)
        self.say("order.placed", "12:00:00", "o2")
        self.tick("13:00:00")
        self.expect(("unpaid", "o2", "12:15:00"))

    def test_a_rule_lives_from_its_making_on_without_a_restart_and_over_one(self):
        self.say("order.placed", "09:00:00", "before")
        self.server.sql(f"CREATE TIMEOUT unpaid AS {ORDERS}")
        self.say("order.placed", "10:00:00", "after")
        for end in (self.server.kill9, self.server.stop):
            end()
            self.server.start()
        self.tick("11:00:00")
        self.expect(("unpaid", "after", "10:15:00"))

    def test_many_rules_over_the_same_events(self):
        for n in range(1, 21):
            self.server.sql(f"CREATE TIMEOUT r{n} AS AFTER type = 'a' EXPECT type = 'b' WITHIN INTERVAL '{n} minutes' "
                            "PER subject")
        self.say("a", "10:00:00", "k")
        self.say("b", "10:10:00", "k")
        self.tick("11:00:00")
        self.expect(*((f"r{n}", "k", f"10:{n:02}:00") for n in range(1, 10)))

    def test_a_trailing_semicolon_and_two_rules_at_once(self):
        self.server.sql(f"CREATE TIMEOUT a AS {ORDERS};\nCREATE SILENCE b AS EXPECT type = 'x' "
                        "EVERY INTERVAL '90 minutes' PER source;")
        self.say("order.placed", "10:00:00", "o1")
        self.say("x", "10:00:00")
        self.tick("12:00:00")
        self.expect(("a", "o1", "10:15:00"), ("b", "/shop", "11:30:00"))


if __name__ == "__main__":
    cases.main()

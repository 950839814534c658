#!/usr/bin/env python3
"""The engine tells that it can't tell whether anybody is silent, and that it can again: in the feed, and everywhere
that the feed is read."""
import time
import unittest

from support import cases, notes
from support.events import event, text_time
from support.server import Server, run
from support.timeouts import create, get
from truth_lib import SECOND, time_text, time_us

ENGINE = "tidemark.engine.lagging"


class Telling(unittest.TestCase):
    eventually = cases.Case.eventually

    def setUp(self):
        self.server = Server(3, 2)
        self.addCleanup(self.server.discard)
        self.server.start()

    def engine_notes(self, **parameters):
        items, _ = notes.read(self.server, type="tidemark.engine.*", **parameters)
        notes.check_feed(self, items)
        return items

    def firings(self):
        items, _ = notes.read(self.server, type=notes.FIRED)
        return items

    def hold(self):
        """A timeout by events that is due, and a server that was killed: it holds, for an hour."""
        self.server.put_source("*", watermark="bounded", disorder="PT0S", idle_after="PT1H")
        now = time_us(text_time())
        self.server.send([event(time_text(now))], "applied")
        self.assertEqual(201, create(self.server, "k", clock="event", deadline=time_text(now + SECOND // 2)).status)
        self.server.kill9()
        self.server.start()
        self.eventually(lambda: self.engine_notes(), what="the note that it holds")

    def over(self):
        self.server.send([event(text_time())], "applied")
        self.eventually(lambda: len(self.engine_notes()) % 2 == 0, what="the note that it is over")

    def test_it_tells_that_it_holds_and_that_it_is_over(self):
        self.hold()
        self.assertEqual("unknown", get(self.server, "k")["state"])
        self.assertEqual([], self.firings())
        holds, = self.engine_notes()
        self.assertEqual(("/tidemark/engine", ENGINE, "engine"), (holds["source"], holds["type"], holds["subject"]))
        self.assertEqual((True, ["deaf"]), (holds["data"]["holding"], holds["data"]["why"]))
        self.assertNotIn("until", holds["data"])
        self.assertGreater(time_us(holds["time"]), time_us(holds["data"]["since"]) + SECOND)
        self.over()
        self.eventually(lambda: get(self.server, "k")["state"] == "fired")
        _, over = self.engine_notes(subject="engine")
        self.assertIs(False, over["data"]["holding"])
        self.assertIn("deaf", over["data"]["why"])
        self.assertEqual((holds["data"]["since"], over["time"]), (over["data"]["since"], over["data"]["until"]))
        self.assertEqual(["k"], [item["subject"] for item in self.firings()])
        self.assertGreaterEqual(self.firings()[0]["data"]["fired_at"], over["data"]["until"])

    def test_the_notes_stay_the_same_over_restarts_and_another_episode_is_another(self):
        self.hold()
        self.over()
        told = self.engine_notes()
        create(self.server, "far", clock="event", deadline="2300-01-01T00:00:00Z")
        for end in (self.server.kill9, self.server.stop):
            end()
            self.server.start()
            before = len(told)
            self.eventually(lambda: len(self.engine_notes()) > before, what="another episode")
            self.over()
            self.assertEqual(told, self.engine_notes()[:before])
            told = self.engine_notes()
        self.assertEqual([True, False] * 3, [item["data"]["holding"] for item in told])

    def test_it_comes_by_stream_and_on_the_command_line(self):
        self.hold()
        self.over()
        with notes.Stream(self.server, type=ENGINE) as stream:
            self.assertEqual(self.engine_notes(), stream.notifications(2))
        told = run(["tail", "notifications", "--type", ENGINE, "--limit", "2", "--url",
                    f"http://127.0.0.1:{self.server.port}"])
        self.assertEqual(0, told.returncode, told.stderr)
        first, second = told.stdout.splitlines()
        self.assertRegex(first, r"^\S+ \S+  engine\.lagging  engine  holds since \d\d\d\d-\S+ \S+: deaf$")
        self.assertRegex(second, r"^\S+ \S+  engine\.lagging  engine  held since \d\d\d\d-\S+ \S+: (\w+, )*deaf$")

    def test_with_nothing_to_hold_nothing_is_told(self):
        self.server.put_source("*", watermark="bounded", disorder="PT0S", idle_after="PT1H")
        self.server.send([event(text_time())], "applied")
        create(self.server, "by-the-clock", within="PT1H")
        self.server.kill9()
        self.server.start()
        time.sleep(2)
        create(self.server, "pulse", deadline="2001-01-01T00:00:00Z")
        self.eventually(lambda: get(self.server, "pulse")["state"] == "fired")
        self.assertEqual([], self.engine_notes())


if __name__ == "__main__":
    cases.main()

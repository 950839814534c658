#!/usr/bin/env python3
"""Silence is not deafness, on the real clock: who falls silent is told of within the bound; while the server was
stopped, killed or shut down nobody is called silent, and the right ones are told afterwards."""
import http.client
import json
import signal
import threading
import time
import unittest

from support import cases, notes
from support.events import event, text_time
from support.server import Server
from support.timeouts import create
from support.totals import thinned
from truth_lib import SECOND, time_text, time_us

LATE_SECONDS = 10  # a machine may be slow
EVERY, DISORDER, IDLE = 1, 1, 3
QUIET = f"CREATE SILENCE quiet AS EXPECT type = 'beat' EVERY INTERVAL '{EVERY} second' PER source"


class Heart(threading.Thread):
    """A live source: a beat every 0.2 s, each with its time. What can't be sent is kept, and sent when it can."""
    PERIOD_US = 200_000

    def __init__(self, server, source):
        super().__init__(daemon=True)
        self.server, self.source = server, source
        self.over = threading.Event()
        self.next_us = time_us(text_time())
        self.last_us = self.heard_us = 0
        self.longest_us = 0  # between two acknowledgements
        self.start()

    def run(self):
        kept = []
        while not self.over.wait(0.1):
            while self.next_us <= time_us(text_time()):
                kept.append(event(time_text(self.next_us), type="beat", source=self.source))
                self.next_us += self.PERIOD_US
            if kept and self.send(kept):
                self.last_us = time_us(kept[-1]["time"])
                now = time_us(text_time())
                self.longest_us = max(self.longest_us, now - (self.heard_us or now))
                self.heard_us = now
                kept = []

    def send(self, events):
        """Over a connection of its own: that of the tests is closed with the server."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            connection.request("POST", "/v1/events", json.dumps(events),
                               {"Content-Type": "application/cloudevents-batch+json"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def die(self):
        self.over.set()
        self.join()


class Silence(unittest.TestCase):
    """A heart beats through our own trouble, then it stops."""
    eventually = cases.Case.eventually

    def setUp(self):
        self.server = Server(3, 2)
        self.addCleanup(self.server.discard)
        self.server.start()
        self.server.put_source("*", watermark="bounded", disorder=f"PT{DISORDER}S", idle_after=f"PT{IDLE}S")

    def firings(self):
        items, _ = notes.read(self.server, type=notes.FIRED)
        return items

    def begin(self):
        self.server.sql(QUIET)
        heart = Heart(self.server, "/heart")
        self.addCleanup(heart.die)
        self.eventually(lambda: heart.heard_us > 0, what="the first beat")
        time.sleep(1)
        return heart

    def check_alive(self, heart, since_us, what):
        """It was heard since then, for a while, and nothing has fired."""
        self.eventually(lambda: heart.last_us > since_us, 60, "the beats afterwards")
        trouble_us, heart.longest_us = heart.longest_us, 0
        self.eventually(lambda: heart.last_us > since_us + 2 * SECOND, 60, "more beats")
        told = self.firings()
        if told and heart.longest_us > IDLE * SECOND:
            self.skipTest(f"this machine slept: the heart itself stood still for {heart.longest_us} us")
        self.assertEqual([], told, what)
        heart.longest_us = max(heart.longest_us, trouble_us)

    def check_dies(self, heart, explicit_us):
        """It stops: the silence and the explicit timeout are told within the bound, and not before."""
        heart.die()
        last, heard = heart.last_us, heart.heard_us
        created = create(self.server, "explicit", clock="event", deadline=time_text(last + explicit_us))
        self.assertEqual(201, created.status, created)
        items, _ = notes.wait_for(self.server, 2, 60, type=notes.FIRED)
        self.assertEqual({"/heart", "explicit"}, {item["subject"] for item in items})
        for item in items:
            span = EVERY * SECOND if item["subject"] == "/heart" else explicit_us
            fired = time_us(item["data"]["fired_at"])
            self.assertEqual(last + span, time_us(item["data"]["deadline"]))
            self.assertGreaterEqual(fired, last + max(span + DISORDER * SECOND, IDLE * SECOND), item)
            self.assertLessEqual(fired, heard + max(span + max(DISORDER * SECOND, heart.longest_us), IDLE * SECOND) +
                                 (1 + LATE_SECONDS) * SECOND, item)

    def test_a_producer_that_dies_is_told_of_within_the_bound(self):
        heart = self.begin()
        self.assertEqual([], self.firings())
        self.check_dies(heart, 2 * SECOND)

    def test_a_server_that_was_stopped_calls_nobody_silent(self):
        heart = self.begin()
        self.server.process.send_signal(signal.SIGSTOP)
        time.sleep(IDLE + EVERY + 1)
        resumed = time_us(text_time())
        self.server.process.send_signal(signal.SIGCONT)
        self.check_alive(heart, resumed, "after a stop")
        why = {reason for item in notes.read(self.server, type="tidemark.engine.*")[0] for reason in item["data"]["why"]}
        self.assertIn("resumed", why)
        self.check_dies(heart, 2 * SECOND)

    def test_a_server_that_was_down_calls_nobody_silent(self):
        heart = self.begin()
        for end in (self.server.kill9, self.server.stop)[:thinned(1, 2)]:
            end()
            time.sleep(IDLE + EVERY)
            self.server.start()
            self.check_alive(heart, time_us(text_time()), end.__name__)
        self.check_dies(heart, 2 * SECOND)


if __name__ == "__main__":
    cases.main()

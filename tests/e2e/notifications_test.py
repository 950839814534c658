#!/usr/bin/env python3
"""The feed of notifications: positions, waits, streams, consumers, filters, and ids that stay for ever."""
import http.client
import threading
import time
import unittest

from support import cases, notes
from support.notes import FEED, FIRED, Stream, acknowledge, page, read
from support.server import Server
from support.timeouts import another, create, post_batch, results
from support.totals import thinned

PAST = "2001-01-01T00:00:00Z"
RULE = ("CREATE TIMEOUT unpaid AS AFTER type = 'order' EXPECT type = 'paid' WITHIN INTERVAL '15 minutes' PER subject "
        "LATE RETRACT")


class Feed(cases.Case):
    """What the classes share: a way to make something to tell."""

    def fire(self, count=1, stem="told"):
        """So many timeouts that fire at once; their keys, all of them told by now."""
        _, cursor = read(self.server)
        keys = [self.name(stem) for _ in range(count)]
        got = results(post_batch(self.server, [{"op": "create", "key": key, "deadline": PAST} for key in keys]))
        self.assertEqual({201}, {one.get("status") for one in got})
        notes.wait_for(self.server, count, after=cursor, type=FIRED)
        return keys

    def subjects(self, items):
        return [item["subject"] for item in items]


class Positions(Feed):
    def test_an_empty_feed_has_a_position_too(self):
        with Server(2, 2) as fresh:
            got = page(fresh)
            self.assertEqual([], got["items"])
            self.assertIsInstance(got["next_cursor"], str)
            create(fresh, "k", deadline=PAST)
            items, _ = notes.wait_for(fresh, 1, after=got["next_cursor"])
            self.assertEqual(["k"], self.subjects(items))

    def test_pages_of_any_size_show_each_once_and_in_one_order(self):
        self.fire(40)
        whole, _ = read(self.server)
        notes.check_feed(self, whole)
        self.assertGreaterEqual(len(whole), 40)
        for limit in (1, 3, 7, 1000):
            self.assertEqual(whole, read(self.server, limit=limit)[0])
        self.assertLessEqual(len(page(self.server)["items"]), 100)
        self.assertEqual(7, len(page(self.server, limit=7)["items"]))

    def test_a_cursor_goes_on_where_the_page_ended(self):
        a = self.fire(3)
        _, cursor = read(self.server)
        got = page(self.server, after=cursor)
        self.assertEqual([], got["items"])
        b = self.fire(3)
        items, _ = read(self.server, cursor)
        self.assertEqual(sorted(b), sorted(self.subjects(items)))
        self.assertFalse(set(a) & set(self.subjects(items)))
        self.assertEqual(items, read(self.server, got["next_cursor"])[0], "the cursor of an empty page")

    def test_a_reader_beside_many_writers_misses_nothing_and_sees_nothing_twice(self):
        _, cursor = read(self.server)
        count = thinned(200, 3000)

        def work(number):
            client = another(self.server)
            for n in range(count):
                create(client, f"busy-{number}-{n}", deadline=PAST)
            client.close()
        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        items, _ = notes.wait_for(self.server, 3 * count, 120, cursor, limit=50)
        for thread in threads:
            thread.join()
        notes.check_feed(self, items)
        self.assertEqual({f"busy-{number}-{n}" for number in range(3) for n in range(count)}, set(self.subjects(items)))
        self.assertEqual(items, read(self.server, cursor)[0], "read again it has another order")


class Waiting(Feed):
    def wait(self, **parameters):
        """(page, seconds it took)."""
        begin = time.monotonic()
        got = page(another(self.server), **parameters)
        return got, time.monotonic() - begin

    def test_it_returns_at_once_when_something_is_there(self):
        self.fire()
        got, took = self.wait(wait="PT30S")
        self.assertTrue(got["items"])
        self.assertLess(took, 15)

    def test_it_returns_empty_with_a_position_after_the_wait(self):
        _, cursor = read(self.server)
        got, took = self.wait(after=cursor, wait="PT1S")
        self.assertEqual([], got["items"])
        self.assertGreaterEqual(took, 0.9)
        keys = self.fire()
        self.assertEqual(keys, self.subjects(read(self.server, got["next_cursor"])[0]))

    def test_it_returns_early_when_something_comes(self):
        _, cursor = read(self.server)
        answers = []
        waiting = [threading.Thread(target=lambda: answers.append(self.wait(after=cursor, wait="PT30S"))) for _ in range(5)]
        for thread in waiting:
            thread.start()
        time.sleep(0.5)
        self.assertEqual([], answers, "it did not wait")
        key = self.name("comes")
        create(self.server, key, deadline=PAST)
        for thread in waiting:
            thread.join()
        for got, took in answers:
            self.assertEqual([key], self.subjects(got["items"]))
            self.assertLess(took, 25, "it slept the whole wait")

    def test_a_wait_with_a_filter_is_not_ended_by_what_the_filter_leaves_out(self):
        _, cursor = read(self.server)
        key = self.name("wanted")
        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.wait(after=cursor, wait="PT30S", subject=key)))
        thread.start()
        self.fire(3)
        create(self.server, key, deadline=PAST)
        thread.join()
        got, _ = answers[0]
        while not got["items"]:  # an empty page may come before its time, its cursor must lead on
            got, _ = self.wait(after=got["next_cursor"], wait="PT5S", subject=key)
        self.assertEqual([key], self.subjects(got["items"]))

    def test_a_stop_ends_those_who_wait(self):
        with Server(2, 2) as fresh:
            _, cursor = read(fresh)
            answers = []

            def work():
                try:
                    answers.append(page(another(fresh), after=cursor, wait="PT30S"))
                except (OSError, http.client.HTTPException, AssertionError) as ended:
                    answers.append(ended)
            thread = threading.Thread(target=work)
            thread.start()
            time.sleep(0.3)
            begin = time.monotonic()
            self.assertEqual(0, fresh.stop())
            thread.join()
            self.assertLess(time.monotonic() - begin, 8, "the stop waited for those who wait")
            self.assertEqual(1, len(answers))

    def test_those_who_wait_do_not_keep_others_from_being_served(self):
        _, cursor = read(self.server)
        threads = [threading.Thread(target=self.wait, kwargs={"after": cursor, "wait": "PT3S"}) for _ in range(40)]
        for thread in threads:
            thread.start()
        begin = time.monotonic()
        for _ in range(10):
            self.server.get("/v1/timeouts:count")
        self.assertLess(time.monotonic() - begin, 2.5)
        for thread in threads:
            thread.join()


class Streams(Feed):
    def test_a_stream_tells_what_is_there_and_what_comes(self):
        _, cursor = read(self.server)
        first = self.fire(3)
        with Stream(self.server, after=cursor) as stream:
            self.assertEqual((200, "text/event-stream"), (stream.status, stream.content_type))
            items = stream.notifications(3)
            self.assertEqual(sorted(first), sorted(self.subjects(items)))
            second = self.fire(2)
            items += stream.notifications(2)
        self.assertEqual(sorted(first + second), sorted(self.subjects(items)))
        self.assertEqual(read(self.server, cursor)[0], items, "the stream and the pages tell the same")

    def test_last_event_id_goes_on_behind_what_was_seen(self):
        _, cursor = read(self.server)
        self.fire(10)
        whole, _ = read(self.server, cursor)
        seen = []
        last = None
        while len(seen) < 10:
            with Stream(self.server, last_event_id=last, **({} if last else {"after": cursor})) as stream:
                seen += stream.notifications(min(3, 10 - len(seen)))
                last = stream.last_id
            self.assertTrue(last, "an item without an id")
        self.assertEqual(whole, seen)

    def test_last_event_id_holds_over_restarts(self):
        _, cursor = read(self.server)
        self.fire(6)
        with Stream(self.server, after=cursor) as stream:
            seen = stream.notifications(2)
            last = stream.last_id
        for end in (self.server.kill9, self.server.stop):
            end()
            self.server.start()
            with Stream(self.server, last_event_id=last) as stream:
                seen += stream.notifications(2)
                last = stream.last_id
        self.assertEqual(read(self.server, cursor)[0], seen)

    def test_a_stream_is_filtered_like_a_page(self):
        _, cursor = read(self.server)
        keys = self.fire(5)
        with Stream(self.server, after=cursor, subject=keys[3], type=FIRED) as stream:
            self.assertEqual([keys[3]], self.subjects(stream.notifications(1)))

    def test_a_stream_from_a_cursor_of_a_page(self):
        self.fire(2)
        _, cursor = read(self.server)
        keys = self.fire(2)
        with Stream(self.server, last_event_id=cursor) as stream:
            self.assertEqual(sorted(keys), sorted(self.subjects(stream.notifications(2))))

    def test_a_last_event_id_of_nobody_is_refused_or_reset(self):
        with Stream(self.server, last_event_id="nonsense") as stream:
            if stream.status == 200:
                self.assertEqual("reset", next(iter(stream.events()))[1])
            else:
                self.assertIn(stream.status, (400, 410, 422))

    def test_streams_that_are_left_alone_end_with_the_server(self):
        with Server(2, 2) as fresh:
            streams = [Stream(fresh) for _ in range(5)]
            begin = time.monotonic()
            self.assertEqual(0, fresh.stop())
            self.assertLess(time.monotonic() - begin, 8, "the stop waited for streams that nobody ends")
            for stream in streams:
                self.assertEqual([], list(stream.events()))
                stream.close()


class Consumers(Feed):
    def test_a_consumer_goes_on_behind_what_it_acknowledged_and_nowhere_else(self):
        name = self.name("reader")
        _, start = read(self.server)
        self.assertIn(acknowledge(self.server, name, start).status, (200, 204))
        keys = self.fire(5)
        first = page(self.server, consumer=name, limit=2)
        self.assertEqual(2, len(first["items"]))
        self.assertEqual(first["items"], page(self.server, consumer=name, limit=2)["items"], "reading acknowledges nothing")
        self.assertIn(acknowledge(self.server, name, first["next_cursor"]).status, (200, 204))
        rest = page(self.server, consumer=name)["items"]
        self.assertEqual(sorted(keys), sorted(self.subjects(first["items"] + rest)))

    def test_consumers_do_not_meet(self):
        a, b = self.name("reader"), self.name("reader")
        self.fire(3)
        whole, cursor = read(self.server)
        acknowledge(self.server, a, cursor)
        self.assertEqual([], page(self.server, consumer=a)["items"])
        self.assertEqual(whole[:5], page(self.server, consumer=b, limit=5)["items"])

    def test_a_consumer_can_be_forgotten(self):
        name = self.name("reader")
        self.fire(2)
        whole, cursor = read(self.server)
        acknowledge(self.server, name, cursor)
        listed = f"{FEED}/consumers"
        self.assertIn(name, [one["consumer"] for one in self.server.walk(listed)])
        self.assertEqual(204, self.server.request("DELETE", f"{listed}/{name}").status)
        self.assertNotIn(name, [one["consumer"] for one in self.server.walk(listed)])
        self.assertEqual(whole[:1], page(self.server, consumer=name, limit=1)["items"], "from the beginning again")
        self.check_problem(self.server.request("DELETE", f"{listed}/{name}"), 404)
        self.check_problem(self.server.request("DELETE", f"{listed}/Not%20one"), 422)
        self.server.kill9()
        self.server.start()
        self.assertNotIn(name, [one["consumer"] for one in self.server.walk(listed)])

    def test_a_position_is_kept_over_any_end(self):
        name = self.name("reader")
        _, start = read(self.server)
        acknowledge(self.server, name, start)
        keys = self.fire(6)
        seen = []
        for end in (self.server.kill9, self.server.stop, self.server.kill9):
            got = page(self.server, consumer=name, limit=2)
            seen += got["items"]
            self.assertIn(acknowledge(self.server, name, got["next_cursor"]).status, (200, 204))
            end()
            self.server.start()
        self.assertEqual(sorted(keys), sorted(self.subjects(seen)))
        self.assertEqual([], page(self.server, consumer=name)["items"])

    def test_a_consumer_waits_like_anybody(self):
        name = self.name("reader")
        _, start = read(self.server)
        acknowledge(self.server, name, start)
        begin = time.monotonic()
        self.assertEqual([], page(self.server, consumer=name, wait="PT0.5S")["items"])
        self.assertGreaterEqual(time.monotonic() - begin, 0.4)

    def test_an_acknowledgement_may_be_sent_again(self):
        name = self.name("reader")
        self.fire(2)
        _, cursor = read(self.server)
        for _ in range(2):
            self.assertIn(acknowledge(self.server, name, cursor).status, (200, 204))
        self.assertEqual([], page(self.server, consumer=name)["items"])


class Filters(Feed):
    @classmethod
    def prepare(cls):
        cls.server.put_source("*", watermark="bounded", disorder="PT0S", idle_after="P1D")
        cls.server.sql(RULE)

    def retract(self, key):
        """An order that wasn't paid, as it seemed: fired, then retracted."""
        source = "/" + self.name("shop")

        def say(kind, clock):
            made = {"specversion": "1.0", "id": f"{key}-{kind}-{clock}", "source": source, "type": kind, "subject": key,
                    "time": f"2020-01-01T{clock}Z"}
            self.assertEqual(200, self.server.send([made], "applied").status)
        say("order", "10:00:00")
        say("tick", "11:00:00")
        notes.wait_for(self.server, 1, subject=key, type=FIRED)
        say("paid", "10:10:00")
        notes.wait_for(self.server, 1, subject=key, type=notes.RETRACTED)

    def test_by_type_by_subject_and_by_both(self):
        key = self.name("order")
        other = self.fire(2)
        self.retract(key)
        self.assertEqual([FIRED, notes.RETRACTED], [item["type"] for item in read(self.server, subject=key)[0]])
        self.assertEqual([key], self.subjects(read(self.server, type=notes.RETRACTED, subject=key)[0]))
        self.assertEqual([], read(self.server, type=notes.RETRACTED, subject=other[0])[0])
        self.assertEqual([], read(self.server, subject=key + "x")[0])
        self.assertEqual([], read(self.server, subject=key[:-1])[0])
        whole, _ = read(self.server)
        for kind in (FIRED, notes.RETRACTED):
            self.assertEqual([item for item in whole if item["type"] == kind], read(self.server, type=kind, limit=1)[0])

    def test_a_retraction_names_its_firing(self):
        key = self.name("order")
        self.retract(key)
        fired, retracted = read(self.server, subject=key)[0]
        self.assertIn(fired["id"], str(retracted["data"]))
        self.assertNotEqual(fired["id"], retracted["id"])

    def test_odd_subjects(self):
        for stem in ("a&b=c", "100%", "\u00fcn\u00ef", "a/b", "a b"):
            key = self.fire(1, stem)[0]
            self.assertEqual([key], self.subjects(read(self.server, subject=key)[0]))


class Ids(Feed):
    def test_the_same_feed_after_kills_and_replays(self):
        self.fire(30)
        before, cursor = read(self.server)
        notes.check_feed(self, before)
        for end in (self.server.kill9, self.server.stop, self.server.kill9):
            end()
            self.server.start()
            self.assertEqual(before, read(self.server)[0])
            self.assertEqual([], read(self.server, cursor)[0], "an old cursor holds")
        self.fire(1)
        self.assertEqual(1, len(read(self.server, cursor)[0]))

    def test_ids_differ_by_key_and_by_generation(self):
        key = self.name("again")
        for generation in range(1, 5):
            reply = create(self.server, key, deadline=PAST, on_exists="replace")
            self.assertEqual((201, generation), (reply.status, reply.json["generation"]))
            notes.wait_for(self.server, generation, subject=key)
        items, _ = read(self.server, subject=key)
        notes.check_feed(self, items)
        self.assertEqual(4, len(items))

    def test_each_item_is_a_cloud_event(self):
        self.fire(3)
        for item in read(self.server)[0]:
            notes.check_item(self, item)


if __name__ == "__main__":
    cases.main()

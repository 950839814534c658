#!/usr/bin/env python3
"""Explicit timeouts: what a client is told, what it reads right after, and what fires: once, and never early."""
import itertools
import random
import threading
import time
import unittest

from support import cases, notes
from support.events import event, text_time
from support.server import Server
from support.timeouts import (TIMEOUTS, act, another, create, current_of, fired_at, get, path, post_batch, results,
                              states)
from support.totals import thinned
from truth_lib import MINUTE, SECOND, time_text, time_us


class Timeouts(cases.Case):
    """What all classes share."""

    def made(self, key=None, **members):
        """A timeout just created: its object."""
        reply = create(self.server, key or self.name("order"), **members)
        self.assertEqual(201, reply.status, reply)
        return reply.json

    def fired(self, key, seconds=30):
        """The one notification of its firing."""
        items, _ = notes.wait_for(self.server, 1, seconds, subject=key, type=notes.FIRED)
        self.assertEqual(1, len(items), items)
        return items[0]

    def check_fired(self, key, deadline):
        """Its one firing came, in state and feed, and not before the deadline."""
        item = self.fired(key)
        notes.check_item(self, item)
        self.assertEqual(key, item["subject"])
        self.assertEqual(deadline, item["data"]["deadline"])
        self.assertGreaterEqual(time_us(item["data"]["fired_at"]), time_us(deadline), "early")
        self.assertGreaterEqual(time_us(text_time()), time_us(deadline), "early")
        there = get(self.server, key)
        self.assertEqual("fired", there["state"], there)
        return item

    def check_never_fired(self, *keys):
        """After something younger has fired, nothing of these has."""
        self.check_fired(**{k: v for k, v in self.made(within="PT0.05S").items() if k in ("key", "deadline")})
        for key in keys:
            self.assertEqual([], notes.read(self.server, subject=key)[0], key)


class Answers(Timeouts):
    """What one request answers, and a read right after it."""

    def test_a_create_says_what_was_made(self):
        before = time_us(text_time())
        key = self.name("order")
        made = self.made(key, within="PT15M", data={"amount": 17})
        self.assertEqual((key, 1, "pending"), (made["key"], made["generation"], made["state"]), made)
        self.assertIn("version", made)
        created = time_us(made["created"])
        self.assertEqual(15 * MINUTE, time_us(made["deadline"]) - created)
        # The engine's own clock may lie a little beside ours, never much.
        self.assertLess(abs(created - before), 60 * SECOND)
        for name in ("created", "deadline"):
            self.assertRegex(made[name], notes.UTC)
        self.assertNotEqual(True, made.get("born_late"))
        there = get(self.server, key)
        self.assertEqual({k: made[k] for k in ("key", "generation", "state", "deadline", "created", "version")},
                         {k: there.get(k) for k in ("key", "generation", "state", "deadline", "created", "version")})

    def test_a_deadline_may_have_any_offset_and_comes_out_in_utc(self):
        made = self.made(deadline="2200-01-01T02:00:00.250000+02:00")
        self.assertEqual("2200-01-01T00:00:00.25Z", made["deadline"])
        self.assertEqual("2199-12-31T23:00:00Z", self.made(deadline="2199-12-31T22:59:60Z")["deadline"])

    def test_the_same_again_is_a_replay_and_moves_nothing(self):
        for members in ({"within": "PT15M"}, {"deadline": "2100-01-01T00:00:00Z"}, {"within": "PT900S", "data": {"a": [1]}},
                        {"within": "PT1H", "clock": "event", "event_time": "2020-01-01T00:00:00Z"}):
            first = self.made(**members)
            time.sleep(0.01)
            reply = create(self.server, first["key"], **members)
            self.assertEqual(200, reply.status, reply)
            self.assertEqual("true", reply.headers.get("idempotent-replayed"))
            self.assertEqual(first["deadline"], reply.json["deadline"])
            self.assertEqual(first["version"], reply.json["version"])
            self.assertEqual(1, reply.json["generation"])

    def test_a_key_with_other_parameters_conflicts_and_shows_what_is_there(self):
        first = self.made(within="PT15M", data={"a": 1})
        for members in ({"within": "PT16M", "data": {"a": 1}}, {"within": "PT15M", "data": {"a": 2}}, {"within": "PT15M"},
                        {"deadline": "2100-01-01T00:00:00Z", "data": {"a": 1}},
                        {"within": "PT15M", "data": {"a": 1}, "clock": "event", "event_time": "2020-01-01T00:00:00Z"}):
            problem = self.check_problem(create(self.server, first["key"], **members), 409)
            current = current_of(problem)
            self.assertEqual((1, "pending", first["deadline"]),
                             (current["generation"], current["state"], current["deadline"]), members)
        self.assertEqual(first["version"], get(self.server, first["key"])["version"])

    def test_on_exists_says_what_a_create_does_to_a_pending_key(self):
        first = self.made(within="PT15M")
        key = first["key"]
        self.check_problem(create(self.server, key, within="PT1H", on_exists="reject"), 409)
        reply = create(self.server, key, within="PT1H", on_exists="return")
        self.assertEqual(200, reply.status, reply)
        self.assertEqual((1, first["deadline"]), (reply.json["generation"], reply.json["deadline"]))
        reply = create(self.server, key, within="PT1H", on_exists="replace")
        self.assertIn(reply.status, (200, 201), reply)
        self.assertEqual((2, "pending"), (reply.json["generation"], reply.json["state"]))
        self.assertGreater(time_us(reply.json["deadline"]), time_us(first["deadline"]))
        self.assertEqual(2, get(self.server, key)["generation"])

    def test_complete_and_cancel_end_it_and_a_read_right_after_sees_it(self):
        for action, state in (("complete", "completed"), ("cancel", "cancelled")):
            made = self.made()
            reply = act(self.server, made["key"], action)
            self.assertEqual(200, reply.status, reply)
            self.assertEqual((state, 1), (reply.json["state"], reply.json["generation"]))
            self.assertIsNotNone(reply.json["decided_at"])
            there = get(self.server, made["key"])
            self.assertEqual(state, there["state"])
            self.assertNotEqual(made["version"], there["version"])

    def test_what_was_decided_first_stays(self):
        actions = {"complete": "completed", "cancel": "cancelled"}
        for first, second in itertools.product(actions, actions):
            key = self.made()["key"]
            decided = act(self.server, key, first).json
            reply = act(self.server, key, second)
            if first == second and reply.status == 200:
                self.assertEqual(decided["decided_at"], reply.json["decided_at"])
            else:
                self.check_problem(reply, 409)
            self.check_problem(act(self.server, key, "heartbeat"), 409)
            self.assertEqual(actions[first], get(self.server, key)["state"])

    def test_an_action_needs_no_body(self):
        for action, state in (("heartbeat", "pending"), ("complete", "completed")):
            key = self.made()["key"]
            reply = self.server.request("POST", path(key, action), b"")
            self.assertEqual(200, reply.status, reply)
            self.assertEqual(state, get(self.server, key)["state"])

    def test_a_heartbeat_moves_the_deadline_from_now(self):
        made = self.made(within="PT15M")
        time.sleep(0.02)
        reply = act(self.server, made["key"], "heartbeat")
        self.assertEqual(200, reply.status, reply)
        self.assertIsNotNone(reply.json["decided_at"])
        moved = time_us(reply.json["deadline"]) - time_us(made["deadline"])
        self.assertGreaterEqual(moved, 20_000)
        self.assertLess(moved, 120 * SECOND)
        self.assertEqual(reply.json["deadline"], get(self.server, made["key"])["deadline"])
        reply = act(self.server, made["key"], "heartbeat", extend="PT5M")
        self.assertEqual(200, reply.status, reply)
        left = time_us(reply.json["deadline"]) - time_us(made["created"])
        self.assertGreaterEqual(left, 5 * MINUTE)
        self.assertLess(left, 7 * MINUTE)
        self.assertEqual(("pending", 1), (reply.json["state"], reply.json["generation"]))

    def test_what_was_never_created(self):
        key = self.name("never")
        self.check_problem(self.server.request("GET", path(key)), 404)
        self.check_problem(act(self.server, key, "heartbeat"), 404)
        self.check_problem(self.server.request("GET", path(key)), 404)

    def test_an_early_completion_leaves_a_tombstone_that_the_create_meets(self):
        for action in ("complete", "cancel"):
            key = self.name("early")
            reply = act(self.server, key, action)
            self.assertEqual(202, reply.status, reply)
            self.assertIn("completed_early", reply.body.decode())
            again = act(self.server, key, action)
            self.assertIn(again.status, (200, 202), again)
            reply = create(self.server, key, within="PT0.1S")
            self.assertEqual(201, reply.status, reply)
            self.assertEqual("completed", reply.json["state"])
            self.assertEqual("completed", get(self.server, key)["state"])
            time.sleep(0.15)
            self.check_never_fired(key)

    def test_an_old_generation_changes_nothing(self):
        key = self.made()["key"]
        create(self.server, key, within="PT2H", on_exists="replace")
        before = get(self.server, key)
        self.assertEqual(2, before["generation"])
        for action in ("complete", "cancel", "heartbeat"):
            self.check_problem(act(self.server, key, action, generation=1), 412)
        self.assertEqual(before, get(self.server, key))
        self.assertEqual(200, act(self.server, key, "heartbeat", generation=2).status)
        reply = act(self.server, key, "complete", generation=2)
        self.assertEqual((200, 2), (reply.status, reply.json["generation"]))

    def test_a_terminal_key_is_taken_again_only_by_replace(self):
        for action, state in (("complete", "completed"), ("cancel", "cancelled")):
            key = self.made()["key"]
            act(self.server, key, action)
            for members in ({}, {"on_exists": "reject"}):
                problem = self.check_problem(create(self.server, key, **members), 409)
                self.assertEqual(state, current_of(problem)["state"])
            reply = create(self.server, key, on_exists="replace")
            self.assertEqual(201, reply.status, reply)
            self.assertEqual((2, "pending"), (reply.json["generation"], reply.json["state"]))

    def test_etags_name_versions_and_if_match_guards_a_change(self):
        key = self.made()["key"]
        first = self.server.request("GET", path(key)).headers["etag"]
        self.assertEqual(first, self.server.request("GET", path(key)).headers["etag"])
        for action in ("complete", "cancel", "heartbeat"):
            self.check_problem(act(self.server, key, action, headers={"If-Match": '"nonsense"'}), 412)
        self.assertEqual(first, self.server.request("GET", path(key)).headers["etag"])
        self.assertEqual(200, act(self.server, key, "heartbeat", headers={"If-Match": first}).status)
        second = self.server.request("GET", path(key)).headers["etag"]
        self.assertNotEqual(first, second)
        self.check_problem(act(self.server, key, "complete", headers={"If-Match": first}), 412)
        self.assertEqual("pending", get(self.server, key)["state"])
        self.assertEqual(200, act(self.server, key, "complete", headers={"If-Match": second}).status)

    def test_a_create_shows_the_etag_of_what_it_made(self):
        reply = create(self.server, self.name("tagged"))
        self.assertEqual(reply.headers.get("etag"), self.server.request("GET", path(reply.json["key"])).headers["etag"])

    def test_an_idempotency_key_keeps_the_answer(self):
        key, word = self.name("order"), self.name("once")
        body = {"key": key, "within": "PT15M"}
        first = self.server.request("POST", TIMEOUTS, body, headers={"Idempotency-Key": word})
        self.assertEqual(201, first.status, first)
        act(self.server, key, "complete")
        again = self.server.request("POST", TIMEOUTS, body, headers={"Idempotency-Key": word})
        self.assertEqual((201, "true"), (again.status, again.headers.get("idempotent-replayed")), again)
        self.assertEqual(first.json, again.json)
        other = self.server.request("POST", TIMEOUTS, {**body, "within": "PT16M"}, headers={"Idempotency-Key": word})
        self.check_problem(other, 422)
        self.assertEqual("completed", get(self.server, key)["state"])

    def test_keys_of_any_text(self):
        for stem in ("a/b", "a/b/complete", "100%", "a b", "\u00fcn\u00efc\u00f8de", "\U0001f6eb", "a?b=c#d", "a+b", "a:b",
                     "a\\b", "'\"", "\t"):
            made = self.made(self.name(stem))
            self.assertEqual(made["deadline"], get(self.server, made["key"])["deadline"])
            self.assertEqual(200, act(self.server, made["key"], "complete").status, stem)
            self.assertEqual("completed", get(self.server, made["key"])["state"])
        longest = self.name("x") + "y" * 256
        made = self.made(longest[:256])
        self.assertEqual(longest[:256], get(self.server, longest[:256])["key"])

    def test_an_eventual_read_comes_to_say_the_same(self):
        made = self.made()
        act(self.server, made["key"], "complete")

        def seen():
            reply = self.server.request("GET", path(made["key"]) + "?consistency=eventual")
            self.assertIn(reply.status, (200, 404), reply)
            return reply.status == 200 and reply.json["state"] == "completed"
        self.eventually(seen)
        self.assertEqual("completed", get(self.server, made["key"], consistency="linearizable")["state"]
                         if self.server.request("GET", path(made["key"]) + "?consistency=linearizable").status == 200
                         else "completed")

    def test_each_read_right_after_an_answer_sees_it_from_any_connection(self):
        wrong = []

        def work(number):
            writer, reader = another(self.server), another(self.server)
            for n in range(thinned(25, 400)):
                key = f"{self.id()}-{number}-{n}"
                made = create(writer, key).json
                seen = [get(reader, key)["version"] == made["version"]]
                moved = act(writer, key, "heartbeat", extend="PT1H").json
                seen.append(get(reader, key)["deadline"] == moved["deadline"])
                action, state = (("complete", "completed"), ("cancel", "cancelled"))[n % 2]
                act(writer, key, action)
                seen.append(get(reader, key)["state"] == state)
                if not all(seen):
                    wrong.append((key, seen))
            writer.close()
            reader.close()
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], wrong)

    def test_of_many_that_decide_at_once_one_wins_and_all_are_told_the_same(self):
        for _ in range(thinned(10, 100)):
            key = self.made()["key"]
            replies = []

            def work(action):
                client = another(self.server)
                replies.append((action, act(client, key, action)))
                client.close()
            threads = [threading.Thread(target=work, args=(action,)) for action in ("complete", "cancel") * 2]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            state = get(self.server, key)["state"]
            winners = {reply.json["state"] for _, reply in replies if reply.status == 200}
            self.assertEqual({state}, winners)
            self.assertEqual(1, len({reply.json["decided_at"] for _, reply in replies if reply.status == 200}))
            for action, reply in replies:
                if reply.status != 200:
                    self.check_problem(reply, 409)
                self.assertEqual(409 if {"complete": "completed", "cancel": "cancelled"}[action] != state else reply.status,
                                 reply.status)


class Lists(Timeouts):
    """Lists, counts and batches."""

    def test_a_list_by_prefix_in_pages_shows_each_once(self):
        stem = self.name("page") + "/"
        keys = {f"{stem}{n:03}" for n in range(57)}
        for key in keys:
            self.made(key)
        self.made(self.name("other"))
        for limit in (1, 7, 57, 1000):
            items = self.server.walk(TIMEOUTS, prefix=stem, limit=limit)
            self.assertEqual(len(keys), len(items))
            self.assertEqual(keys, {item["key"] for item in items})
        self.assertEqual([], self.server.walk(TIMEOUTS, prefix=self.name("nobody")))
        page = self.server.get(TIMEOUTS, prefix=stem, limit=10)
        self.assertEqual(10, len(page["items"]))
        self.assertTrue(page["next_cursor"])
        self.assertIsNone(self.server.get(TIMEOUTS, prefix=stem, limit=1000)["next_cursor"])
        self.assertLessEqual(len(self.server.get(TIMEOUTS)["items"]), 100)

    def test_filters_by_state_and_by_deadline(self):
        stem = self.name("filter") + "-"
        self.made(stem + "a", deadline="2100-01-01T00:00:00Z")
        self.made(stem + "b", deadline="2100-01-02T00:00:00Z")
        self.made(stem + "c", deadline="2100-01-03T00:00:00Z")
        act(self.server, stem + "c", "complete")
        self.made(stem + "d", deadline="2100-01-01T12:00:00Z")
        act(self.server, stem + "d", "cancel")
        self.made(stem + "e", deadline="2001-01-01T00:00:00Z")
        self.fired(stem + "e")

        def keys(**parameters):
            return sorted(item["key"][len(stem):] for item in self.server.walk(TIMEOUTS, prefix=stem, **parameters))
        self.assertEqual(list("abcde"), keys())
        self.assertEqual(["a", "b"], keys(state="pending"))
        self.assertEqual(["c"], keys(state="completed"))
        self.assertEqual(["d"], keys(state="cancelled"))
        self.assertEqual(["e"], keys(state="fired"))
        self.assertEqual([], keys(state="unknown"))
        self.assertEqual(["a"], keys(state="pending", due_before="2100-01-02T00:00:00Z"))
        self.assertEqual(["a", "b"], keys(state="pending", due_before="2100-01-02T01:00:00+00:30"))

    def test_the_count_follows_each_change(self):
        before = states(self.server)
        stem = self.name("count")
        for n in range(6):
            self.made(f"{stem}-{n}")
        self.assertEqual(before.get("pending", 0) + 6, states(self.server).get("pending"))
        act(self.server, f"{stem}-0", "complete")
        act(self.server, f"{stem}-1", "cancel")
        now = states(self.server)
        self.assertEqual(before.get("pending", 0) + 4, now.get("pending"))
        for n in range(2, 6):
            act(self.server, f"{stem}-{n}", "complete")
        self.assertEqual(before.get("pending", 0), states(self.server).get("pending"))

    def test_a_batch_answers_each_operation_in_order(self):
        a, b, c, d = (self.name("batch") for _ in range(4))
        reply = post_batch(self.server, [
            {"op": "create", "key": a, "within": "PT15M"}, {"op": "create", "key": b, "within": "PT15M"},
            {"op": "complete", "key": a}, {"op": "heartbeat", "key": b, "extend": "PT1H"},
            {"op": "cancel", "key": b}, {"op": "heartbeat", "key": c}, {"op": "complete", "key": d},
            {"op": "create", "key": d, "within": "PT15M"}, {"op": "complete", "key": b, "generation": 7},
            {"op": "create", "key": a, "within": "PT15M", "on_exists": "replace"}])
        self.assertEqual(200, reply.status, reply)
        got = results(reply)
        self.assertEqual([201, 201, 200, 200, 200, 404, 202, 201, 412, 201], [r.get("status") for r in got], got)
        self.assertEqual((a, b, b), (got[0]["key"], got[1]["key"], got[3]["key"]))
        there = {key: get(self.server, key) for key in (a, b, d)}
        self.assertEqual({a: ("pending", 2), b: ("cancelled", 1), d: ("completed", 1)},
                         {key: (one["state"], one["generation"]) for key, one in there.items()})

    def test_a_bad_line_of_a_batch_refuses_itself_alone(self):
        a, b = self.name("batch"), self.name("batch")
        reply = post_batch(self.server, [{"op": "create", "key": a, "within": "PT15M"},
                                         {"op": "create", "key": self.name("bad"), "within": "-PT15M"},
                                         {"op": "create", "key": b, "within": "PT15M"}])
        self.assertEqual(200, reply.status, reply)
        got = results(reply)
        self.assertEqual([201, 422, 201], [r.get("status") for r in got], got)
        self.assertIn("urn:tidemark:problem:invalid-duration", str(got[1]))
        self.assertEqual(["pending"] * 2, [get(self.server, key)["state"] for key in (a, b)])

    def test_a_batch_of_ten_thousand(self):
        stem = self.name("many")
        reply = post_batch(self.server, [{"op": "create", "key": f"{stem}-{n}", "within": "P1D"} for n in range(10_000)])
        self.assertEqual(200, reply.status, reply)
        got = results(reply)
        self.assertEqual(10_000, len(got))
        self.assertEqual([f"{stem}-{n}" for n in range(10_000)], [r["key"] for r in got])
        self.assertEqual("pending", get(self.server, f"{stem}-9999")["state"])
        reply = post_batch(self.server, [{"op": "complete", "key": f"{stem}-{n}"} for n in range(10_000)])
        self.assertEqual({200}, {r.get("status") for r in results(reply)})
        self.assertEqual(10_000, len(self.server.walk(TIMEOUTS, prefix=stem, state="completed", limit=1000)))


class Firing(Timeouts):
    """The processing clock: each fires once, and never early."""

    def test_it_fires_once_at_its_deadline_with_all_that_is_known(self):
        made = self.made(within="PT0.4S", data={"marker": "blue-17"})
        item = self.check_fired(made["key"], made["deadline"])
        self.assertIn("blue-17", str(item) + str(get(self.server, made["key"])))
        self.assertEqual(item["data"]["fired_at"], get(self.server, made["key"]).get("fired_at", item["data"]["fired_at"]))

    def test_after_the_firing_all_are_told_that_it_fired_and_when(self):
        made = self.made(within="PT0.1S")
        item = self.check_fired(made["key"], made["deadline"])
        for action in ("complete", "cancel", "heartbeat"):
            problem = self.check_problem(act(self.server, made["key"], action), 409, kind="already-fired")
            self.assertEqual(time_us(item["data"]["fired_at"]), fired_at(problem))
        problem = self.check_problem(create(self.server, made["key"]), 409)
        self.assertEqual("fired", current_of(problem)["state"])
        self.assertEqual("fired", get(self.server, made["key"])["state"])
        self.check_never_fired()
        self.fired(made["key"])

    def test_a_deadline_in_the_past_is_born_late_and_fires_at_once(self):
        for deadline in ("2001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", text_time(-0.5)):
            made = self.made(deadline=deadline)
            self.assertIs(True, made["born_late"], made)
            item = self.fired(made["key"])
            self.assertEqual(time_us(deadline), time_us(item["data"]["deadline"]))
            self.assertEqual("fired", get(self.server, made["key"])["state"])

    def test_heartbeats_keep_it_from_firing(self):
        made = self.made(within="PT2S")
        kept = made["deadline"]
        begin = time.monotonic()
        while time.monotonic() - begin < 3:
            reply = act(self.server, made["key"], "heartbeat")
            if reply.status == 409:  # a machine that slept: then it must be so late
                self.assertGreaterEqual(fired_at(reply.json), time_us(kept))
                return
            self.assertEqual(200, reply.status, reply)
            kept = reply.json["deadline"]
            time.sleep(0.2)
        self.assertEqual([], notes.read(self.server, subject=made["key"])[0])
        self.check_fired(made["key"], kept)

    def test_a_heartbeat_may_bring_the_deadline_nearer(self):
        made = self.made(within="PT1H")
        moved = act(self.server, made["key"], "heartbeat", extend="PT0.2S").json
        self.check_fired(made["key"], moved["deadline"])

    def test_ended_ones_never_fire(self):
        keys = []
        for n in range(20):
            made = self.made(within="PT1S")
            reply = act(self.server, made["key"], ("complete", "cancel")[n % 2])
            if reply.status == 200:
                keys.append(made["key"])
        replaced = self.made(within="PT1S")["key"]
        reply = create(self.server, replaced, within="P1D", on_exists="replace")
        time.sleep(1.1)
        self.check_never_fired(*keys, *([replaced] if reply.json["generation"] == 2 and reply.json["state"] == "pending"
                                        and not notes.read(self.server, subject=replaced)[0] else []))
        self.assertGreater(len(keys), 0)

    def test_each_generation_fires_for_itself(self):
        made = self.made(within="PT0.05S")
        self.check_fired(made["key"], made["deadline"])
        again = create(self.server, made["key"], within="PT0.05S", on_exists="replace")
        self.assertEqual((201, 2), (again.status, again.json["generation"]), again)
        items, _ = notes.wait_for(self.server, 2, subject=made["key"])
        notes.check_feed(self, items)
        self.assertEqual([made["deadline"], again.json["deadline"]], [item["data"]["deadline"] for item in items])

    def test_of_a_completion_and_the_deadline_exactly_one_wins(self):
        keys = [self.name("race") for _ in range(thinned(200, 2000))]
        replies = {}
        begin = time_us(text_time())
        deadlines = {}
        made = results(post_batch(self.server, [{"op": "create", "key": key, "deadline": time_text(begin + 1_000_000 +
                                                                                                n * 2_000)}
                                                for n, key in enumerate(keys)]))
        for one in made:
            deadlines[one["key"]] = one["deadline"]

        def work(part):
            client = another(self.server)
            for key in part:
                time.sleep(max(0, (time_us(deadlines[key]) - time_us(text_time())) / 1e6))
                replies[key] = act(client, key, "complete")
            client.close()
        threads = [threading.Thread(target=work, args=(keys[n::4],)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        fired = {key: reply for key, reply in replies.items() if reply.status != 200}
        print(f"race: {len(fired)} of {len(keys)} fired first", flush=True)
        items, _ = notes.read(self.server, type=notes.FIRED)
        told = [item["subject"] for item in items if item["subject"] in replies]
        self.assertEqual(sorted(fired), sorted(told))
        for key, reply in replies.items():
            state = get(self.server, key)["state"]
            if key in fired:
                problem = self.check_problem(reply, 409, kind="already-fired")
                self.assertGreaterEqual(fired_at(problem), time_us(deadlines[key]), "early")
                self.assertEqual("fired", state)
            else:
                self.assertEqual(("completed", "completed"), (reply.json["state"], state))

    def test_many_due_in_one_instant(self):
        count = thinned(10_000, 100_000)
        stem = self.name("instant")
        deadline = time_text(time_us(text_time(thinned(4, 30))))
        _, cursor = notes.read(self.server)
        for at in range(0, count, 10_000):
            got = results(post_batch(self.server, [{"op": "create", "key": f"{stem}-{n}", "deadline": deadline}
                                                   for n in range(at, at + 10_000)]))
            self.assertEqual({201}, {one.get("status") for one in got})
        items, _ = notes.wait_for(self.server, count, 120, cursor, type=notes.FIRED)
        notes.check_feed(self, items)
        self.assertEqual({f"{stem}-{n}" for n in range(count)}, {item["subject"] for item in items})
        self.assertEqual(count, len(items))
        for item in items:
            self.assertGreaterEqual(time_us(item["data"]["fired_at"]), time_us(deadline), "early")
        self.assertEqual(count, len(self.server.walk(TIMEOUTS, prefix=stem, state="fired", limit=1000)))


class Restarts(Timeouts):
    """Stops and kills between a creation and its firing."""

    def all_fired(self, deadlines):
        """Each of these fired exactly once, none early."""
        def read():
            items, _ = notes.read(self.server, type=notes.FIRED)
            return [item for item in items if item["subject"] in deadlines]
        self.eventually(lambda: len(read()) >= len(deadlines), 60, "all firings")
        items = read()
        notes.check_feed(self, items)
        self.assertEqual(sorted(deadlines), sorted(item["subject"] for item in items))
        for item in items:
            self.assertEqual(deadlines[item["subject"]], item["data"]["deadline"])
            self.assertGreaterEqual(time_us(item["data"]["fired_at"]), time_us(item["data"]["deadline"]), "early")
        return items

    def test_a_deadline_that_passes_while_it_is_down_fires_after_the_start(self):
        for end in (self.server.stop, self.server.kill9):
            made = [self.made(within="PT0.5S") for _ in range(5)]
            end()
            time.sleep(0.7)
            self.server.start()
            self.all_fired({one["key"]: one["deadline"] for one in made})

    def test_a_deadline_beyond_the_restart_is_kept(self):
        for end in (self.server.stop, self.server.kill9):
            made = [self.made(within="PT4S") for _ in range(5)]
            end()
            self.server.start()
            for one in made:
                there = get(self.server, one["key"])
                self.assertEqual((one["deadline"], one["created"], 1), (there["deadline"], there["created"],
                                                                       there["generation"]))
            self.all_fired({one["key"]: one["deadline"] for one in made})

    def test_what_was_decided_is_still_decided(self):
        for end in (self.server.stop, self.server.kill9):
            a, b, c, d = (self.made(within="P1D")["key"] for _ in range(4))
            act(self.server, a, "complete")
            act(self.server, b, "cancel")
            act(self.server, c, "heartbeat", extend="P2D")
            create(self.server, d, within="P3D", on_exists="replace")
            early = self.name("early")
            act(self.server, early, "complete")
            before = [get(self.server, key) for key in (a, b, c, d)]
            tags = [self.server.request("GET", path(key)).headers["etag"] for key in (a, b, c, d)]
            end()
            self.server.start()
            self.assertEqual(before, [get(self.server, key) for key in (a, b, c, d)])
            self.assertEqual(tags, [self.server.request("GET", path(key)).headers["etag"] for key in (a, b, c, d)])
            reply = create(self.server, early)
            self.assertEqual((201, "completed"), (reply.status, reply.json["state"]))
            self.check_problem(act(self.server, d, "complete", generation=1), 412)

    def test_what_fired_does_not_fire_again_after_any_end(self):
        made = [self.made(within="PT0.05S") for _ in range(20)]
        deadlines = {one["key"]: one["deadline"] for one in made}
        items = self.all_fired(deadlines)
        for end in (self.server.kill9, self.server.stop, self.server.kill9):
            end()
            self.server.start()
            self.assertEqual(items, self.all_fired(deadlines))
            self.check_problem(act(self.server, made[0]["key"], "complete"), 409, kind="already-fired")

    def test_kills_at_any_moment(self):
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"seed {seed}", flush=True)
        draw = random.Random(seed)
        deadlines = {}
        for _ in range(thinned(4, 40)):
            keys = [self.name("kill") for _ in range(50)]
            got = results(post_batch(self.server, [{"op": "create", "key": key, "within": f"PT{draw.random() * 1.5:.3f}S"}
                                                   for key in keys]))
            deadlines.update({one["key"]: one["deadline"] for one in got})
            seen = []

            def read():
                try:
                    while True:
                        seen[:] = [item["id"] for item in notes.read(reader, type=notes.FIRED)[0]]
                except (AssertionError, OSError, Exception):  # the kill
                    pass
            reader = another(self.server)
            thread = threading.Thread(target=read)
            thread.start()
            time.sleep(draw.random())
            self.server.kill9()
            thread.join()
            self.server.start()
            again = [item["id"] for item in notes.read(self.server, type=notes.FIRED)[0]]
            self.assertEqual(seen, again[:len(seen)], "what was told before the kill is told otherwise after it")
        self.all_fired(deadlines)


class EventClock(Timeouts):
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

#!/usr/bin/env python3
"""Explicit timeouts: what a client is told, and what it reads right after."""
import itertools
import threading
import time

from support import cases, notes, timeouts
from support.events import text_time
from support.timeouts import TIMEOUTS, act, another, create, current_of, get, path, post_batch, results, states
from support.totals import thinned
from truth_lib import MINUTE, SECOND, time_us


class Answers(timeouts.Case):
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

    def test_every_answer_about_one_timeout_shows_its_data(self):
        data = {"order": {"lines": [1, 2], "note": "\u00fc"}}
        first = self.made(within="PT15M", data=data)
        key = first["key"]
        self.assertEqual(data, first["data"])
        self.assertEqual(data, act(self.server, key, "heartbeat").json["data"])
        self.assertEqual(data, current_of(create(self.server, key, within="PT16M").json)["data"])
        self.assertEqual(data, create(self.server, key, within="PT16M", on_exists="return").json["data"])
        self.assertEqual(data, act(self.server, key, "complete").json["data"])
        self.assertEqual(data, act(self.server, key, "complete").json["data"])
        self.assertEqual(data, current_of(act(self.server, key, "cancel").json)["data"])
        self.assertNotIn("data", results(post_batch(self.server, [{"op": "complete", "key": key}]))[0])
        plain = self.made(within="PT15M")
        self.assertNotIn("data", plain)
        self.assertNotIn("data", act(self.server, plain["key"], "cancel").json)

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

    def test_if_match_takes_a_star_and_lists(self):
        key = self.made()["key"]
        for match, status in (('*', 200), ('"1", "2"', 200), ('"9","3" , W/"7"', 200), ('"1", "2", "3"', 412), ('W/"4"', 412),
                              ('"4", 5', 412), ('"4', 412), ('*, "4"', 412), (",".join(f'"{n}"' for n in range(1, 18)), 422)):
            reply = act(self.server, key, "heartbeat", headers={"If-Match": match})
            self.assertEqual(status, reply.status, (match, reply))
        self.assertEqual('"4"', self.server.request("GET", path(key)).headers["etag"])
        self.check_problem(self.server.request("POST", TIMEOUTS, {"key": key, "within": "PT1H", "on_exists": "replace"},
                                               {"If-Match": '"3"'}), 412)
        reply = self.server.request("POST", TIMEOUTS, {"key": key, "within": "PT1H", "on_exists": "replace"}, {"If-Match": "*"})
        self.assertEqual((201, 2), (reply.status, reply.json["generation"]))
        self.assertEqual(200, act(self.server, key, "complete", headers={"If-Match": "*"}).status)

    def test_a_star_is_false_where_nothing_is(self):
        key = self.name("nobody")
        for action in ("complete", "cancel", "heartbeat"):
            self.check_problem(act(self.server, key, action, headers={"If-Match": "*"}), 412)
        self.check_problem(self.server.request("POST", TIMEOUTS, {"key": key, "within": "PT1H"}, {"If-Match": "*"}), 412)
        self.check_problem(self.server.request("GET", path(key)), 404)

    def test_a_star_holds_whoever_else_changes_the_key(self):
        key = self.made()["key"]
        statuses = []

        def beat():
            client = another(self.server)
            for _ in range(20):
                statuses.append(act(client, key, "heartbeat", headers={"If-Match": "*"}).status)
            client.close()
        threads = [threading.Thread(target=beat) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(80, len(statuses))
        self.assertLessEqual(set(statuses), {200, 503}, statuses)  # 503: it lost sixteen times
        self.assertEqual(f'"{1 + statuses.count(200)}"', self.server.request("GET", path(key)).headers["etag"])

    def test_no_two_versions_of_a_key_share_an_etag(self):
        key = self.made()["key"]
        tags = [self.server.request("GET", path(key)).headers["etag"]]
        for step in ("heartbeat", "complete", "create", "cancel", "create", "heartbeat"):
            if step == "create":
                reply = create(self.server, key, on_exists="replace")
            else:
                reply = act(self.server, key, step)
            self.assertIn(reply.status, (200, 201), reply)
            tags.append(self.server.request("GET", path(key)).headers["etag"])
            self.assertEqual(tags[-1], reply.headers.get("etag"))
        self.assertEqual(len(tags), len(set(tags)), tags)

    def test_an_answer_shows_the_object_as_a_read_does(self):
        key = self.name("whole")
        reply = create(self.server, key, data={"a": [1, {"b": None}]})
        for step in ("heartbeat", "complete"):
            self.assertEqual(get(self.server, key), reply.json)
            self.assertEqual({"a": [1, {"b": None}]}, reply.json["data"])
            reply = act(self.server, key, step)
        self.assertEqual(get(self.server, key), reply.json)
        problem = self.check_problem(create(self.server, key), 409)
        self.assertEqual(get(self.server, key), current_of(problem))

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
                     "a\\b", "'\""):
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


class Lists(timeouts.Case):
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


if __name__ == "__main__":
    cases.main()

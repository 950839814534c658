#!/usr/bin/env python3
"""Idempotency-Key: a write that is sent again is answered again, byte for byte, and done once."""
import http.client
import json
import os
import random
import threading
import time

from support import cases
from support.events import event
from support.server import Server, run
from support.timeouts import LINES, TIMEOUTS, Case, act, another, create, get, path
from support.totals import thinned

SEED = int(os.environ.get("SEED", "11"))
REPLAYED = "idempotent-replayed"


def post(server, body, key, where=TIMEOUTS, method="POST", content_type=None, **headers):
    return server.request(method, where, body, headers={"Idempotency-Key": key, **headers}, content_type=content_type)


def told(reply):
    """What must be the same in each answer to one request: all but when it was sent, and that it was sent before."""
    return reply.status, {k: v for k, v in reply.headers.items() if k not in ("date", REPLAYED)}, reply.body


def figure(server, name):
    lines = server.request("GET", "/metrics").body.decode().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"tidemark_{name} "))


class Keys(Case):
    """What most tests take: a first answer and its repetition."""

    def check_repeats(self, send):
        first = send()
        self.assertNotIn(REPLAYED, first.headers, first)
        again = send()
        self.assertEqual("true", again.headers.get(REPLAYED), again)
        self.assertEqual(told(first), told(again))
        return first


class Replays(Keys):
    def test_the_same_create_again_is_answered_byte_for_byte(self):
        key, word = self.name("order"), self.name("word")
        body = {"key": key, "within": "PT15M", "data": {"a": [1, "\u00fc"]}}
        first = self.check_repeats(lambda: post(self.server, body, word))
        self.assertEqual(201, first.status)
        self.assertEqual('"1"', first.headers["etag"])

    def test_a_create_repeated_after_its_end_is_still_the_create(self):
        key, word = self.name("order"), self.name("word")
        body = {"key": key, "within": "PT15M"}
        first = post(self.server, body, word)
        self.assertEqual(200, act(self.server, key, "complete").status)
        again = post(self.server, body, word)
        self.assertEqual(told(first), told(again))
        self.assertEqual("completed", get(self.server, key)["state"])
        self.check_problem(create(self.server, key), 409)

    def test_a_heartbeat_repeated_counts_once(self):
        made = self.made()
        word = self.name("word")
        for _ in range(5):
            reply = post(self.server, {}, word, path(made["key"], "heartbeat"))
            self.assertEqual((200, made["version"] + 1), (reply.status, reply.json["version"]), reply)
        self.assertEqual(made["version"] + 1, get(self.server, made["key"])["version"])

    def test_refusals_that_follow_from_what_is_there_are_kept(self):
        key = self.made()["key"]
        create(self.server, key)
        act(self.server, key, "cancel")
        late = self.check_repeats(lambda w=self.name("w"): post(self.server, {}, w, path(key, "heartbeat")))
        self.check_problem(late, 409)
        unknown = self.name("unknown")
        missing = self.check_repeats(lambda w=self.name("w"): post(self.server, {}, w, path(unknown, "heartbeat")))
        self.check_problem(missing, 404, kind="unknown-timeout")
        word = self.name("w")
        old = self.check_repeats(
            lambda: post(self.server, None, word, path(key, "complete"), **{"If-Match": '"99"'}))
        self.check_problem(old, 412)
        create(self.server, unknown)  # what is there now is another thing
        self.assertEqual(200, act(self.server, unknown, "heartbeat").status)

    def test_a_batch_is_done_once(self):
        key, word = self.name("order"), self.name("word")
        lines = b"".join(json.dumps(one).encode() + b"\n" for one in (
            {"op": "create", "key": key, "within": "PT15M"}, {"op": "heartbeat", "key": key}, {"op": "nothing"}))
        first = self.check_repeats(lambda: post(self.server, lines, word, TIMEOUTS + ":batch", content_type=LINES))
        self.assertEqual([201, 200, 422], [json.loads(line)["status"] for line in first.body.splitlines()])
        self.assertEqual(2, get(self.server, key)["version"])
        other = post(self.server, lines + lines, word, TIMEOUTS + ":batch", content_type=LINES)
        self.check_problem(other, 422, kind="idempotency-key-reused")

    def test_events_in_one_body_are_answered_as_the_first_time(self):
        one, two = (event("2020-01-01T00:00:00Z", "a", "/idem", self.name("id")) for _ in range(2))
        binary = {f"ce-{name}": value for name, value in one.items() if name != "data"}
        for body, form, headers in ((one, "application/cloudevents+json", {}),
                                    ([two, one, {"specversion": "1.0"}], "application/cloudevents-batch+json", {}),
                                    (json.dumps(one) + "\n" + json.dumps(two), LINES, {}),
                                    ("hello", "text/plain", binary)):
            with self.subTest(form=form):
                word = self.name("word")
                sent = body if isinstance(body, str) else json.dumps(body)
                first = self.check_repeats(lambda: post(
                    self.server, sent, word, "/v1/events?ack=applied", content_type=form, **headers))
                self.assertEqual(200, first.status, first)
                other = post(self.server, sent, word, "/v1/events", content_type=form, **headers)
                self.check_problem(other, 422, kind="idempotency-key-reused")

    def test_metrics_rules_sources_scripts_and_consumers_too(self):
        metric, rule, source = self.name("m"), self.name("r"), self.name("s")
        select = "SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 minute')"
        silence = "EXPECT type = 'a' EVERY INTERVAL '5 minutes' PER source"
        cursor = self.server.get("/v1/notifications")["next_cursor"]
        watermark = {"time": "2020-01-01T00:00:00Z"}
        for status, method, where, body in (
                (201, "PUT", f"/v1/metrics/{metric}", {"sql": select}),
                (204, "DELETE", f"/v1/metrics/{metric}", None),
                (404, "DELETE", f"/v1/metrics/{metric}", None),
                (201, "POST", "/v1/sql", {"sql": f"CREATE METRIC {metric} AS {select}; SHOW METRICS"}),
                (409, "POST", "/v1/sql", {"sql": f"CREATE METRIC {metric} AS {select.replace('1 m', '2 m')}"}),
                (201, "PUT", f"/v1/rules/{rule}", {"sql": silence}),
                (204, "DELETE", f"/v1/rules/{rule}", None),
                (201, "PUT", f"/v1/sources/{source}", {"watermark": "explicit"}),
                (200, "POST", f"/v1/sources/{source}/watermark", watermark),
                (204, "DELETE", f"/v1/sources/{source}", None),
                (200, "POST", "/v1/notifications:ack", {"consumer": self.name("c"), "cursor": cursor})):
            with self.subTest(method=method, where=where):
                word = self.name("word")
                first = self.check_repeats(lambda: post(self.server, body, word, where, method))
                self.assertEqual(status, first.status, first)

    def test_figures_tell_of_it(self):
        kept, told_again = (figure(self.server, f"idempotency_answers_{name}_total") for name in ("kept", "replayed"))
        word = self.name("word")
        for _ in range(3):
            post(self.server, {"key": word, "within": "PT1H"}, word)
        self.assertEqual(kept + 1, figure(self.server, "idempotency_answers_kept_total"))
        self.assertEqual(told_again + 2, figure(self.server, "idempotency_answers_replayed_total"))
        self.assertEqual(0, figure(self.server, "idempotency_keys_in_use"))
        self.assertGreater(figure(self.server, "idempotency_answers_bytes"), 0)


class Refusals(Keys):
    def test_another_request_with_the_key_is_refused_and_nothing_is_done(self):
        key, word = self.name("order"), self.name("word")
        body = {"key": key, "within": "PT15M"}
        self.assertEqual(201, post(self.server, body, word).status)
        for where, method, other in ((TIMEOUTS, "POST", {**body, "within": "PT16M"}),
                                     (path(key, "complete"), "POST", {}),
                                     (path(key, "cancel"), "POST", None),
                                     ("/v1/sources/x", "PUT", body)):
            self.check_problem(post(self.server, other, word, where, method), 422, kind="idempotency-key-reused")
        self.assertEqual("pending", get(self.server, key)["state"])
        self.assertEqual(201, post(self.server, body, word).status)

    def test_what_is_no_key_is_400(self):
        for bad in ("", "a b", '""', '"a', '"', "a\tb", '"a"b"', '"a\\b"', "\u00fc", "k" * 256, '"a";p=1'):
            key = self.name("order")
            reply = post(self.server, {"key": key, "within": "PT15M"}, bad.encode())
            self.check_problem(reply, 400, kind="malformed", says="Idempotency-Key")
            self.assertEqual(404, self.server.request("GET", path(key)).status)
        for good in ("!", "~" * 255, '"quoted"', "8e03978e-40d5-43dd-bc93-6894a57f9324"):
            self.assertEqual(201, post(self.server, {"key": self.name(), "within": "PT15M"}, good).status, good)

    def test_what_a_client_can_mend_keeps_the_key_free(self):
        key, word = self.name("order"), self.name("word")
        for status, bad in ((400, b"{"), (422, {"key": key}), (422, {"key": key, "within": "soon"})):
            reply = post(self.server, bad, word, content_type="application/json")
            self.check_problem(reply, status)
        self.assertEqual(415, post(self.server, "x", word, content_type="text/plain").status)
        self.assertEqual(201, post(self.server, {"key": key, "within": "PT15M"}, word).status)

    def test_a_dry_run_and_reads_have_no_use_for_a_key(self):
        word = self.name("word")
        sql = {"sql": f"CREATE METRIC {self.name()} AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 day')"}
        for _ in range(2):
            for reply in (post(self.server, sql, word, "/v1/sql?dry_run=true"),
                          self.server.request("GET", "/v1/metrics", headers={"Idempotency-Key": "not one"})):
                self.assertEqual((200, None), (reply.status, reply.headers.get(REPLAYED)), reply)
        self.assertEqual(201, post(self.server, sql, word, "/v1/sql").status)

    def test_the_answer_to_a_full_batch_is_kept(self):
        word, key = self.name("word"), self.name("many")
        lines = b"".join(json.dumps({"op": op, "key": f"{key}-{n}", **more}).encode() + b"\n"
                         for n in range(5000) for op, more in (("create", {"within": "PT15M"}), ("heartbeat", {})))
        first = self.check_repeats(lambda: post(self.server, lines, word, TIMEOUTS + ":batch", content_type=LINES))
        self.assertEqual([201, 200] * 5000, [json.loads(line)["status"] for line in first.body.splitlines()])
        self.assertEqual(2, get(self.server, f"{key}-4999")["version"])

    def test_lines_with_a_key_are_8_mib_at_most(self):
        many = json.dumps(event("2020-01-01T00:00:00Z", "a", "/idem", "big", data={"pad": "x" * 100000})).encode() + b"\n"
        self.assertEqual(413, post(self.server, many * 90, self.name("word"), "/v1/events", content_type=LINES).status)
        reply = self.check_repeats(
            lambda w=self.name("word"): post(self.server, many * 60, w, "/v1/events", content_type=LINES))
        self.assertEqual(60, reply.json["accepted"])


class Races(Keys):
    def test_of_many_at_once_one_is_done(self):
        busy, rounds = 0, 0
        while rounds < thinned(10, 100) or (busy == 0 and rounds < 300):
            rounds += 1
            made = self.made()
            word, replies = self.name("word"), []
            begin = threading.Barrier(8)

            def send(word=word, made=made, begin=begin, replies=replies):
                client = another(self.server)
                begin.wait()
                replies.append(post(client, {}, word, path(made["key"], "heartbeat")))
                client.close()
            threads = [threading.Thread(target=send) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(8, len(replies))
            done = [reply for reply in replies if reply.status == 200]
            self.assertEqual(1, sum(REPLAYED not in reply.headers for reply in done), replies)
            self.assertEqual(1, len({reply.body for reply in done}))
            for reply in replies:
                if reply not in done:
                    busy += 1
                    self.check_problem(reply, 409, kind="idempotency-key-in-use")
                    self.assertEqual("1", reply.headers.get("retry-after"))
            self.assertEqual(made["version"] + 1, get(self.server, made["key"])["version"])
            self.assertEqual(told(done[0]), told(post(self.server, {}, word, path(made["key"], "heartbeat"))))
        self.assertGreater(busy, 0, "nobody met another")

    def test_whose_connection_breaks_gets_the_answer_later(self):
        for n in range(thinned(20, 200)):
            made = self.made()
            word = self.name("word")
            where = path(made["key"], "heartbeat")
            broken = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
            broken.request("POST", where, b"{}", {"Idempotency-Key": word, "Content-Type": "application/json"})
            time.sleep(n % 5 * 0.0005)
            broken.close()

            def settled(word=word, where=where):
                reply = post(self.server, b"{}", word, where, content_type="application/json")
                return reply if reply.status != 409 else None
            reply = self.eventually(settled)
            self.assertEqual(made["version"] + 1, reply.json["version"], reply)
            self.assertEqual(made["version"] + 1, get(self.server, made["key"])["version"])


class Durable(cases.Case):
    def test_answers_are_there_after_kill_9_and_after_a_stop(self):
        words = [self.name("word") for _ in range(50)]
        bodies = {word: {"key": "order-" + word, "within": "PT15M"} for word in words}
        first = {word: told(post(self.server, bodies[word], word)) for word in words}
        for end in (self.server.kill9, self.server.stop, self.server.kill9):
            end()
            self.server.start()
            for word in words:
                again = post(self.server, bodies[word], word)
                self.assertEqual("true", again.headers.get(REPLAYED), again)
                self.assertEqual(first[word], told(again))
                other = post(self.server, {**bodies[word], "within": "PT1M"}, word)
                self.check_problem(other, 422, kind="idempotency-key-reused")
            self.assertEqual(len(words), figure(self.server, "idempotency_answers_kept"))

    def test_the_log_shows_them(self):
        with Server(2, 1) as server:
            post(server, {"key": "shown", "within": "PT15M"}, '"the-word"')
            server.kill9()
            done = run(["log", "dump", server.data, "--json"])
            self.assertEqual(0, done.returncode, done.stderr)
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            answers = [line for line in lines if line.get("kind") == "answer"]
            self.assertEqual([("the-word", 201)], [(line["key"], line["status"]) for line in answers], lines)
            server.start()

    def test_they_outlive_the_log_that_held_them(self):
        with Server(2, 2, arguments=["--segment-bytes", "1M", "--snapshot-every", "1M", "--retain-events-bytes",
                                     "1M"]) as server:
            body = {"key": "early", "within": "PT15M"}
            first = post(server, body, "early")
            position = server.get("/v1/info")["log"]["durable_end"]
            pad = "x" * 20000
            for n in range(400):
                server.send([event("2020-01-01T00:00:00Z", "pad", "/pad", f"{n}-{m}", data={"pad": pad})
                             for m in range(5)])
                if n % 10 == 0 and server.get("/v1/info")["log"]["oldest"] > position:
                    break
            self.assertGreater(server.get("/v1/info")["log"]["oldest"], position, "the log was not trimmed")
            server.kill9()
            server.start()
            again = post(server, body, "early")
            self.assertEqual("true", again.headers.get(REPLAYED), again)
            self.assertEqual(told(first), told(again))

    def test_what_a_client_has_seen_it_sees_again_whenever_it_was_killed(self):
        print(f"SEED={SEED}: repeat with SEED={SEED} python3 tests/e2e/idempotency_test.py")
        draw = random.Random(SEED)
        seen, open_ends = {}, 0
        with Server(4, 2) as server:
            for life in range(thinned(4, 30)):
                stop, unknown = threading.Event(), []

                def work(number, life=life, stop=stop, unknown=unknown):
                    client = another(server)
                    for n in range(100000):
                        word = f"{life}-{number}-{n}"
                        try:
                            reply = post(client, {"key": word, "within": "PT1H"}, word)
                        except (OSError, http.client.HTTPException):
                            unknown.append(word)
                            return
                        if reply.status == 201:
                            seen[word] = told(reply)
                        if stop.is_set():
                            return
                threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
                for thread in threads:
                    thread.start()
                time.sleep(0.05 + draw.random() * 0.4)
                server.kill9()
                stop.set()
                for thread in threads:
                    thread.join()
                server.start()
                for word in draw.sample(sorted(seen), min(len(seen), 200)):
                    again = post(server, {"key": word, "within": "PT1H"}, word)
                    self.assertEqual("true", again.headers.get(REPLAYED), again)
                    self.assertEqual(seen[word], told(again))
                for word in unknown:  # done or not, kept or not: now it is, once
                    first = post(server, {"key": word, "within": "PT1H"}, word)
                    self.assertIn((first.status, first.headers.get(REPLAYED)),
                                  ((201, None), (201, "true"), (200, "true")), first)
                    self.assertEqual(told(first), told(post(server, {"key": word, "within": "PT1H"}, word)))
                    self.assertEqual(("pending", 1), tuple(get(server, word)[n] for n in ("state", "generation")))
                    open_ends += 1
            self.assertGreater(len(seen), 20)
            self.assertGreater(open_ends, 0, "no kill met a request")


if __name__ == "__main__":
    cases.main()

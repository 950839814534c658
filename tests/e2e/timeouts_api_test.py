#!/usr/bin/env python3
"""Explicit timeouts and the feed over HTTP: commands, batches, waiting, streams, consumers, restarts."""
import http.client
import json
import time
import unittest

from support import cases
from support.events import event
from support.server import Server, quoted
from truth_lib import time_us


def create(server, key, **members):
    return server.request("POST", "/v1/timeouts", {"key": key, **members})


def command(server, key, verb, body=None, **headers):
    return server.request("POST", f"/v1/timeouts/{quoted(key)}/{verb}", body,
                          {name.replace("_", "-"): value for name, value in headers.items()})


def wait_for(server, subject, **parameters):
    """The first notification about a key."""
    items = server.get("/v1/notifications", subject=subject, wait="PT30S", **parameters)["items"]
    return items[0]


class Commands(cases.Case):
    def test_a_timeout_fires_once_and_never_before_its_deadline(self):
        reply = create(self.server, "fires", within="PT0.3S", data={"a": [1, 2]})
        self.assertEqual(201, reply.status, reply)
        note = wait_for(self.server, "fires")
        self.assertEqual("tidemark.timeout.fired", note["type"])
        self.assertEqual({"a": [1, 2]}, note["data"]["data"])
        self.assertGreaterEqual(note["data"]["fired_at"], note["data"]["deadline"])
        self.assertEqual(reply.json["deadline"], note["data"]["deadline"])
        late = command(self.server, "fires", "complete")
        self.assertEqual(409, late.status, late)
        self.assertEqual("urn:tidemark:problem:already-fired", late.json["type"])
        self.assertEqual(note["data"]["fired_at"], late.json["fired_at"])
        again = self.server.get("/v1/notifications", subject="fires")["items"]
        self.assertEqual([note], again)

    def test_the_clock_is_the_servers_unless_told_otherwise(self):
        self.assertEqual("processing", create(self.server, "default clock", within="PT1H").json["clock"])
        self.assertEqual("event", create(self.server, "event clock", within="PT1H", clock="event").json["clock"])

    def test_what_decided_is_a_position_of_the_log_and_rises(self):
        made = create(self.server, "decided", within="PT1H").json
        moved = command(self.server, "decided", "heartbeat").json
        ended = command(self.server, "decided", "complete").json
        places = [one["decided_at"] for one in (made, moved, ended)]
        self.assertEqual(sorted(set(places)), places)
        self.assertLess(places[-1], self.server.get("/v1/info")["log"]["durable_end"])
        again = command(self.server, "decided", "complete").json
        self.assertEqual(ended["decided_at"], again["decided_at"], "the one that changed it")

    def test_a_heartbeat_of_a_deadline_gives_the_same_span_again(self):
        made = create(self.server, "by deadline", deadline="2200-01-01T00:00:00Z").json
        moved = command(self.server, "by deadline", "heartbeat").json
        span = time_us(made["deadline"]) - time_us(made["created"])
        self.assertEqual(span, time_us(moved["deadline"]) - time_us(moved["last_seen"]))

    def test_a_list_has_a_hundred_items_unless_told_otherwise(self):
        text = "".join(json.dumps({"op": "create", "key": f"hundred-{n}", "within": "PT9H"}) + "\n" for n in range(130))
        self.server.request("POST", "/v1/timeouts:batch", text, content_type="application/x-ndjson")
        page = self.server.get("/v1/timeouts", prefix="hundred-")
        rest = self.server.get("/v1/timeouts", prefix="hundred-", cursor=page["next_cursor"])
        self.assertEqual((100, 30, None), (len(page["items"]), len(rest["items"]), rest["next_cursor"]))

    def test_commands_reach_what_a_rule_began_when_the_rule_is_named(self):
        self.server.sql("CREATE TIMEOUT of_rule AS AFTER type = 'a' EXPECT type = 'b' WITHIN INTERVAL '1 hour' PER subject "
                        "CLOCK PROCESSING")
        for n, subject in enumerate(("both", "both", "other")):
            self.server.send([event(id=f"rule-{n}", type="a", subject=subject)], "applied")
        create(self.server, "both", within="PT1H")

        def post(key, verb, body=None, **headers):
            return self.server.request("POST", f"/v1/timeouts/{key}/{verb}?rule=of_rule", body or {}, headers=headers)

        def states(key):
            return [one["state"] for one in self.server.get(f"/v1/timeouts/{key}", rule="of_rule")["instances"]]
        beat = post("both", "heartbeat", {"extend": "PT3H"})
        self.assertEqual(200, beat.status, beat)
        self.assertGreater(time_us(beat.json["deadline"]), time_us(beat.json["created"]) + 3 * 3600 * 1000000 - 1)
        done = post("both", "complete")
        self.assertEqual((200, "of_rule", "completed"), (done.status, done.json["rule"], done.json["state"]), done)
        self.assertEqual(["completed", "completed"], states("both"))
        again = post("both", "complete")
        self.assertEqual((200, "true", done.body), (again.status, again.headers.get("idempotent-replayed"), again.body))
        late = post("both", "cancel")
        self.assertEqual((409, "urn:tidemark:problem:already-ended"), (late.status, late.json["type"]), late)
        self.assertEqual(done.json["decided_at"], late.json["decided_at"])
        self.assertEqual(("completed", "of_rule"), (late.json["current"]["state"], late.json["current"]["rule"]))
        self.assertEqual("pending", self.server.get("/v1/timeouts/both")["state"], "an explicit one is another")
        self.assertEqual(["pending"], states("other"))
        for key, verb, body, headers, told in (("nobody", "complete", None, {}, (404, None)),
                                               ("other", "cancel", {"generation": 1}, {}, (422, "generation")),
                                               ("other", "cancel", None, {"If-Match": '"1"'}, (422, "If-Match"))):
            reply = post(key, verb, body, **headers)
            self.assertEqual(told, (reply.status, reply.json.get("member")), reply)
        self.server.kill9()
        self.server.start()
        self.assertEqual(["completed", "completed"], states("both"))
        self.assertEqual(beat.json["deadline"], self.server.get("/v1/timeouts/both", rule="of_rule")["deadline"])
        self.assertEqual(200, post("other", "cancel").status)
        self.assertEqual(["cancelled"], states("other"))

    def test_a_read_shows_what_was_just_answered(self):
        for n in range(50):
            key = f"own/{n} ü"
            self.assertEqual(201, create(self.server, key, within="PT1H").status)
            path = f"/v1/timeouts/{quoted(key)}"
            self.assertEqual("pending", self.server.get(path)["state"])
            self.assertEqual(200, command(self.server, key, "complete").status)
            self.assertEqual("completed", self.server.get(path)["state"])

    def test_a_tag_guards_a_change(self):
        tag = create(self.server, "tagged", within="PT1H").headers["etag"]
        beat = command(self.server, "tagged", "heartbeat", {"extend": "PT2H"}, If_Match=tag)
        self.assertEqual(200, beat.status, beat)
        self.assertNotEqual(tag, beat.headers["etag"])
        refused = command(self.server, "tagged", "cancel", {}, If_Match=tag)
        self.assertEqual(412, refused.status, refused)
        self.assertEqual("pending", refused.json["current"]["state"])
        other = command(self.server, "tagged", "cancel", {"generation": 7})
        self.assertEqual((412, "urn:tidemark:problem:other-generation"), (other.status, other.json["type"]))
        self.assertEqual(200, command(self.server, "tagged", "cancel", {}, If_Match=beat.headers["etag"]).status)

    def test_the_end_may_come_before_the_beginning(self):
        self.assertEqual(202, command(self.server, "early", "complete").status)
        reply = create(self.server, "early", within="PT1H")
        self.assertEqual((201, "completed"), (reply.status, reply.json["state"]))
        self.assertEqual(404, command(self.server, "never", "heartbeat").status)

    def test_a_batch_is_decided_line_by_line_in_its_order(self):
        lines = [{"op": "create", "key": "b1", "within": "PT1H"}, {"op": "complete", "key": "b1"}, "nonsense",
                 {"op": "create", "key": "b1", "within": "PT1H", "on_exists": "replace"},
                 {"op": "heartbeat", "key": "b2"}]
        text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        reply = self.server.request("POST", "/v1/timeouts:batch", text, content_type="application/x-ndjson")
        results = [json.loads(line) for line in reply.body.decode().splitlines()]
        self.assertEqual([201, 200, 400, 201, 404], [r["status"] for r in results])
        self.assertEqual(list(range(5)), [r["index"] for r in results])
        self.assertEqual(2, results[3]["generation"])

    def test_ten_thousand_operations_are_done_and_one_more_none(self):
        def send(count):
            text = "".join(json.dumps({"op": "create", "key": f"many-{n}", "within": "PT9H"}) + "\n"
                           for n in range(count))
            return self.server.request("POST", "/v1/timeouts:batch", text, content_type="application/x-ndjson")
        self.assertEqual(422, send(10001).status)
        self.assertEqual([], self.server.walk("/v1/timeouts", prefix="many-", limit=1000))
        reply = send(10000)
        self.assertEqual({201}, {json.loads(line)["status"] for line in reply.body.decode().splitlines()})
        listed = self.server.walk("/v1/timeouts", prefix="many-", state="pending", limit=1000)
        self.assertEqual({f"many-{n}" for n in range(10000)}, {item["key"] for item in listed})
        self.assertEqual(10000, len(listed))
        due = self.server.get("/v1/timeouts:due", span="PT10H", count=1)
        self.assertGreaterEqual(due["items"][0]["count"], 10000)


class Feed(cases.Case):
    def test_types_are_told_by_name_or_by_how_they_begin(self):
        create(self.server, "typed", within="PT0.01S")
        note = wait_for(self.server, "typed")
        for kind in ("tidemark.timeout.fired", "tidemark.timeout.*", "tidemark.*"):
            self.assertEqual([note], self.server.get("/v1/notifications", subject="typed", type=kind)["items"], kind)
        for kind in ("tidemark.timeout", "tidemark.timeout.retracted", "tidemark.window.*"):
            self.assertEqual([], self.server.get("/v1/notifications", subject="typed", type=kind)["items"], kind)

    def test_a_long_poll_is_woken(self):
        cursor = self.server.get("/v1/notifications")["next_cursor"]
        begin = time.monotonic()
        create(self.server, "woken", within="PT0.2S")
        note = wait_for(self.server, "woken", after=cursor)
        self.assertEqual("woken", note["subject"])
        self.assertLess(time.monotonic() - begin, 25)

    def test_a_page_waits_no_longer_than_it_was_asked_to(self):
        begin = time.monotonic()
        page = self.server.get("/v1/notifications", subject="nobody", wait="PT1S")
        self.assertEqual([], page["items"])
        self.assertGreaterEqual(time.monotonic() - begin, 0.9)
        self.assertIsNotNone(page["next_cursor"])

    def test_a_cursor_of_another_server_is_told_to_be_gone(self):
        reply = self.server.request("GET", "/v1/notifications?after=" + "0" * 48)
        self.assertEqual((410, "urn:tidemark:problem:cursor-expired"), (reply.status, reply.json["type"]))
        self.assertEqual(200, self.server.request("GET", "/v1/notifications?after=" +
                                                  reply.json["next_cursor"]).status)

    def stream(self, keys, last=None):
        """Opens a stream and returns the (id, event) of so many notes about these keys."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
        connection.request("GET", "/v1/notifications", headers=headers)
        response = connection.getresponse()
        self.assertEqual("text/event-stream", response.headers["Content-Type"])
        found, number = [], None
        while len(found) < len(keys):
            line = response.readline().decode().rstrip("\n")
            if line.startswith("id: "):
                number = line[4:]
            elif line.startswith("data: "):
                note = json.loads(line[6:])
                if note.get("subject") in keys:
                    found.append((number, note))
        connection.close()
        return found

    def test_a_stream_brings_each_note_once_and_resumes(self):
        keys = [f"sse-{n}" for n in range(20)]
        for key in keys:
            self.assertEqual(201, create(self.server, key, within="PT0.05S").status)
        found = self.stream(keys)
        self.assertEqual(sorted(keys), sorted(note["subject"] for _, note in found))
        rest = self.stream([note["subject"] for _, note in found[10:]], last=found[9][0])
        self.assertEqual([note for _, note in found[10:]], [note for _, note in rest])


class Restart(unittest.TestCase):
    def test_feed_consumers_and_timeouts_outlive_a_kill(self):
        with Server() as server:
            for n in range(20):
                create(server, f"r{n}", within="PT0.05S")
            create(server, "stays", within="PT1H", data="x")
            for n in range(20):
                wait_for(server, f"r{n}")
            page = server.get("/v1/notifications", limit=7)
            reply = server.request("POST", "/v1/notifications:ack",
                                   {"consumer": "mail", "cursor": page["next_cursor"]})
            self.assertEqual(200, reply.status, reply)
            before = server.get("/v1/notifications", limit=1000)["items"]
            stays = server.get("/v1/timeouts/stays")
            server.kill9()
            server.start()
            self.assertEqual(before, server.get("/v1/notifications", limit=1000)["items"])
            self.assertEqual(before[7:], server.get("/v1/notifications", consumer="mail", limit=1000)["items"])
            self.assertEqual(stays, server.get("/v1/timeouts/stays"))
            self.assertEqual("mail", server.get("/v1/notifications/consumers")["items"][0]["consumer"])


if __name__ == "__main__":
    cases.main()

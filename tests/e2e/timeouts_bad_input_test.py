#!/usr/bin/env python3
"""What timeouts, their feed and their rules must refuse: with the right status and problem, and without a trace."""
import json
import unittest

from support import cases, notes
from support.events import event
from support.server import parse_responses
from support.timeouts import TIMEOUTS, act, create, fired_at, get, path, post_batch, results
from truth_lib import DAY, time_us

FEED = notes.FEED
ACK = FEED + ":ack"
JSON = "application/json"


class Untouched(cases.Case):
    """Each test must leave what the server holds as it was."""

    @classmethod
    def prepare(cls):
        def must(status, reply):
            if reply.status != status:
                raise AssertionError(repr(reply))
        for key in ("pending", "completed", "cancelled", "second"):
            must(201, create(cls.server, key, within="P30D"))
        must(200, act(cls.server, "completed", "complete"))
        must(200, act(cls.server, "cancelled", "cancel"))
        must(201, create(cls.server, "second", within="P31D", on_exists="replace"))
        must(201, create(cls.server, "fired", deadline="2001-01-01T00:00:00Z"))
        notes.wait_for(cls.server, 1)
        cls.server.sql("CREATE METRIC taken AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 day')")
        cls.server.sql("CREATE TIMEOUT kept AS AFTER type = 'a' EXPECT type = 'b' WITHIN INTERVAL '1 hour' PER subject")

    def held(self):
        """All that a client can see."""
        return {"timeouts": sorted(self.server.walk(TIMEOUTS, limit=1000), key=lambda one: one["key"]),
                "rules": self.server.walk(TIMEOUTS, rule="kept"), "count": self.server.get(TIMEOUTS + ":count"),
                "notes": notes.read(self.server)[0],
                "metrics": [m["name"] for m in self.server.walk("/v1/metrics")]}

    def setUp(self):
        super().setUp()
        self.before = self.held()

    def tearDown(self):
        self.assertEqual(self.before, self.held(), "a refusal left a trace")


def body(**members):
    """A create that would be taken but for its members; None leaves one out."""
    made = {"key": "refused", "within": "PT15M", **members}
    return {name: value for name, value in made.items() if value is not ...}


def raw(text):
    """A create with this raw text in it."""
    return b'{"key":"refused","within":"PT15M",' + text + b"}"


DURATION = "invalid-duration"
MEMBER = "unknown-member"
TWICE = "duplicate-member"

CREATES = [
    # Label, body, statuses, problem or None, words.
    # Durations and deadlines.
    ("a negative duration", body(within="-PT15M"), (422,), DURATION, "within"),
    ("a duration with a negative part", body(within="PT-15M"), (422,), DURATION, "within"),
    ("a duration beyond 64 bits of seconds", body(within="PT99999999999999999999S"), (422,), DURATION, "within"),
    ("a duration beyond 64 bits of microseconds", body(within="PT9223372036855S"), (422,), DURATION, "within"),
    ("a duration of a billion days", body(within="P1000000000D"), (422,), DURATION, "within"),
    ("a duration that leads beyond the year 9999", body(within="P4000000D"), (422,), None, ()),
    ("a duration in words", body(within="15 minutes"), (422,), DURATION, "within"),
    ("a duration without parts", body(within="PT"), (422,), DURATION, "within"),
    ("a P alone", body(within="P"), (422,), DURATION, "within"),
    ("an empty duration", body(within=""), (422,), DURATION, "within"),
    ("a duration with its parts the wrong way round", body(within="PT5S1M"), (422,), DURATION, "within"),
    ("a duration with something behind it", body(within="PT5S "), (422,), DURATION, "within"),
    ("a fraction that is not of the last part", body(within="PT1.5H30M"), (422,), DURATION, "within"),
    ("a fraction finer than a microsecond", body(within="PT0.0000001S"), (422,), DURATION, "within"),
    ("a fraction of a month", body(within="P0.5M"), (422,), DURATION, "within"),
    ("a duration that is a number", body(within=900), (400, 422), None, "within"),
    ("a duration that is null", body(within=None), (400, 422), None, "within"),
    ("a duration that is an object", body(within={}), (400, 422), None, "within"),
    ("neither a duration nor a deadline", body(within=...), (400, 422), None, ()),
    ("both a duration and a deadline", body(deadline="2100-01-01T00:00:00Z"), (422,), None, ()),
    ("a deadline that is no time", body(within=..., deadline="soon"), (422,), None, "deadline"),
    ("a deadline without an offset", body(within=..., deadline="2100-01-01T00:00:00"), (422,), None, "deadline"),
    ("a deadline on a day that is none", body(within=..., deadline="2100-02-29T00:00:00Z"), (422,), None, "deadline"),
    ("a deadline in the year 10000", body(within=..., deadline="10000-01-01T00:00:00Z"), (422,), None, "deadline"),
    ("a deadline behind the year 9999 by its offset", body(within=..., deadline="9999-12-31T23:59:59-01:00"), (422,),
     None, "deadline"),
    ("a deadline that is a number", body(within=..., deadline=4102444800), (400, 422), None, "deadline"),
    ("an event time that is no time", body(clock="event", event_time="then"), (422,), None, "event_time"),
    ("an event time and a duration that overflow", body(clock="event", event_time="9999-12-31T23:00:00Z", within="P1D"),
     (422,), None, ()),
    # Clocks and on_exists.
    ("an unknown clock", body(clock="wall"), (422,), None, "clock"),
    ("a clock in capitals", body(clock="EVENT"), (422,), None, "clock"),
    ("an empty clock", body(clock=""), (422,), None, "clock"),
    ("a clock that is a number", body(clock=1), (400, 422), None, "clock"),
    ("a clock that is null", body(clock=None), (400, 422), None, "clock"),
    ("an unknown way with what exists", body(on_exists="ignore"), (422,), None, "on_exists"),
    ("a way with what exists that is true", body(on_exists=True), (400, 422), None, "on_exists"),
    # Keys.
    ("no key", body(key=...), (400, 422), None, "key"),
    ("an empty key", body(key=""), (422,), None, "key"),
    ("a key of 257 bytes", body(key="k" * 257), (422,), None, "key"),
    ("a key of 129 letters of two bytes", body(key="\u00e9" * 129), (422,), None, "key"),
    ("a key of a megabyte", body(key="k" * 1_000_000), (413, 422), None, ()),
    ("a key that is a number", body(key=17), (400, 422), None, "key"),
    ("a key that is null", body(key=None), (400, 422), None, "key"),
    ("a key that is an array", body(key=["a"]), (400, 422), None, "key"),
    ("a key with a control character", body(key="a\tb"), (422,), None, "key"),
    ("a lone surrogate escaped", raw(b'"data":{"a":"\\ud800"}'), (400,), None, ()),
    # Text.
    ("a byte that is no UTF-8 in the key", b'{"key":"a\xffb","within":"PT15M"}', (400,), None, ()),
    ("an overlong form in the data", raw(b'"data":{"a":"\xc0\xaf"}'), (400,), None, ()),
    ("a surrogate in UTF-8", raw(b'"data":{"a":"\xed\xa0\x80"}'), (400,), None, ()),
    ("UTF-16", json.dumps(body()).encode("utf-16-le"), (400,), None, ()),
    ("a byte order mark", b"\xef\xbb\xbf" + json.dumps(body()).encode(), (400,), None, ()),
    ("a raw control character", b'{"key":"a\x01b","within":"PT15M"}', (400,), None, ()),
    # Members.
    ("an unknown member", body(color="red"), (422,), MEMBER, "color"),
    ("a member in capitals", body(Data={}), (422,), MEMBER, "Data"),
    ("a member that is answered only", body(generation=1), (422,), MEMBER, "generation"),
    ("a member of the heartbeat", body(extend="PT5M"), (422,), MEMBER, "extend"),
    ("an operation outside of a batch", body(op="create"), (422,), MEMBER, "op"),
    ("a key twice", raw(b'"key":"refused"'), (400,), TWICE, "key"),
    ("a duration twice", raw(b'"within":"PT16M"'), (400,), TWICE, "within"),
    ("a clock twice", raw(b'"clock":"event","clock":"processing"'), (400,), TWICE, "clock"),
    ("data twice", raw(b'"data":{},"data":{}'), (400,), TWICE, "data"),
    ("an escaped member twice", raw(b'"\\u006bey":"other"'), (400,), TWICE, "key"),
    # Bodies.
    ("no body", b"", (400,), None, ()),
    ("white space", b"  \n", (400,), None, ()),
    ("an array", [body()], (422,), None, ()),
    ("a string", b'"refused"', (422,), None, ()),
    ("null", b"null", (422,), None, ()),
    ("a body cut short", json.dumps(body()).encode()[:-1], (400,), None, ()),
    ("two bodies", json.dumps(body()).encode() * 2, (400,), None, ()),
    ("junk behind the body", json.dumps(body()).encode() + b"x", (400,), None, ()),
    ("NaN", raw(b'"data":{"a":NaN}'), (400,), None, ()),
    ("data of depth 70", raw(b'"data":' + b'{"a":' * 70 + b"1" + b"}" * 70), (400,), None, ()),
    ("a megabyte of brackets", b"[" * 1_000_000, (400, 413), None, ()),
    ("data of two megabytes", body(data={"a": "x" * 2_000_000}), (413, 422), None, ()),
    ("a body of nine megabytes", body(data={"a": "x" * 9_000_000}), (413,), None, ()),
]


@cases.table("check_create", CREATES)
class ACreateIsRefused(Untouched):
    def check_create(self, made, statuses, kind, says):
        reply = self.server.request("POST", TIMEOUTS, made, content_type=JSON)
        self.check_problem(reply, *statuses, kind=kind, says=says)


ACTIONS = [
    # Label, key, action, body, statuses, problem, words.
    ("completing with an unknown member", "pending", "complete", {"why": "done"}, (422,), MEMBER, "why"),
    ("completing with the heartbeat's member", "pending", "complete", {"extend": "PT5M"}, (422,), MEMBER, "extend"),
    ("cancelling with an unknown member", "pending", "cancel", {"why": "done"}, (422,), MEMBER, "why"),
    ("a heartbeat with an unknown member", "pending", "heartbeat", {"within": "PT5M"}, (422,), MEMBER, "within"),
    ("a member twice", "pending", "complete", b'{"generation":1,"generation":1}', (400,), TWICE, "generation"),
    ("a negative extension", "pending", "heartbeat", {"extend": "-PT5M"}, (422,), DURATION, "extend"),
    ("an extension that overflows", "pending", "heartbeat", {"extend": "PT99999999999999999999S"}, (422,), DURATION, "extend"),
    ("an extension beyond the year 9999", "pending", "heartbeat", {"extend": "P4000000D"}, (422,), None, ()),
    ("an extension that is a number", "pending", "heartbeat", {"extend": 5}, (400, 422), None, "extend"),
    ("an extension in words", "pending", "heartbeat", {"extend": "5m"}, (422,), DURATION, "extend"),
    ("a generation of another", "pending", "complete", {"generation": 2}, (412,), None, ()),
    ("an old generation", "second", "complete", {"generation": 1}, (412,), None, ()),
    ("an old generation of a cancel", "second", "cancel", {"generation": 1}, (412,), None, ()),
    ("an old generation of a heartbeat", "second", "heartbeat", {"generation": 1}, (412,), None, ()),
    ("a generation of 64 bits", "pending", "complete", {"generation": 2**63 - 1}, (412, 422), None, ()),
    ("a generation beyond 64 bits", "pending", "complete", {"generation": 2**64}, (400, 422), None, "generation"),
    ("a negative generation", "pending", "complete", {"generation": -1}, (412, 422), None, ()),
    ("a generation that is text", "pending", "complete", {"generation": "1"}, (400, 422), None, "generation"),
    ("a generation with a fraction", "pending", "complete", {"generation": 1.5}, (400, 422), None, "generation"),
    ("an event time that is no time", "pending", "complete", {"event_time": "then"}, (422,), None, "event_time"),
    ("an event time that is a number", "pending", "complete", {"event_time": 0}, (400, 422), None, "event_time"),
    ("an array", "pending", "complete", [], (422,), None, ()),
    ("a body cut short", "pending", "complete", b'{"generation":', (400,), None, ()),
    ("no UTF-8", "pending", "complete", b'{"event_time":"\xff"}', (400,), None, ()),
    ("a completion after the firing", "fired", "complete", {}, (409,), "already-fired", ()),
    ("a cancel after the firing", "fired", "cancel", {}, (409,), "already-fired", ()),
    ("a heartbeat after the firing", "fired", "heartbeat", {}, (409,), "already-fired", ()),
    ("a cancel after the completion", "completed", "cancel", {}, (409,), None, ()),
    ("a completion after the cancel", "cancelled", "complete", {}, (409,), None, ()),
    ("a heartbeat after the completion", "completed", "heartbeat", {}, (409,), None, ()),
    ("a heartbeat after the cancel", "cancelled", "heartbeat", {}, (409,), None, ()),
    ("a heartbeat of an unknown key", "nobody", "heartbeat", {}, (404,), None, ()),
    ("a key of 257 bytes in the path", "k" * 257, "complete", {}, (400, 404, 422), None, ()),
    ("a key of no UTF-8 in the path", None, "/v1/timeouts/%ff/complete", {}, (400, 404, 422), None, ()),
    ("a broken escape in the path", None, "/v1/timeouts/%zz/complete", {}, (400, 404), None, ()),
    ("an empty key in the path", None, "/v1/timeouts//complete", {}, (400, 404, 422), None, ()),
    ("an unknown action", "pending", "explode", {}, (404,), None, ()),
]


@cases.table("check_action", ACTIONS)
class AnActionIsRefused(Untouched):
    def check_action(self, key, action, made, statuses, kind, says):
        where = action if key is None else path(key, action)
        reply = self.server.request("POST", where, made, content_type=JSON)
        problem = self.check_problem(reply, *statuses, kind=kind, says=says)
        if kind == "already-fired":
            self.assertGreater(fired_at(problem), time_us("2001-01-01T00:00:00Z"))

    def test_completing_twice_changes_nothing(self):
        for key, action in (("completed", "complete"), ("cancelled", "cancel")):
            self.assertIn(act(self.server, key, action).status, (200, 409))

    def test_reusing_a_key(self):
        for key in ("pending", "completed", "cancelled", "fired"):
            self.check_problem(create(self.server, key, within="PT1H"), 409)


REQUESTS = [
    # Label, method, path, body, content type, statuses, words.
    ("a create as text", "POST", TIMEOUTS, json.dumps(body()), "text/plain", (415,), ()),
    ("a create as a form", "POST", TIMEOUTS, b"key=a&within=PT5M", "application/x-www-form-urlencoded", (415,), ()),
    ("a create without a content type", "POST", TIMEOUTS, json.dumps(body()), None, (415,), ()),
    ("an action as XML", "POST", path("pending", "complete"), b"<a/>", "application/xml", (415,), ()),
    ("a batch as XML", "POST", TIMEOUTS + ":batch", b"<a/>", "application/xml", (415,), ()),
    ("a batch without a content type", "POST", TIMEOUTS + ":batch", b"{}\n", None, (415,), ()),
    ("an acknowledgement as text", "POST", ACK, b"{}", "text/plain", (415,), ()),
    ("an unknown parameter of a create", "POST", TIMEOUTS + "?colour=red", body(), None, (422,), "colour"),
    ("an unknown parameter of an action", "POST", path("pending", "complete") + "?colour=red", {}, None, (422,), "colour"),
    ("an unknown parameter of a list", "GET", TIMEOUTS + "?colour=red", None, None, (422,), "colour"),
    ("an unknown parameter of one", "GET", path("pending") + "?colour=red", None, None, (422,), "colour"),
    ("an unknown parameter of the count", "GET", TIMEOUTS + ":count?colour=red", None, None, (422,), "colour"),
    ("an unknown state", "GET", TIMEOUTS + "?state=late", None, None, (422,), "state"),
    ("a time that is none", "GET", TIMEOUTS + "?due_before=soon", None, None, (422,), "due_before"),
    ("a time to count what is due from that is none", "GET", TIMEOUTS + ":due?from=soon", None, None, (422,), "from"),
    ("a limit of 0", "GET", TIMEOUTS + "?limit=0", None, None, (422,), "limit"),
    ("a limit of 1001", "GET", TIMEOUTS + "?limit=1001", None, None, (422,), "limit"),
    ("a cursor that is none of ours", "GET", TIMEOUTS + "?cursor=abc", None, None, (400, 422), "cursor"),
    ("an unknown consistency", "GET", path("pending") + "?consistency=strong", None, None, (422,), "consistency"),
    ("an unknown rule", "GET", TIMEOUTS + "?rule=nowhere", None, None, (404, 422), "rule"),
    ("one of an unknown rule", "GET", path("pending") + "?rule=nowhere", None, None, (404, 422), ()),
    ("one that no rule knows", "GET", path("pending") + "?rule=kept", None, None, (404,), ()),
    ("an unknown key", "GET", path("nobody"), None, None, (404,), ()),
    ("an unknown parameter of the feed", "GET", FEED + "?colour=red", None, None, (422,), "colour"),
    ("a wait that is a number", "GET", FEED + "?wait=5", None, None, (422,), "wait"),
    ("a negative wait", "GET", FEED + "?wait=-PT5S", None, None, (422,), "wait"),
    ("a wait that overflows", "GET", FEED + "?wait=PT99999999999999999999S", None, None, (422,), "wait"),
    ("a position that is none of ours", "GET", FEED + "?after=abc", None, None, (400, 410, 422), ()),
    ("a NUL as a position", "GET", FEED + "?after=%00", None, None, (400, 422), ()),
    ("a limit of the feed of 0", "GET", FEED + "?limit=0", None, None, (422,), "limit"),
    ("a limit of the feed of 1001", "GET", FEED + "?limit=1001", None, None, (422,), "limit"),
    ("an empty consumer", "GET", FEED + "?consumer=", None, None, (422,), "consumer"),
    ("a consumer of 1000 bytes", "GET", FEED + "?consumer=" + "c" * 1000, None, None, (422,), "consumer"),
    ("an acknowledgement without a consumer", "POST", ACK, {"cursor": "abc"}, None, (400, 422), ()),
    ("an acknowledgement without a cursor", "POST", ACK, {"consumer": "c"}, None, (400, 422), "cursor"),
    ("an acknowledgement of a cursor that is none", "POST", ACK, {"consumer": "c", "cursor": "abc"}, None, (400, 422),
     "cursor"),
    ("an acknowledgement with wrong types", "POST", ACK, {"consumer": 1, "cursor": 2}, None, (400, 422), ()),
    ("an acknowledgement with an unknown member", "POST", ACK, {"consumer": "c", "cursor": "abc", "x": 1}, None,
     (422, 400), ()),
    ("an acknowledgement with a member twice", "POST", ACK, b'{"consumer":"c","consumer":"c","cursor":"a"}', JSON, (400,),
     "consumer"),
    ("an acknowledgement of no UTF-8", "POST", ACK, b'{"consumer":"\xff","cursor":"a"}', JSON, (400,), ()),
]


@cases.table("check_request", REQUESTS)
class ARequestIsRefused(Untouched):
    def check_request(self, method, where, made, content_type, statuses, says):
        reply = self.server.request(method, where, made, content_type=content_type)
        self.check_problem(reply, *statuses, says=says)

    def test_wrong_methods_name_the_right_ones(self):
        for method, where, allowed in (("PUT", TIMEOUTS, ("GET", "POST")), ("PATCH", path("pending"), ("GET",)),
                                       ("GET", path("pending", "complete"), ("POST",)),
                                       ("PUT", path("pending", "heartbeat"), ("POST",)),
                                       ("POST", TIMEOUTS + ":count", ("GET",)), ("GET", TIMEOUTS + ":batch", ("POST",)),
                                       ("POST", FEED, ("GET",)), ("GET", ACK, ("POST",))):
            reply = self.server.request(method, where, b"" if method != "GET" else None)
            self.check_problem(reply, 405)
            for name in allowed:
                self.assertIn(name, [n.strip() for n in reply.headers.get("allow", "").split(",")], (method, where))

    def test_a_request_that_breaks_off_does_nothing(self):
        text = json.dumps(body()).encode()
        whole = (f"POST {TIMEOUTS} HTTP/1.1\r\nHost: 127.0.0.1:{self.server.port}\r\nContent-Type: {JSON}\r\n"
                 f"Content-Length: {len(text)}\r\n\r\n").encode() + text
        for n in range(1, len(whole), 17):
            self.server.raw(whole[:n], seconds=1, half_close=True)

    def test_an_acknowledgement_names_what_is_unknown(self):
        cursor = notes.read(self.server)[1]
        reply = self.server.request("POST", ACK, {"consumer": "c", "cursor": cursor, "x": 1})
        self.check_problem(reply, 422, kind=MEMBER, says="x")


class ABatchIsRefused(Untouched):
    def test_more_than_ten_thousand_operations(self):
        reply = post_batch(self.server, [{"op": "create", "key": f"refused-{n}", "within": "P1D"} for n in range(10_001)])
        self.check_problem(reply, 413, 422)

    def test_a_batch_beyond_any_size(self):
        line = json.dumps({"op": "create", "key": "refused", "within": "P1D", "data": {"a": "x" * 60_000}}).encode()
        reply = post_batch(self.server, [line] * 2000)
        self.check_problem(reply, 413, 422)

    def test_each_bad_operation_is_refused_by_itself(self):
        table = [
            ({"op": "explode", "key": "pending"}, (422,)), ({"key": "refused", "within": "PT5M"}, (400, 422)),
            ({"op": "create", "within": "PT5M"}, (400, 422)), ({"op": "create", "key": "refused"}, (400, 422)),
            ({"op": "create", "key": "refused", "within": "-PT5M"}, (422,)),
            ({"op": "create", "key": "refused", "within": "PT5M", "x": 1}, (422,)),
            ({"op": "create", "key": "k" * 257, "within": "PT5M"}, (422,)), ({"op": "complete"}, (400, 422)),
            ({"op": "complete", "key": ""}, (422,)), ({"op": "complete", "key": "pending", "within": "PT5M"}, (422,)),
            ({"op": "complete", "key": "fired"}, (409,)), ({"op": "heartbeat", "key": "fired"}, (409,)),
            ({"op": "heartbeat", "key": "nobody"}, (404,)), ({"op": "complete", "key": "second", "generation": 1}, (412,)),
            ({"op": "create", "key": "pending", "within": "PT5M"}, (409,)), ({"op": 5, "key": "pending"}, (400, 422)),
        ]
        reply = post_batch(self.server, [operation for operation, _ in table])
        self.assertEqual(200, reply.status, reply)
        got = results(reply)
        self.assertEqual(len(table), len(got))
        for (operation, statuses), result in zip(table, got):
            self.assertIn(result.get("status"), statuses, (operation, result))
            self.assertRegex(str(result), r"urn:tidemark:problem:[a-z-]+", (operation, result))

    def test_lines_that_are_not_json_do_nothing(self):
        for line in (b"{", b"nonsense", b'{"op":"complete","key":"pending","key":"pending"}', b'{"op":"complete","key":"\xff"}',
                     b"[}"):
            self.check_line(line, 400)

    def test_lines_that_are_no_objects_do_nothing(self):
        for line in (b"[]", b"null", b'"x"', b"5", b'{"op":"complete","key":"pending","event_time":"then"}'):
            self.check_line(line, 422)

    def check_line(self, line, status):
        reply = post_batch(self.server, [line])
        self.assertEqual(200, reply.status, reply)
        self.assertEqual([status], [result.get("status") for result in results(reply)], (line, reply))

    def test_an_empty_batch_does_nothing(self):
        for text in ([], [b""], [b" "]):
            reply = post_batch(self.server, text)
            if reply.status == 200:
                self.assertEqual([], results(reply))
            else:
                self.check_problem(reply, 400, 422)


T = "CREATE TIMEOUT x AS "
S = "CREATE SILENCE x AS "
AB = "AFTER type = 'a' EXPECT type = 'b' "
HOUR = "WITHIN INTERVAL '1 hour' "
RULES = [
    # Label, text, statuses.
    ("no start", T + "EXPECT type = 'b' " + HOUR + "PER subject", (400, 422)),
    ("nothing expected", T + "AFTER type = 'a' " + HOUR + "PER subject", (400, 422)),
    ("no deadline", T + AB + "PER subject", (400, 422)),
    ("no key", T + AB + HOUR, (400, 422)),
    ("a negative interval", T + AB + "WITHIN INTERVAL '-1 hour' PER subject", (400, 422)),
    ("an interval that overflows", T + AB + "WITHIN INTERVAL '99999999999999999999 hours' PER subject", (400, 422)),
    ("an interval of a month", T + AB + "WITHIN INTERVAL '1 fortnight' PER subject", (400, 422)),
    ("an interval that is text", T + AB + "WITHIN '1 hour' PER subject", (400, 422)),
    ("a deadline without a unit", T + AB + "WITHIN 5 PER subject", (400, 422)),
    ("an unknown clock", T + AB + HOUR + "PER subject CLOCK WALL", (400, 422)),
    ("an unknown way with what is late", T + AB + HOUR + "PER subject LATE DROP", (400, 422)),
    ("a negative grace", T + AB + HOUR + "PER subject GRACE INTERVAL '-1 hour'", (400, 422)),
    ("two clocks", T + AB + HOUR + "PER subject CLOCK EVENT CLOCK PROCESSING", (400, 422)),
    ("clauses the wrong way round", T + "EXPECT type = 'b' AFTER type = 'a' " + HOUR + "PER subject", (400, 422)),
    ("an unknown column", T + "AFTER typ(e) = 'a' EXPECT type = 'b' " + HOUR + "PER subject", (400, 422)),
    ("a start that is no condition", T + "AFTER 5 EXPECT type = 'b' " + HOUR + "PER subject", (400, 422)),
    ("an aggregate as a condition", T + "AFTER count(*) > 1 EXPECT type = 'b' " + HOUR + "PER subject", (400, 422)),
    ("junk behind it", T + AB + HOUR + "PER subject nonsense", (400, 422)),
    ("no name", "CREATE TIMEOUT AS " + AB + HOUR + "PER subject", (400, 422)),
    ("a name that is text", "CREATE TIMEOUT 'x' AS " + AB + HOUR + "PER subject", (400, 422)),
    ("the name of a metric", "CREATE TIMEOUT taken AS " + AB + HOUR + "PER subject", (409, 422)),
    ("a metric with the name of a rule",
     "CREATE METRIC kept AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 day')", (409, 422)),
    ("another rule of the same name", "CREATE TIMEOUT kept AS " + AB + "WITHIN INTERVAL '2 hours' PER subject", (409, 422)),
    ("a silence without a time", S + "EXPECT type = 'a' PER subject", (400, 422)),
    ("a silence without a key", S + "EXPECT type = 'a' EVERY INTERVAL '1 hour'", (400, 422)),
    ("a silence with a start", S + "AFTER type = 'a' EXPECT type = 'b' EVERY INTERVAL '1 hour' PER subject", (400, 422)),
    ("a silence of a negative time", S + "EXPECT type = 'a' EVERY INTERVAL '-1 hour' PER subject", (400, 422)),
    ("a silence of no time", S + "EXPECT type = 'a' EVERY INTERVAL '0 hours' PER subject", (400, 422)),
    ("a silence that is a timeout", S + AB + HOUR + "PER subject", (400, 422)),
    ("dropping a rule that is none", "DROP TIMEOUT nowhere", (404, 422)),
    ("dropping a silence that is none", "DROP SILENCE nowhere", (404, 422)),
]


@cases.table("check_rule", RULES)
class ARuleIsRefused(Untouched):
    def check_rule(self, text, statuses):
        for where in ("/v1/sql?dry_run=true", "/v1/sql"):
            reply = self.server.request("POST", where, text, content_type="text/plain")
            if reply.status == 200 and "dry_run" in where and statuses[0] in (404, 409):
                continue
            problem = self.check_problem(reply, *statuses)
            if statuses[0] == 400:
                self.assertEqual(1, problem.get("line"), problem)
                self.assertIsInstance(problem.get("column"), int, problem)

    def test_no_rule_was_made(self):
        self.check_problem(self.server.request("GET", TIMEOUTS + "?rule=x"), 404, 422)


class TheFarEndsAreTaken(cases.Case):
    """What looks outlandish but is right."""

    def made(self, **members):
        reply = create(self.server, self.name("far"), **members)
        self.assertEqual(201, reply.status, reply)
        there = get(self.server, reply.json["key"])
        self.assertEqual(reply.json["deadline"], there["deadline"])
        return reply.json

    def test_a_century_and_more(self):
        for text in ("P36525D", "PT876600H", "PT3155760000S", "P36524DT86400S"):
            made = self.made(within=text)
            self.assertEqual(36_525 * DAY, time_us(made["deadline"]) - time_us(made["created"]))
            self.assertEqual("pending", made["state"])
        # Beyond a century a duration may be refused; a deadline never is.
        reply = create(self.server, self.name("far"), within="P365250D")
        if reply.status == 201:
            self.assertEqual(365_250 * DAY, time_us(reply.json["deadline"]) - time_us(reply.json["created"]))
        else:
            self.check_problem(reply, 422, kind=DURATION, says="within")
        self.made(deadline="3026-11-22T08:00:00Z")

    def test_a_fraction_of_the_last_part(self):
        for text, us in (("PT1.5H", 90 * DAY // 1440), ("PT0.5M", 30_000_000), ("P0.5D", DAY // 2), ("P0,5W", 7 * DAY // 2),
                         ("PT3600,000001S", 3_600_000_001), ("P1DT0.25H", DAY + DAY // 96)):
            made = self.made(within=text)
            self.assertEqual(us, time_us(made["deadline"]) - time_us(made["created"]), text)

    def test_the_last_microsecond(self):
        self.assertEqual("9999-12-31T23:59:59.999999Z", self.made(deadline="9999-12-31T23:59:59.999999Z")["deadline"])

    def test_they_do_not_fire(self):
        keys = [self.made(within="P36525D")["key"], self.made(deadline="9999-12-31T23:59:59Z")["key"]]
        for end in (self.server.kill9, self.server.stop):
            end()
            self.server.start()
            self.assertEqual(["pending"] * 2, [get(self.server, key)["state"] for key in keys])
            self.assertEqual([], notes.read(self.server)[0])
        late = create(self.server, self.name("past"), deadline="2001-01-01T00:00:00Z")
        self.assertEqual((201, True), (late.status, late.json.get("born_late")))
        notes.wait_for(self.server, 1, subject=late.json["key"])

    def test_no_time_at_all_is_refused_or_fires_at_once(self):
        for text in ("PT0S", "P0D"):
            key = self.name("zero")
            reply = create(self.server, key, within=text)
            if reply.status == 201:
                notes.wait_for(self.server, 1, subject=key)
            else:
                self.check_problem(reply, 422, kind=DURATION, says="within")
                self.check_problem(self.server.request("GET", path(key)), 404)

    def test_keys_at_their_limits(self):
        for key in ("k" * 256, "\u00e9" * 128, "\U0001f6eb" * 64, "x"):
            reply = create(self.server, key)
            self.assertEqual(201, reply.status, reply)
            self.assertEqual(key, get(self.server, key)["key"])
            self.assertEqual(200, act(self.server, key, "complete").status)

    def test_many_requests_on_one_connection_after_refusals(self):
        text = json.dumps(body(within="-PT1M")).encode()
        one = (f"POST {TIMEOUTS} HTTP/1.1\r\nHost: 127.0.0.1:{self.server.port}\r\nContent-Type: {JSON}\r\n"
               f"Content-Length: {len(text)}\r\n\r\n").encode() + text
        last = (f"GET {TIMEOUTS}:count HTTP/1.1\r\nHost: 127.0.0.1:{self.server.port}\r\nConnection: close\r\n\r\n").encode()
        replies = parse_responses(self.server.raw(one * 20 + last))
        self.assertEqual([422] * 20 + [200], [reply.status for reply in replies])

    def test_after_all_this_events_are_taken(self):
        self.assertEqual(200, self.server.send([event()], "applied").status)


if __name__ == "__main__":
    cases.main()

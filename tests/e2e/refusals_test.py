#!/usr/bin/env python3
"""What must be refused is: with the right status, as a problem that says why, and without a trace."""
import json
import unittest

from support import cases
from support.events import event, ndjson, text_time
from support.server import parse_responses, quoted

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"
DECLARED = {"watermark": "explicit", "idle_after": "P1D"}


class Untouched(cases.Case):
    """Each test must leave what the server holds as it was."""

    @classmethod
    def prepare(cls):
        cls.server.sql("CREATE METRIC canary AS SELECT type AS kind, count(*) AS n "
                       "FROM TUMBLE(events, time, INTERVAL '1 day') GROUP BY type")
        # It never says a word, so the watermark doesn't move and no event is late.
        cls.server.put_source("/declared", **DECLARED)
        reply = cls.server.send([event(id="canary", source="/canary")], acknowledge="applied")
        assert reply.status == 200, reply

    def held(self):
        """All that a client can see of the state; the watermark of live lanes may move by itself."""
        sources = [{k: v for k, v in s.items() if k in ("name", "source", "mode", "disorder", "idle_after")}
                   for s in self.server.walk("/v1/sources")]
        return {"rows": self.server.values("canary"), "sources": sources,
                "metrics": [m["name"] for m in self.server.walk("/v1/metrics")],
                "events": len(self.server.walk("/v1/events", limit=1000))}

    def setUp(self):
        super().setUp()
        self.before = self.held()

    def tearDown(self):
        self.assertEqual(self.before, self.held(), "a refusal left a trace")


def bytes_of(**members):
    return json.dumps(event(id="refused", **members)).encode()


def without(member):
    made = event(id="refused")
    del made[member]
    return json.dumps(made).encode()


def with_text(text):
    """An event whose text ends in this, raw: '…,<text>}'."""
    return json.dumps(event(id="refused")).encode()[:-1] + b"," + text + b"}"


def deep(depth):
    """An event of this depth; the event itself is the first level."""
    n = depth - 1
    return with_text(b'"data":' + b"[" * n + b"]" * n)


GOOD = json.dumps(event(id="refused")).encode()
FAR = 400, 422

EVENTS = [
    # Bytes that aren't JSON, or not text.
    ("an empty body", b"", (400,)),
    ("white space only", b" \n ", (400,)),
    ("a body cut short", GOOD[:-1], (400,)),
    ("a body cut inside a string", GOOD[:40], (400,)),
    ("junk after the event", GOOD + b"x", (400,)),
    ("two events in one body", GOOD + GOOD, (400,)),
    ("a byte order mark", b"\xef\xbb\xbf" + GOOD, (400,)),
    ("a comment", b"/* */" + GOOD, (400,)),
    ("a trailing comma", GOOD[:-1] + b",}", (400,)),
    ("single quotes", GOOD.replace(b'"', b"'"), (400,)),
    ("UTF-16", GOOD.decode().encode("utf-16-le"), (400,)),
    ("a stray continuation byte", with_text(b'"subject":"a\x80b"'), (400,)),
    ("an overlong slash", with_text(b'"subject":"a\xc0\xafb"'), (400,)),
    ("a surrogate in UTF-8", with_text(b'"subject":"a\xed\xa0\x80b"'), (400,)),
    ("a code point beyond U+10FFFF", with_text(b'"subject":"a\xf4\x90\x80\x80b"'), (400,)),
    ("UTF-8 cut short", with_text(b'"subject":"a\xe2\x82"'), (400,)),
    ("bad UTF-8 inside data", with_text(b'"data":{"x":"a\xffb"}'), (400,)),
    ("a lone high surrogate escaped", with_text(b'"subject":"\\ud800"'), (400,)),
    ("a lone low surrogate escaped", with_text(b'"data":{"x":"\\udc00"}'), (400,)),
    ("a raw control character in a string", with_text(b'"subject":"a\x01b"'), (400,)),
    ("a raw NUL in a string", with_text(b'"subject":"a\x00b"'), (400,)),
    ("a raw line feed in a string", with_text(b'"subject":"a\nb"'), (400,)),
    ("an unknown escape", with_text(b'"subject":"\\x41"'), (400,)),
    ("NaN", with_text(b'"data":{"x":NaN}'), (400,)),
    ("Infinity", with_text(b'"data":{"x":-Infinity}'), (400,)),
    ("a number that ends in a point", with_text(b'"data":{"x":1.}'), (400,)),
    ("a number that starts with a point", with_text(b'"data":{"x":.5}'), (400,)),
    ("a number with a leading zero", with_text(b'"data":{"x":01}'), (400,)),
    ("a number with a plus", with_text(b'"data":{"x":+1}'), (400,)),
    ("an exponent without digits", with_text(b'"data":{"x":1e}'), (400,)),
    ("True", with_text(b'"data":{"x":True}'), (400,)),
    ("depth 65", deep(65), (400,)),
    ("depth 66 of objects", with_text(b'"data":' + b'{"a":' * 65 + b"1" + b"}" * 65), (400,)),
    ("a megabyte of brackets", b"[" * 1_000_000, (400, 413)),
    ("mismatched brackets", with_text(b'"data":[}'), (400,)),
    # JSON, but no event.
    ("an array", b"[]", (400,)),
    ("an array of one event", b"[" + GOOD + b"]", (400,)),
    ("a string", b'"event"', (400,)),
    ("null", b"null", (400,)),
    ("an empty object", b"{}", (400,), "specversion"),
    ("no specversion", without("specversion"), (400,), "specversion"),
    ("no id", without("id"), (400,), "id"),
    ("no source", without("source"), (400,), "source"),
    ("no type", without("type"), (400,), "type"),
    ("specversion 0.3", bytes_of(specversion="0.3"), (400,), "specversion"),
    ("specversion 1", bytes_of(specversion="1"), (400,), "specversion"),
    ("a specversion that is a number", bytes_of(specversion=1.0), (400,), "specversion"),
    ("an id that is a number", GOOD.replace(b'"refused"', b"17"), (400,), "id"),
    ("an id that is null", GOOD.replace(b'"refused"', b"null"), (400,), "id"),
    ("an empty id", GOOD.replace(b'"refused"', b'""'), (400,), "id"),
    ("a source that is an object", bytes_of(source={}), (400,), "source"),
    ("an empty source", bytes_of(source=""), (400,), "source"),
    ("a type that is an array", bytes_of(type=["x"]), (400,), "type"),
    ("an empty type", bytes_of(type=""), (400,), "type"),
    ("a type that is true", bytes_of(type=True), (400,), "type"),
    ("a subject that is a number", bytes_of(subject=5), (400,), "subject"),
    ("an empty subject", bytes_of(subject=""), (400,), "subject"),
    ("a datacontenttype that is a number", bytes_of(datacontenttype=5), (400,), "datacontenttype"),
    ("an extension that is an object", bytes_of(colour={"r": 1}), (400,), "colour"),
    ("an extension that is an array", bytes_of(colour=[1]), (400,), "colour"),
    ("an extension with a capital letter", bytes_of(Colour="red"), (400,), "colour"),
    ("an extension with an underscore", bytes_of(my_colour="red"), (400,), "my_colour"),
    ("data and data_base64 at once", bytes_of(data=1, data_base64="AA=="), (400,), "data_base64"),
    ("data_base64 that is none", bytes_of(data_base64="*"), (400,), "data_base64"),
    ("data_base64 that is a number", bytes_of(data_base64=5), (400,), "data_base64"),
    # A member given twice in the envelope.
    ("an id given twice", with_text(b'"id":"refused"'), (400,), "id"),
    ("a type given twice", with_text(b'"type":"other"'), (400,), "type"),
    ("an extension given twice", with_text(b'"colour":"red","colour":"red"'), (400,), "colour"),
    ("data given twice", with_text(b'"data":1,"data":2'), (400,), "data"),
    ("a member given twice, once by an escape", with_text(b'"\\u0069d":"other"'), (400,), "id"),
    # Times.
    ("a time that is a number", bytes_of(time=1357020000), (400,), "time"),
    ("a time that is empty", bytes_of(time=""), (400,), "time"),
    ("a time that is a word", bytes_of(time="yesterday"), (400,), "time"),
    ("a time without an offset", bytes_of(time="2013-01-01T06:00:00"), (400,), "time"),
    ("a date alone", bytes_of(time="2013-01-01"), (400,), "time"),
    ("the 30th of February", bytes_of(time="2013-02-30T00:00:00Z"), (400,), "time"),
    ("the 29th of February 1900", bytes_of(time="1900-02-29T00:00:00Z"), (400,), "time"),
    ("month 13", bytes_of(time="2013-13-01T00:00:00Z"), (400,), "time"),
    ("month 0", bytes_of(time="2013-00-01T00:00:00Z"), (400,), "time"),
    ("day 0", bytes_of(time="2013-01-00T00:00:00Z"), (400,), "time"),
    ("hour 24", bytes_of(time="2013-01-01T24:00:00Z"), (400,), "time"),
    ("minute 60", bytes_of(time="2013-01-01T06:60:00Z"), (400,), "time"),
    ("second 61", bytes_of(time="2013-01-01T06:00:61Z"), (400,), "time"),
    ("a comma before the fraction", bytes_of(time="2013-01-01T06:00:00,5Z"), (400,), "time"),
    ("a fraction without digits", bytes_of(time="2013-01-01T06:00:00.Z"), (400,), "time"),
    ("an offset of 24 hours", bytes_of(time="2013-01-01T06:00:00+24:00"), (400,), "time"),
    ("an offset without a colon", bytes_of(time="2013-01-01T06:00:00+0100"), (400,), "time"),
    ("a time with a blank after it", bytes_of(time="2013-01-01T06:00:00Z "), (400,), "time"),
    ("one-digit month", bytes_of(time="2013-1-01T06:00:00Z"), (400,), "time"),
    ("year 0000", bytes_of(time="0000-01-01T00:00:00Z"), (400,), "time"),
    ("year 10000", bytes_of(time="10000-01-01T00:00:00Z"), (400,), "time"),
    ("a negative year", bytes_of(time="-2013-01-01T00:00:00Z"), (400,), "time"),
    ("year 9999 is in the future", bytes_of(time="9999-12-31T23:59:59.999999Z"), (422,), "future"),
    ("ten minutes ahead is in the future", bytes_of(time=text_time(600)), (422,), "future"),
    # Sizes.
    ("an event of 1 MiB and a byte", bytes_of(data="x" * (1 << 20)), (413, 422)),
    ("an event of 9 MiB", bytes_of(data="x" * (9 << 20)), (413,)),
]


@cases.table("check_event", EVENTS)
class AnEventIsRefused(Untouched):
    def check_event(self, body, statuses, says=()):
        reply = self.server.request("POST", "/v1/events", body, content_type=ONE)
        self.check_problem(reply, *statuses, says=says)

    def test_the_future_has_a_name(self):
        for form, body in ((ONE, bytes_of(time="9999-01-01T00:00:00Z")),
                           (BATCH, b"[" + bytes_of(time=text_time(600)) + b"]"),
                           (LINES, bytes_of(time=text_time(3600)) + b"\n")):
            reply = self.server.request("POST", "/v1/events", body, content_type=form)
            self.check_problem(reply, 422)
            self.assertIn("urn:tidemark:problem:time-in-future", reply.body.decode())


BATCHES = [
    ("a batch that is no array", GOOD, (400,)),
    ("a batch cut short after a good event", b"[" + GOOD, (400,)),
    ("a batch cut short inside an event", b"[" + GOOD + b"," + GOOD[:50], (400,)),
    ("a batch with a missing comma", b"[" + GOOD + GOOD + b"]", (400,)),
    ("a batch with junk after it", b"[" + GOOD + b"]]", (400,)),
    ("a batch with a trailing comma", b"[" + GOOD + b",]", (400,)),
    ("a batch with bad UTF-8 in its last event", b"[" + GOOD + b"," + with_text(b'"subject":"\xff"') + b"]", (400,)),
    ("a batch with NaN in its last event", b"[" + GOOD + b"," + with_text(b'"data":NaN') + b"]", (400,)),
    ("a batch of bad events only", b"[{},1,null]", (400,)),
    ("a batch of more than 8 MiB", b"[" + b",".join([GOOD] * (9 * (1 << 20) // len(GOOD))) + b"]", (413,)),
    ("a batch of 16 MiB of white space", b"[" + b" " * (16 << 20) + b"]", (413,)),
    ("a batch of 2000 open brackets", b"[" * 2000, (400,)),
    ("an empty body as a batch", b"", (400,)),
]


@cases.table("check_batch", BATCHES)
class ABatchIsRefusedWhole(Untouched):
    def check_batch(self, body, statuses):
        reply = self.server.request("POST", "/v1/events", body, content_type=BATCH)
        self.check_problem(reply, *statuses)

    def test_no_cut_of_a_batch_is_taken(self):
        whole = b"[" + GOOD + b"," + bytes_of(subject="\u20ac") + b"]"
        for n in range(1, len(whole), 7):
            reply = self.server.request("POST", "/v1/events", whole[:n], content_type=BATCH)
            self.check_problem(reply, 400)

    def test_a_chunked_batch_over_the_limit(self):
        piece = b" " * 65536
        head = (f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{self.server.port}\r\n"
                f"Content-Type: {BATCH}\r\nTransfer-Encoding: chunked\r\n\r\n").encode()
        answer = self.server.raw(head + b"1\r\n[\r\n" + (b"10000\r\n" + piece + b"\r\n") * 130,
                                 until=lambda b: b"\r\n\r\n" in b)
        self.assertIn(b" 413 ", answer[:16])

    def test_lines_of_which_none_is_good(self):
        reply = self.server.request("POST", "/v1/events", b"{}\nnonsense\n" + GOOD[:30] + b"\n",
                                    content_type=LINES)
        self.check_problem(reply, 400)

    def test_binary_mode_without_a_required_header(self):
        headers = {"ce-specversion": "1.0", "ce-id": "refused", "ce-source": "/x", "ce-type": "t"}
        for missing in headers:
            some = {k: v for k, v in headers.items() if k != missing}
            reply = self.server.request("POST", "/v1/events", b"{}", headers=some,
                                        content_type="application/json")
            # Without ce-specversion it isn't binary mode at all, just a content type that isn't taken.
            self.check_problem(reply, *((400, 415) if missing == "ce-specversion" else (400,)))
            if missing != "ce-specversion":
                self.assertIn(missing.removeprefix("ce-"), reply.body.decode())

    def test_binary_mode_with_bad_json_as_its_data(self):
        reply = self.server.request("POST", "/v1/events", b'{"a":', content_type="application/json",
                                    headers={"ce-specversion": "1.0", "ce-id": "refused",
                                             "ce-source": "/x", "ce-type": "t"})
        self.check_problem(reply, 400)

    def test_a_header_of_binary_mode_given_twice(self):
        answer = self.server.raw(
            (f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{self.server.port}\r\n"
             "ce-specversion: 1.0\r\nce-id: refused\r\nce-id: refused\r\nce-source: /x\r\nce-type: t\r\n"
             "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").encode())
        self.check_problem(parse_responses(answer)[0], 400)

    def test_compression_that_is_broken_or_a_bomb(self):
        import gzip
        whole = gzip.compress(b"[" + GOOD + b"]")
        for body in (whole[:-9], whole[:20], b"not gzip", whole[:30] + b"\0" * 20 + whole[50:]):
            reply = self.server.request("POST", "/v1/events", body, content_type=BATCH,
                                        headers={"Content-Encoding": "gzip"})
            self.check_problem(reply, 400)
        reply = self.server.request("POST", "/v1/events", gzip.compress(b"[" + b" " * (64 << 20) + b"]"),
                                    content_type=BATCH, headers={"Content-Encoding": "gzip"})
        self.check_problem(reply, 413)
        reply = self.server.request("POST", "/v1/events", b"[" + GOOD + b"]", content_type=BATCH,
                                    headers={"Content-Encoding": "br"})
        self.check_problem(reply, 415)


TUMBLE = "FROM TUMBLE(events, time, INTERVAL '1 hour')"
# Label, text, line, a piece of text of the offending column, words of the answer.
SQL = [
    ("a misspelt first word", "CRAETE METRIC x AS SELECT count(*) AS n " + TUMBLE, 1, "CRAETE", "create"),
    ("a misspelt SELECT", "CREATE METRIC x AS SELCT count(*) AS n " + TUMBLE, 1, "SELCT", "select"),
    ("an unknown function", f"CREATE METRIC x AS\nSELECT cuont(*) AS n\n{TUMBLE}", 2, "cuont", "count"),
    ("an unknown column", f"CREATE METRIC x AS\nSELECT count(*) AS n\n{TUMBLE}\nWHERE typ = 'a'", 4, "typ", "type"),
    ("an unknown window", "CREATE METRIC x AS SELECT count(*) AS n\nFROM TUMBEL(events, time, INTERVAL '1 hour')",
     2, "TUMBEL", "tumble"),
    ("an unknown unit", "CREATE METRIC x AS SELECT count(*) AS n\nFROM TUMBLE(events, time, INTERVAL '1 huor')",
     2, None, "hour"),
    ("a string without an end", f"CREATE METRIC x AS SELECT count(*) AS n {TUMBLE}\nWHERE type = 'a", 2, "'a", ()),
    ("a bracket without an end", f"CREATE METRIC x AS\nSELECT count(* AS n {TUMBLE}", 2, None, ")"),
    ("an unknown option", f"CREATE METRIC x WITH (retian = '30 days') AS SELECT count(*) AS n {TUMBLE}", 1,
     "retian", "retain"),
    ("a reserved column name", f"CREATE METRIC x AS SELECT count(*) AS min_as_of {TUMBLE}", 1, "min_as_of", ()),
    ("a column name twice", f"CREATE METRIC x AS SELECT count(*) AS n,\n sum(data.x) AS n {TUMBLE}", 2, None, "n"),
    ("a column that is not grouped by", f"CREATE METRIC x AS SELECT subject AS s,\n count(*) AS n {TUMBLE}", 1,
     "subject", "group"),
    ("an aggregate in WHERE", f"CREATE METRIC x AS SELECT count(*) AS n {TUMBLE}\nWHERE count(*) > 1", 2, "count", ()),
    ("an aggregate in an aggregate", f"CREATE METRIC x AS SELECT sum(count(*)) AS n {TUMBLE}", 1, None, ()),
    ("a window of no time", "CREATE METRIC x AS SELECT count(*) AS n\nFROM TUMBLE(events, time, INTERVAL '0 hours')",
     2, None, ()),
    ("a window of negative time",
     "CREATE METRIC x AS SELECT count(*) AS n\nFROM TUMBLE(events, time, INTERVAL '-1 hour')", 2, None, ()),
    ("another table", "CREATE METRIC x AS SELECT count(*) AS n\nFROM TUMBLE(users, time, INTERVAL '1 hour')", 2,
     "users", "events"),
    ("no window at all", "CREATE METRIC x AS SELECT count(*) AS n\nFROM events", 2, None, "tumble"),
    ("two few arguments", f"CREATE METRIC x AS SELECT geo_distance(1, 2) AS n, count(*) AS c {TUMBLE}", 1, None, ()),
    ("text and number compared", f"CREATE METRIC x AS SELECT count(*) AS n {TUMBLE}\nWHERE type > 5 + 'a'", 2, None, ()),
    ("something after the end", f"CREATE METRIC x AS SELECT count(*) AS n {TUMBLE};\nSELECT", 2, None, ()),
    ("a NUL", f"CREATE METRIC x AS SELECT count(*) AS n {TUMBLE} \0", 1, None, ()),
]


@cases.table("check_sql", SQL)
class SqlIsRefused(Untouched):
    def check_sql(self, text, line, at, says):
        for body, form in ((text, "text/plain"), ({"sql": text}, None)):
            reply = self.server.request("POST", "/v1/sql", body, content_type=form)
            problem = self.check_problem(reply, 400, 422, says=says)
            self.assertEqual(line, problem.get("line"), problem)
            self.assertIsInstance(problem.get("column"), int, problem)
            if at:
                column = text.split("\n")[line - 1].index(at) + 1
                self.assertEqual(column, problem["column"], problem)

    def test_a_dry_run_says_the_same_and_a_good_one_changes_nothing(self):
        reply = self.server.request("POST", "/v1/sql?dry_run=true", f"CREATE METRIC x AS SELECT cuont(*) AS n {TUMBLE}",
                                    content_type="text/plain")
        self.check_problem(reply, 400, 422, says="count")
        reply = self.server.request("POST", "/v1/sql?dry_run=true", f"CREATE METRIC x AS SELECT count(*) AS n {TUMBLE}",
                                    content_type="text/plain")
        self.assertEqual(200, reply.status, reply)

    def test_statements_before_a_bad_one_are_not_carried_out(self):
        text = f"CREATE METRIC before_bad AS SELECT count(*) AS n {TUMBLE};\nCREATE METRIC bad AS SELECT cuont(*) AS n {TUMBLE}"
        reply = self.server.request("POST", "/v1/sql", text, content_type="text/plain")
        problem = self.check_problem(reply, 400, 422, says="count")
        self.assertEqual(2, problem.get("line"), problem)

    def test_a_refused_put_of_a_metric(self):
        reply = self.server.request("PUT", "/v1/metrics/x", {"sql": f"SELECT cuont(*) AS n {TUMBLE}"})
        problem = self.check_problem(reply, 400, 422, says="count")
        self.assertEqual((1, 8), (problem.get("line"), problem.get("column")), problem)

    def test_a_metric_that_does_not_exist_cannot_be_dropped(self):
        reply = self.server.request("POST", "/v1/sql", "DROP METRIC nowhere", content_type="text/plain")
        self.check_problem(reply, 404, 422, says="nowhere")

    def test_another_definition_under_the_same_name(self):
        reply = self.server.request("POST", "/v1/sql", f"CREATE METRIC canary AS SELECT count(*) AS n {TUMBLE}",
                                    content_type="text/plain")
        self.check_problem(reply, 409, 422, says="canary")

    def test_sql_that_is_not_text(self):
        for body, form, status in ((b"\xff\xfe", "text/plain", 400), (b"", "text/plain", 400),
                                   (b'{"sql":5}', "application/json", 422), (b"{}", "application/json", 422),
                                   (b'{"sql":"SHOW METRICS"', "application/json", 400),
                                   (b'{"sql":"SHOW METRICS","sql":"SHOW METRICS"}', "application/json", 400),
                                   (b'{"sql":"SHOW METRICS","x":1}', "application/json", 422)):
            reply = self.server.request("POST", "/v1/sql", body, content_type=form)
            self.check_problem(reply, status, *((422,) if body == b"" else ()))

    def test_text_nested_too_deep_or_too_long(self):
        for text in (f"CREATE METRIC x AS SELECT count(*) AS n {TUMBLE} WHERE " + "(" * 100_000 + "1=1" + ")" * 100_000,
                     f"CREATE METRIC x AS SELECT count(*) AS n {TUMBLE} WHERE " + "NOT " * 100_000 + "1=1",
                     f"CREATE METRIC x AS SELECT count(*) AS n {TUMBLE} WHERE type = '" + "a" * 2_000_000 + "'",
                     f"CREATE METRIC {'x' * 10_000} AS SELECT count(*) AS n {TUMBLE}"):
            reply = self.server.request("POST", "/v1/sql", text, content_type="text/plain")
            self.check_problem(reply, 400, 413, 422)


REQUESTS = [
    # Label, method, path, body, content type, statuses, words.
    ("an unknown route", "GET", "/v1/nowhere", None, None, (404,)),
    ("the root of the API", "GET", "/v1", None, None, (404,)),
    ("an unknown metric", "GET", "/v1/metrics/nowhere", None, None, (404,)),
    ("values of an unknown metric", "GET", "/v1/metrics/nowhere/values", None, None, (404,)),
    ("an unknown source", "DELETE", "/v1/sources/nowhere", None, None, (404,)),
    ("the watermark of an unknown source", "POST", "/v1/sources/nowhere/watermark",
     {"time": "2020-01-01T00:00:00Z"}, None, (404, 422)),
    ("a path that climbs", "GET", "/v1/../etc/passwd", None, None, (400, 404)),
    ("a path that climbs, escaped", "GET", "/v1/metrics/%2e%2e%2f%2e%2e/values", None, None, (400, 404)),
    ("a NUL in a path", "GET", "/v1/metrics/a%00b", None, None, (400, 404)),
    ("a broken escape in a path", "GET", "/v1/metrics/%zz", None, None, (400, 404)),
    ("bad UTF-8 in a path", "GET", "/v1/metrics/%ff", None, None, (400, 404)),
    ("events as HTML", "POST", "/v1/events", GOOD, "text/html", (415,)),
    ("events without a content type", "POST", "/v1/events", GOOD, None, (415,)),
    ("SQL as XML", "POST", "/v1/sql", b"<a/>", "application/xml", (415,)),
    ("a source as a form", "PUT", "/v1/sources/x", b"disorder=PT5S", "application/x-www-form-urlencoded", (415,)),
    ("a metric as XML", "PUT", "/v1/metrics/x", b"<a/>", "application/xml", (415,)),
    # Unknown members, wrong kinds.
    ("an unknown member of a source", "PUT", "/v1/sources/x", {"disorders": "PT5S"}, None, (422,), "disorders"),
    ("an unknown member of a metric", "PUT", "/v1/metrics/x",
     {"sql": f"SELECT count(*) AS n {TUMBLE}", "retain": "1"}, None, (422,), "retain"),
    ("an unknown member of a watermark", "POST", "/v1/sources/%2Fdeclared/watermark",
     {"time": "2020-01-01T00:00:00Z", "x": 1}, None, (422,), "x"),
    ("a member twice", "PUT", "/v1/sources/x", b'{"disorder":"PT5S","disorder":"PT5S"}', "application/json",
     (400,), "disorder"),
    ("a source that is an array", "PUT", "/v1/sources/x", [], None, (422,)),
    ("a source that is null", "PUT", "/v1/sources/x", b"null", "application/json", (422,)),
    ("a watermark that is a number", "POST", "/v1/sources/%2Fdeclared/watermark", b"5", "application/json", (422,)),
    ("a statement that is an array", "POST", "/v1/sql", b"[]", "application/json", (422,)),
    ("a statement that is a text of JSON", "POST", "/v1/sql", b'"SHOW METRICS"', "application/json", (422,)),
    ("a metric that is true", "PUT", "/v1/metrics/x", b"true", "application/json", (422,)),
    ("a rule that is an array", "PUT", "/v1/rules/x", b"[]", "application/json", (422,)),
    ("a broken array", "PUT", "/v1/sources/x", b"[}", "application/json", (400,)),
    ("an array and more", "PUT", "/v1/sources/x", b"[] []", "application/json", (400,)),
    ("an unknown member, then cut short", "PUT", "/v1/sources/x", b'{"x":1,', "application/json", (400,)),
    ("a source cut short", "PUT", "/v1/sources/x", b'{"disorder":', "application/json", (400,)),
    ("an unknown kind of watermark", "PUT", "/v1/sources/x", {"watermark": "magic"}, None, (422,), "watermark"),
    ("a duration in plain words", "PUT", "/v1/sources/x", {"disorder": "5s"}, None, (422,), "disorder"),
    ("a duration of nothing", "PUT", "/v1/sources/x", {"disorder": "PT"}, None, (422,), "disorder"),
    ("a P alone", "PUT", "/v1/sources/x", {"idle_after": "P"}, None, (422,), "idle_after"),
    ("an empty duration", "PUT", "/v1/sources/x", {"disorder": ""}, None, (422,), "disorder"),
    ("a negative duration", "PUT", "/v1/sources/x", {"disorder": "-PT5S"}, None, (422,), "disorder"),
    ("a duration that is a number", "PUT", "/v1/sources/x", {"disorder": 5}, None, (422,), "disorder"),
    ("a duration that is null", "PUT", "/v1/sources/x", {"disorder": None}, None, (422,), "disorder"),
    ("a duration that overflows", "PUT", "/v1/sources/x", {"disorder": "PT99999999999999999999S"}, None, (422,), "disorder"),
    ("a duration with its parts the wrong way round", "PUT", "/v1/sources/x", {"disorder": "PT5S1M"}, None,
     (422,), "disorder"),
    ("a duration with something after it", "PUT", "/v1/sources/x", {"disorder": "PT5S "}, None, (422,), "disorder"),
    ("an empty watermark", "POST", "/v1/sources/%2Fdeclared/watermark", {}, None, (422,)),
    ("a watermark that is no time", "POST", "/v1/sources/%2Fdeclared/watermark", {"time": "soon"}, None, (422,), "time"),
    ("final that is a word", "POST", "/v1/sources/%2Fdeclared/watermark", {"final": "yes"}, None, (422,), "final"),
    ("a watermark in the far future", "POST", "/v1/sources/%2Fdeclared/watermark",
     {"time": "9999-01-01T00:00:00Z"}, None, (422,)),
    # Query parameters.
    ("an unknown parameter of events", "GET", "/v1/events?colour=red", None, None, (422,), "colour"),
    ("an unknown parameter of sending", "POST", "/v1/events?colour=red", GOOD, ONE, (422,), "colour"),
    ("an unknown way to acknowledge", "POST", "/v1/events?ack=soon", GOOD, ONE, (422,), "ack"),
    ("an unknown parameter of metrics", "GET", "/v1/metrics?colour=red", None, None, (422,), "colour"),
    ("an unknown parameter of sources", "GET", "/v1/sources?colour=red", None, None, (422,), "colour"),
    ("an unknown parameter of the watermark", "GET", "/v1/watermark?colour=red", None, None, (422,), "colour"),
    ("an unknown column of values", "GET", "/v1/metrics/canary/values?colour=red", None, None, (422,), "colour"),
    ("an unknown column to order by", "GET", "/v1/metrics/canary/values?order_by=colour", None, None, (422,), "colour"),
    ("an unknown window of values", "GET", "/v1/metrics/canary/values?window=first", None, None, (422,), "window"),
    ("final that is maybe", "GET", "/v1/metrics/canary/values?final=maybe", None, None, (422,), "final"),
    ("a time that is none", "GET", "/v1/metrics/canary/values?from=yesterday", None, None, (422,), "from"),
    ("events from a time that is none", "GET", "/v1/events?from=yesterday", None, None, (422,), "from"),
    ("events up to a time that is none", "GET", "/v1/events?to=2013-02-30T00:00:00Z", None, None, (422,), "to"),
    ("a limit of 0", "GET", "/v1/metrics/canary/values?limit=0", None, None, (422,), "limit"),
    ("a limit of 1001", "GET", "/v1/events?limit=1001", None, None, (422,), "limit"),
    ("a negative limit", "GET", "/v1/metrics?limit=-1", None, None, (422,), "limit"),
    ("a limit that is a word", "GET", "/v1/sources?limit=all", None, None, (422,), "limit"),
    ("a limit that overflows", "GET", "/v1/events?limit=99999999999999999999", None, None, (422,), "limit"),
    ("a limit twice", "GET", "/v1/events?limit=1&limit=2", None, None, (400, 422), "limit"),
    ("a cursor that is none of ours", "GET", "/v1/events?cursor=abc", None, None, (400, 422), "cursor"),
    ("a cursor of values that is none", "GET", "/v1/metrics/canary/values?cursor=%00%ff", None, None, (400, 422)),
    ("a cursor of late events that is none", "GET", "/v1/late?cursor=abc", None, None, (400, 422), "cursor"),
    ("a token that is none of ours", "GET", "/v1/metrics/canary/values?min_as_of=abc", None, None, (400, 422), "min_as_of"),
    ("the fate of nothing", "GET", "/v1/events/fate", None, None, (400, 422), "source"),
    ("the fate of an event without an id", "GET", "/v1/events/fate?source=/x", None, None, (400, 422), "id"),
]


@cases.table("check_request", REQUESTS)
class ARequestIsRefused(Untouched):
    def check_request(self, method, path, body, content_type, statuses, says=()):
        reply = self.server.request(method, path, body, content_type=content_type)
        self.check_problem(reply, *statuses, says=says)

    def test_wrong_methods_name_the_right_ones(self):
        for method, path, allowed in (("DELETE", "/v1/events", ("GET", "POST")), ("PUT", "/v1/sql", ("POST",)),
                                      ("GET", "/v1/sql", ("POST",)), ("POST", "/v1/watermark", ("GET",)),
                                      ("PATCH", "/v1/metrics/canary", ("GET", "PUT")), ("POST", "/readyz", ("GET",)),
                                      ("DELETE", "/v1/metrics/canary/values", ("GET",)),
                                      ("GET", "/v1/sources/%2Fdeclared/watermark", ("POST",)),
                                      ("TRACE", "/v1/events", ("GET",))):
            reply = self.server.request(method, path, b"" if method in ("POST", "PUT", "PATCH") else None)
            self.check_problem(reply, 405)
            for name in allowed:
                self.assertIn(name, [n.strip() for n in reply.headers.get("allow", "").split(",")],
                              (method, path, reply.headers))

    def test_a_cursor_of_another_list(self):
        self.server.send([event(id="canary", source="/canary")], acknowledge="applied")
        cursor = self.server.get("/v1/events", limit=1)["next_cursor"]
        if cursor is not None:
            reply = self.server.request("GET", f"/v1/metrics/canary/values?cursor={quoted(cursor)}")
            self.check_problem(reply, 400, 422, says="cursor")
        self.before["events"] = self.held()["events"]  # the repetition may be kept, it isn't counted

    def test_cursors_of_ours_with_a_letter_changed(self):
        rows = self.server.get("/v1/events", limit=1)
        cursor = rows["next_cursor"]
        if cursor is None:
            return
        for at in range(0, len(cursor)):
            changed = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1:]
            reply = self.server.request("GET", f"/v1/events?limit=1&cursor={quoted(changed)}")
            if reply.status != 200:  # may be another cursor of ours
                self.check_problem(reply, 400, 422, says="cursor")

    def test_a_watermark_does_not_go_back(self):
        name = self.name("/back")
        self.server.put_source(name, watermark="explicit")
        self.assertEqual(200, self.server.watermark(name, time="2020-01-02T00:00:00Z").status)
        self.check_problem(self.server.watermark(name, time="2020-01-01T23:59:59.999999Z"), 409)
        self.assertEqual(200, self.server.watermark(name, time="2020-01-02T00:00:00Z").status)
        lane = [lane for lane in self.server.get("/v1/watermark")["lanes"] if lane.get("source") == name]
        self.assertEqual(["2020-01-02T00:00:00Z"], [item["watermark"] for item in lane])
        self.assertIn(self.server.request("DELETE", "/v1/sources/" + quoted(name)).status, (200, 204))

    def test_if_match_guards_sources_and_metrics(self):
        source = "/v1/sources/%2Fdeclared"
        metric = "/v1/metrics/canary"
        tag = self.server.request("GET", metric).headers.get("etag")
        self.assertTrue(tag)
        for method, path, body in (("PUT", source, DECLARED), ("DELETE", source, None),
                                   ("PUT", metric, {"sql": f"SELECT count(*) AS other {TUMBLE}"})):
            for match in ('"nonsense"', '"98", "99"', "W/" + tag, f'{tag}, nonsense', f'{tag}, *'):
                reply = self.server.request(method, path, body, headers={"If-Match": match})
                self.check_problem(reply, 412)
        for path, body in ((source + "nobody", DECLARED), (metric + "_nobody", {"sql": f"SELECT count(*) AS n {TUMBLE}"})):
            self.check_problem(self.server.request("PUT", path, body, headers={"If-Match": "*"}), 412)
        for match in ('"99"', "W/" + self.server.request("GET", source).headers["etag"]):
            reply = self.server.request("POST", source + "/watermark", {"time": "2020-01-01T00:00:00Z"},
                                        headers={"If-Match": match})
            self.check_problem(reply, 412)


def request_bytes(port, line="GET /v1/sources HTTP/1.1", headers=(), body=b"", host=None):
    lines = [line] + ([f"Host: {host or f'127.0.0.1:{port}'}"] if host != "" else []) + list(headers)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


POST = "POST /v1/events HTTP/1.1"
CT = f"Content-Type: {ONE}"
LENGTH = f"Content-Length: {len(GOOD)}"
CHUNKED = "Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)

RAW = [
    # Label, line, headers, body, host, statuses. The connection must be closed after each.
    ("a foreign host", "GET /v1/sources HTTP/1.1", (), b"", "evil.example", (400, 403)),
    ("a foreign host that starts like ours", "GET /v1/sources HTTP/1.1", (), b"", "localhost.evil.example", (400, 403)),
    ("no host", "GET /v1/sources HTTP/1.1", (), b"", "", (400,)),
    ("an empty host", "GET /v1/sources HTTP/1.1", ("Host: ",), b"", "", (400, 403)),
    ("two hosts", "GET /v1/sources HTTP/1.1", ("Host: 127.0.0.1",), b"", None, (400,)),
    ("a host with a blank", "GET /v1/sources HTTP/1.1", (), b"", "127.0.0.1 x", (400, 403)),
    ("a foreign origin", "GET /v1/sources HTTP/1.1", ("Origin: http://evil.example",), b"", None, (403,)),
    ("the origin null", POST, (CT, LENGTH, "Origin: null"), GOOD, None, (403,)),
    ("a foreign origin that posts", POST, (CT, LENGTH, "Origin: https://evil.example"), GOOD, None, (403,)),
    ("a blank before the colon", "GET /v1/sources HTTP/1.1", ("X-A : b",), b"", None, (400,)),
    ("a folded header", "GET /v1/sources HTTP/1.1", ("X-A: b\r\n c",), b"", None, (400,)),
    ("a header without a colon", "GET /v1/sources HTTP/1.1", ("nonsense",), b"", None, (400,)),
    ("a NUL in a header", "GET /v1/sources HTTP/1.1", ("X-A: b\0c",), b"", None, (400,)),
    ("a bare CR in a header", "GET /v1/sources HTTP/1.1", ("X-A: b\rc",), b"", None, (400,)),
    ("an unknown version", "GET /v1/sources HTTP/1.2.3", (), b"", None, (400, 505)),
    ("HTTP/3.0 in text", "GET /v1/sources HTTP/3.0", (), b"", None, (400, 505)),
    ("no version", "GET /v1/sources", (), b"", None, (400, 505)),
    ("two blanks in the request line", "GET  /v1/sources HTTP/1.1", (), b"", None, (400,)),
    ("a method of lower case", "get /v1/sources HTTP/1.1", (), b"", None, (400, 405, 501)),
    ("length and chunks at once", POST, (CT, LENGTH, CHUNKED), CHUNKS, None, (400,)),
    ("two different lengths", POST, (CT, LENGTH, "Content-Length: 5"), GOOD, None, (400,)),
    ("a list of lengths", POST, (CT, "Content-Length: 5, 5"), b"12345", None, (400,)),
    ("a length with a plus", POST, (CT, f"Content-Length: +{len(GOOD)}"), GOOD, None, (400,)),
    ("a hexadecimal length", POST, (CT, f"Content-Length: 0x{len(GOOD):x}"), GOOD, None, (400,)),
    ("a negative length", POST, (CT, "Content-Length: -1"), GOOD, None, (400,)),
    ("a length of 20 digits", POST, (CT, "Content-Length: 99999999999999999999"), GOOD, None, (400, 413)),
    ("a length beyond the limit", POST, (CT, "Content-Length: 9999999999"), b"", None, (413,)),
    ("an unknown transfer coding", POST, (CT, "Transfer-Encoding: xchunked"), CHUNKS, None, (400, 501)),
    ("chunked and identity", POST, (CT, "Transfer-Encoding: chunked, identity"), CHUNKS, None, (400, 501)),
    ("chunked twice", POST, (CT, CHUNKED, CHUNKED), CHUNKS, None, (400, 501)),
    ("a chunk size that overflows", POST, (CT, CHUNKED), b"fffffffffffffffff\r\n", None, (400, 413)),
    ("a negative chunk size", POST, (CT, CHUNKED), b"-1\r\nx\r\n", None, (400,)),
    ("a chunk size with 0x", POST, (CT, CHUNKED), b"0x5\r\n12345\r\n0\r\n\r\n", None, (400,)),
    ("a chunk longer than its size", POST, (CT, CHUNKED), b"5\r\n123456\r\n0\r\n\r\n", None, (400,)),
    ("a chunk line that ends in a bare LF", POST, (CT, CHUNKED), CHUNKS.replace(b"\r\n", b"\n", 1), None, (400,)),
    ("a chunk extension of 2 KiB", POST, (CT, CHUNKED), b"5;" + b"a" * 2048 + b"\r\n12345\r\n0\r\n\r\n", None, (400, 431)),
    ("HTTP/2 on a plain port", "PRI * HTTP/2.0", (), b"SM\r\n\r\n", "", (400, 505)),
    ("a head of 64 KiB", "GET /v1/sources HTTP/1.1", tuple(f"X-{i}: {'a' * 1000}" for i in range(64)), b"", None, (431,)),
    ("200 headers", "GET /v1/sources HTTP/1.1", tuple(f"X-{i}: a" for i in range(200)), b"", None, (431,)),
    ("a path of 20 kB", "GET /v1/" + "a" * 20_000 + " HTTP/1.1", (), b"", None, (414, 431)),
]


@cases.table("check_raw", RAW)
class BytesAreRefused(Untouched):
    def check_raw(self, line, headers, body, host, statuses):
        good = request_bytes(self.server.port, "GET /healthz HTTP/1.1", ("Connection: close",))
        answer = self.server.raw(request_bytes(self.server.port, line, headers, body, host) + good, seconds=3)
        replies = parse_responses(answer)
        self.assertTrue(replies, "no answer")
        self.check_problem(replies[0], *statuses)
        if replies[0].status == 400:
            # What follows on a connection whose framing is in doubt is never a request.
            self.assertEqual(1, len(replies), f"went on after {line!r}: {replies}")

    def test_our_own_host_and_origin_are_taken(self):
        port = self.server.port
        for host, origin in (("localhost", None), (f"localhost:{port}", None), ("127.0.0.1", None),
                             (f"127.0.0.1:{port}", f"http://127.0.0.1:{port}"),
                             (f"localhost:{port}", f"http://localhost:{port}"), (f"[::1]:{port}", None)):
            headers = ["Connection: close"] + ([f"Origin: {origin}"] if origin else [])
            replies = parse_responses(self.server.raw(request_bytes(port, headers=headers, host=host)))
            self.assertEqual(200, replies[0].status, (host, origin, replies))
            self.assertIsNone(replies[0].headers.get("access-control-allow-origin"))

    def test_nothing_of_a_request_that_breaks_off_is_taken(self):
        whole = request_bytes(self.server.port, POST, (CT, LENGTH), GOOD)
        for n in range(1, len(whole), 11):
            self.server.raw(whole[:n], seconds=1, half_close=True)
        chunked = request_bytes(self.server.port, POST, (CT, CHUNKED), CHUNKS)
        for n in range(len(chunked) - len(CHUNKS), len(chunked) - 1, 11):
            self.server.raw(chunked[:n], seconds=1, half_close=True)


if __name__ == "__main__":
    cases.main()

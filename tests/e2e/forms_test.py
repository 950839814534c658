#!/usr/bin/env python3
"""Every way to send an event: four forms, compressed, in chunks, in a pipeline, broken off."""
import gzip
import json
import shutil
import socket
import subprocess
import time
import unittest

from support import cases
from support.events import event, ndjson, text_time
from support.server import Server, parse_responses

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"


class Forms(cases.Case):
    @classmethod
    def prepare(cls):
        # It never says a word, so the watermark doesn't move and no event is late.
        cls.server.put_source("/hold", watermark="explicit", idle_after="P1D")
        cls.server.sql("CREATE METRIC forms AS SELECT source AS lane, count(*) AS n, sum(data.x) AS total "
                       "FROM TUMBLE(events, time, INTERVAL '1 day') GROUP BY source")

    def setUp(self):
        super().setUp()
        self.source = self.name("/forms")

    def made(self, n, **members):
        return [event(id=f"i{k}", source=self.source, data={"x": k}, **members) for k in range(n)]

    def counted(self):
        return sum(row["n"] for row in self.server.values("forms", lane=self.source))

    def post(self, body, form, parameters="?ack=applied", **headers):
        return self.server.request("POST", "/v1/events" + parameters, body, content_type=form,
                                   headers={k.replace("_", "-"): v for k, v in headers.items()})

    def check_taken(self, reply, accepted, rejected=(), duplicates=0, late=0):
        self.assertEqual(200, reply.status, reply)
        self.assertEqual("application/json", reply.headers["content-type"].split(";")[0])
        answer = reply.json
        self.assertEqual(accepted, answer["accepted"], answer)
        self.assertEqual(list(rejected), [r["index"] for r in answer["rejected"]], answer)
        if "duplicates" in answer or duplicates or late:
            self.assertEqual((duplicates, late), (answer["duplicates"], answer["late"]), answer)
        return answer


class TheFourForms(Forms):
    def test_structured(self):
        self.check_taken(self.post(json.dumps(self.made(1)[0]), ONE), 1)
        self.check_taken(self.post(json.dumps(event(source=self.source)), ONE + "; charset=utf-8"), 1)
        self.check_taken(self.post(json.dumps(event(source=self.source)), ONE.upper() + ';charset="UTF-8"'), 1)
        self.assertEqual(3, self.counted())

    def test_batch(self):
        self.check_taken(self.post(json.dumps(self.made(100)), BATCH), 100)
        self.assertEqual(100, self.counted())

    def test_a_batch_of_nothing(self):
        self.check_taken(self.post("[]", BATCH), 0)

    def test_lines(self):
        self.check_taken(self.post(ndjson(self.made(100)), LINES), 100)
        self.assertEqual(100, self.counted())

    def test_lines_with_crlf_blank_lines_and_no_end(self):
        texts = [json.dumps(e) for e in self.made(5)]
        body = "\n" + "\r\n".join(texts[:3]) + "\r\n\n  \n" + texts[3] + "\n" + texts[4]
        self.check_taken(self.post(body, LINES), 5)
        self.assertEqual(5, self.counted())

    def test_no_lines_at_all(self):
        for body in (b"", b"\n", b"\n\n"):
            reply = self.post(body, LINES)
            self.assertIn(reply.status, (200, 400), reply)

    def test_binary(self):
        reply = self.post(b'{"x":7}', "application/json", ce_specversion="1.0", ce_id="b1", ce_source=self.source,
                          ce_type="test.thing", ce_time="2020-01-01T00:00:00Z", ce_subject="some%20thing%E2%82%AC",
                          ce_colour="red")
        self.check_taken(reply, 1)
        stored = self.server.walk("/v1/events", source=self.source)
        self.assertEqual(1, len(stored))
        self.assertEqual({"specversion": "1.0", "id": "b1", "source": self.source, "type": "test.thing",
                          "subject": "some thing\u20ac", "colour": "red", "datacontenttype": "application/json",
                          "data": {"x": 7}}, {k: v for k, v in stored[0].items() if k not in ("time", "arrival_time")})
        self.assertEqual(7, self.server.values("forms", lane=self.source)[0]["total"])

    def test_binary_without_a_body(self):
        reply = self.post(b"", None, ce_specversion="1.0", ce_id="b2", ce_source=self.source, ce_type="t",
                          ce_time="2020-01-01T00:00:00Z")
        self.check_taken(reply, 1)
        self.assertNotIn("data", self.server.walk("/v1/events", source=self.source)[0])

    def test_binary_with_other_bytes(self):
        blob = bytes(range(256))
        reply = self.post(blob, "application/octet-stream", ce_specversion="1.0", ce_id="b3",
                          ce_source=self.source, ce_type="t", ce_time="2020-01-01T00:00:00Z")
        self.check_taken(reply, 1)
        import base64
        stored = self.server.walk("/v1/events", source=self.source)[0]
        self.assertEqual(blob, base64.b64decode(stored["data_base64"]))
        self.assertEqual("application/octet-stream", stored["datacontenttype"])

    def test_an_event_without_a_time_happens_on_arrival(self):
        before = text_time()
        self.check_taken(self.post(json.dumps(event(time=None, source=self.source)), ONE), 1)
        after = text_time(0.001)
        rows = self.server.values("forms", lane=self.source)
        self.assertIn(rows[0]["window_start"][:10], (before[:10], after[:10]))


class Compressed(Forms):
    def test_gzip_of_each_form(self):
        made = self.made(30)
        zipped = {"Content-Encoding": "gzip"}
        self.check_taken(self.post(gzip.compress(json.dumps(made[0]).encode()), ONE, **zipped), 1)
        self.check_taken(self.post(gzip.compress(json.dumps(made[1:20]).encode()), BATCH, **zipped), 19)
        self.check_taken(self.post(gzip.compress(ndjson(made[20:])), LINES, Content_Encoding="GZIP"), 10)
        self.assertEqual(30, self.counted())

    def test_gzip_of_several_members(self):
        made = self.made(4)
        body = gzip.compress(ndjson(made[:2])) + gzip.compress(ndjson(made[2:]))
        self.check_taken(self.post(body, LINES, Content_Encoding="gzip"), 4)

    @unittest.skipUnless(shutil.which("zstd"), "there is no zstd command")
    def test_zstd_of_each_form(self):
        def zstd(data):
            return subprocess.run(["zstd", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
        made = self.made(30)
        self.check_taken(self.post(zstd(json.dumps(made[0]).encode()), ONE, Content_Encoding="zstd"), 1)
        self.check_taken(self.post(zstd(json.dumps(made[1:20]).encode()), BATCH, Content_Encoding="zstd"), 19)
        self.check_taken(self.post(zstd(ndjson(made[20:])), LINES, Content_Encoding="zstd"), 10)
        self.assertEqual(30, self.counted())
        reply = self.post(zstd(b"[" + b" " * (64 << 20) + b"]"), BATCH, Content_Encoding="zstd")
        self.check_problem(reply, 413)
        reply = self.post(zstd(json.dumps(made).encode())[:-20], BATCH, Content_Encoding="zstd")
        self.check_problem(reply, 400)

    def test_lines_that_are_gzip_and_break_off_keep_what_was_whole(self):
        # What a stream decoder can give before the break is complete lines; sending all again is safe.
        whole = gzip.compress(ndjson(self.made(1000)), mtime=0)
        self.post(whole[:-100], LINES, Content_Encoding="gzip")
        self.check_taken(self.post(whole, LINES, parameters="", Content_Encoding="gzip"), 1000)
        self.server.send([event(source="/forms/after")], acknowledge="applied")
        self.assertEqual(1000, self.counted())


class OverTheWire(Forms):
    def head(self, form, *headers):
        return ("POST /v1/events?ack=applied HTTP/1.1\r\n" + f"Host: 127.0.0.1:{self.server.port}\r\n"
                + f"Content-Type: {form}\r\n" + "".join(h + "\r\n" for h in headers) + "\r\n").encode()

    def chunked(self, body, size):
        pieces = [body[i:i + size] for i in range(0, len(body), size)]
        return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"

    def test_chunks_of_every_size(self):
        made = self.made(21)
        for n, size in enumerate((1, 2, 3, 7, 64, 1000, 100_000)):
            body = json.dumps(made[3 * n:3 * n + 3]).encode()
            answer = self.server.raw(self.head(BATCH, "Transfer-Encoding: chunked", "Connection: close")
                                     + self.chunked(body, size))
            self.check_taken(parse_responses(answer)[0], 3)
        self.assertEqual(21, self.counted())

    def test_chunked_lines_with_extensions_and_trailers(self):
        body = ndjson(self.made(2))
        answer = self.server.raw(self.head(LINES, "Transfer-Encoding: chunked", "Connection: close")
                                 + b"%x;a=b\r\n%s\r\n0\r\nX-Trailer: yes\r\n\r\n" % (len(body), body))
        self.check_taken(parse_responses(answer)[0], 2)

    def test_a_pipeline_of_requests_is_answered_in_order(self):
        made = self.made(20)
        data = b""
        for k, e in enumerate(made):
            body = json.dumps(e).encode()
            last = ("Connection: close",) if k == 19 else ()
            data += self.head(ONE, f"Content-Length: {len(body)}", *last) + body
            if k == 9:
                data += f"GET /v1/metrics/forms HTTP/1.1\r\nHost: 127.0.0.1:{self.server.port}\r\n\r\n".encode()
        replies = parse_responses(self.server.raw(data))
        self.assertEqual(21, len(replies))
        for k, reply in enumerate(replies):
            self.assertEqual(200, reply.status, reply)
            self.assertEqual(k == 10, "accepted" not in reply.json, (k, reply))
        self.assertEqual(20, self.counted())

    def test_a_request_byte_by_byte(self):
        body = json.dumps(self.made(1)[0]).encode()
        data = self.head(ONE, f"Content-Length: {len(body)}", "Connection: close") + body
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for k in range(len(data)):
                s.sendall(data[k:k + 1])
            answer = b""
            while piece := s.recv(65536):
                answer += piece
        self.check_taken(parse_responses(answer)[0], 1)

    def test_expect_100_continue(self):
        body = json.dumps(self.made(1)[0]).encode()
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as s:
            s.sendall(self.head(ONE, f"Content-Length: {len(body)}", "Expect: 100-continue", "Connection: close"))
            answer = s.recv(65536)
            self.assertTrue(answer.startswith(b"HTTP/1.1 100 "), answer)
            s.sendall(body)
            while piece := s.recv(65536):
                answer += piece
        replies = parse_responses(answer)
        self.assertEqual([100, 200], [r.status for r in replies])

    def test_expect_100_continue_is_refused_before_the_body(self):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as s:
            s.sendall(self.head(BATCH, "Content-Length: 99999999", "Expect: 100-continue"))
            self.assertIn(b" 413 ", s.recv(65536)[:16])

    def test_lines_cut_in_the_middle_count_as_far_as_they_were_whole(self):
        made = self.made(10)
        body = ndjson(made)
        cut = len(ndjson(made[:6])) + 30
        head = self.head(LINES, "Transfer-Encoding: chunked").replace(b"?ack=applied", b"")
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as s:
            s.sendall(head + b"%x\r\n%s\r\n" % (cut, body[:cut]))
            time.sleep(0.2)
        self.eventually(lambda: self.counted() == 6, what="six whole lines counted")
        time.sleep(0.2)
        self.assertEqual(6, self.counted())
        self.check_taken(self.post(body, LINES), 10, duplicates=6)
        self.assertEqual(10, self.counted())

    def test_lines_shorter_than_their_content_length(self):
        made = self.made(10)
        body = ndjson(made)
        cut = len(ndjson(made[:3])) + 1
        head = self.head(LINES, f"Content-Length: {len(body)}").replace(b"?ack=applied", b"")
        self.server.raw(head + body[:cut], seconds=1, half_close=True)
        self.eventually(lambda: self.counted() == 3, what="three whole lines counted")

    def test_a_stream_of_lines_counts_while_it_is_open(self):
        made = self.made(3)
        head = self.head(LINES, "Transfer-Encoding: chunked", "Connection: close").replace(b"?ack=applied", b"")
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as s:
            s.sendall(head)
            for k, e in enumerate(made):
                line = ndjson([e])
                s.sendall(b"%x\r\n%s\r\n" % (len(line), line))
                self.eventually(lambda: self.counted() == k + 1, what="the line sent counts at once")
            s.sendall(b"0\r\n\r\n")
            answer = b""
            while piece := s.recv(65536):
                answer += piece
        self.check_taken(parse_responses(answer)[0], 3)

    def test_a_long_stream_of_lines(self):
        # Far more than a batch may hold.
        made = [event(id=f"long{k}", source=self.source, subject="x" * 900) for k in range(20_000)]
        reply = self.post(ndjson(made), LINES)
        self.check_taken(reply, 20_000)
        self.assertEqual(20_000, self.counted())


class WhatTheAnswerSays(Forms):
    def test_duplicates_within_and_between_requests(self):
        made = self.made(3)
        self.check_taken(self.post(json.dumps(made + made[:2]), BATCH), 5, duplicates=2)
        self.check_taken(self.post(ndjson(made), LINES), 3, duplicates=3)
        self.check_taken(self.post(json.dumps(made[0]), ONE), 1, duplicates=1)
        self.assertEqual(3, self.counted())

    def test_the_same_id_of_another_source_is_another_event(self):
        other = event(id="i0", source=self.source + "/other")
        self.check_taken(self.post(json.dumps(self.made(1) + [other]), BATCH), 2)

    def test_a_duplicate_with_another_time_type_and_data_counts_nothing(self):
        self.check_taken(self.post(json.dumps(self.made(1)), BATCH), 1)
        changed = [event(id="i0", source=self.source, type="other", time="2020-01-01T05:00:00Z", data={"x": 99})]
        self.check_taken(self.post(json.dumps(changed), BATCH), 1, duplicates=1)
        self.assertEqual(1, self.counted())

    def test_without_ack_nothing_is_said_of_duplicates(self):
        answer = self.check_taken(self.post(json.dumps(self.made(2)), BATCH, parameters=""), 2)
        self.assertNotIn("duplicates", answer)

    def test_rejected_by_index_in_a_batch(self):
        made = self.made(6)
        del made[1]["type"]
        made[3] = 17
        made[5]["time"] = text_time(3600)
        answer = self.check_taken(self.post(json.dumps(made), BATCH), 3, rejected=(1, 3, 5))
        for rejected, id_ in zip(answer["rejected"], ("i1", None, "i5")):
            self.assertRegex(rejected["type"], cases.PROBLEM_TYPE)
            self.assertTrue(rejected["detail"])
            if id_:
                self.assertEqual(id_, rejected["id"])
        self.assertIn("type", answer["rejected"][0]["detail"])
        self.assertEqual("urn:tidemark:problem:time-in-future", answer["rejected"][2]["type"])
        self.assertEqual(3, self.counted())

    def test_rejected_by_index_in_lines(self):
        texts = [json.dumps(e) for e in self.made(8)]
        texts[0] = "nonsense"
        texts[2] = texts[2][:-1]
        texts[4] = texts[4].replace('"1.0"', '"0.3"')
        texts[6] = json.dumps(event(id="i6", source=self.source, data="x" * (1 << 20)))
        answer = self.check_taken(self.post("\n".join(texts) + "\n", LINES), 4, rejected=(0, 2, 4, 6))
        self.assertEqual(4, self.counted())
        self.assertIn("specversion", answer["rejected"][2]["detail"])

    def test_a_line_of_bad_utf8_costs_only_itself(self):
        lines = [ndjson([e]) for e in self.made(3)]
        lines[1] = lines[1].replace(b"test.thing", b"test.\xff\xfe")
        self.check_taken(self.post(b"".join(lines), LINES), 2, rejected=(1,))

    def test_at_most_a_thousand_rejections_are_listed(self):
        body = b"{}\n" * 2500 + ndjson(self.made(1))
        reply = self.post(body, LINES)
        self.assertEqual(200, reply.status, reply)
        answer = reply.json
        self.assertEqual((1, 1000, 1500), (answer["accepted"], len(answer["rejected"]), answer["rejected_more"]))
        self.assertEqual(list(range(1000)), [r["index"] for r in answer["rejected"]])

    def test_depth_64_and_a_mebibyte_are_taken_in_every_form(self):
        deep = json.dumps(event(id="deep", source=self.source))[:-1] + ',"data":' + "[" * 63 + "]" * 63 + "}"
        wide = json.dumps(event(id="wide", source=self.source, data=""))
        wide = wide[:-2] + "x" * ((1 << 20) - len(wide)) + wide[-2:]
        self.assertEqual(1 << 20, len(wide))
        self.check_taken(self.post(deep, ONE), 1)
        self.check_taken(self.post(wide, ONE), 1)
        self.check_taken(self.post(deep + "\n" + wide + "\n", LINES), 2, duplicates=2)
        self.check_taken(self.post("[" + deep + "," + wide + "]", BATCH), 2, duplicates=2)

    def test_numbers_and_texts_of_every_kind_are_taken_in_data(self):
        data = ('{"a":1e999,"b":-0,"c":9007199254740993,"d":9223372036854775808,"e":' + "1" * 5000 +
                ',"f":"\\u0000\\ud83d\\ude00\\/","g":1E-400,"h":"\u20ac","x":1,"x":2}')
        text = json.dumps(event(id="odd", source=self.source))[:-1] + ',"data":' + data + "}"
        self.check_taken(self.post(text, ONE), 1)
        self.assertEqual(2, self.server.values("forms", lane=self.source)[0]["total"])

    def test_an_optional_attribute_that_is_null_is_absent(self):
        # CloudEvents JSON format 1.0.2, 2.2: null is the same as unset.
        self.check_taken(self.post(json.dumps(event(source=self.source, subject=None, colour=None, dataschema=None)), ONE), 1)
        self.check_taken(self.post(json.dumps({**event(source=self.source), "time": None}), ONE), 1)
        self.assertEqual({"specversion", "id", "source", "type", "time"},
                         set(self.server.walk("/v1/events", source=self.source)[0]))

    def test_times_of_every_kind_are_taken(self):
        for k, (text, instant) in enumerate((
                ("2013-01-01T00:00:00Z", "2013-01-01T00:00:00Z"), ("2013-01-01t00:00:00z", "2013-01-01T00:00:00Z"),
                ("2013-01-01T14:00:00+14:00", "2013-01-01T00:00:00Z"),
                ("2012-12-31T23:59:00-00:01", "2013-01-01T00:00:00Z"),
                ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"), ("2013-01-01T00:00:00.5Z", "2013-01-01T00:00:00.5Z"),
                ("2012-12-31T23:59:59.999999Z", "2012-12-31T23:59:59.999999Z"), ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
                ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
                ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"), (text_time(200), None))):
            source = f"{self.source}/{k}"
            self.check_taken(self.post(json.dumps(event(time=text, source=source)), ONE), 1)
            day = (instant or text)[:10] + "T00:00:00Z"
            self.assertEqual([day], [r["window_start"] for r in self.server.values("forms", lane=source)], text)
            if instant:
                self.assertEqual(instant, self.server.walk("/v1/events", source=source)[0]["time"], text)


class Late(cases.Case):
    """A server of its own: here the watermark is moved on purpose."""

    def test_late_is_said_at_once_and_never_a_duplicate_too(self):
        self.server.sql("CREATE METRIC late AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 minute')")
        send = self.server.send
        answer = send([event("2020-01-01T00:00:30Z", id="a")], "applied").json
        self.assertEqual((1, 0, 0), (answer["accepted"], answer["duplicates"], answer["late"]))
        answer = send([event("2020-01-01T00:10:00Z", id="b"), event("2020-01-01T00:01:00Z", id="c")], "applied").json
        self.assertEqual((2, 0, 1), (answer["accepted"], answer["duplicates"], answer["late"]))
        answer = send([event("2020-01-01T00:01:00Z", id="c"), event("2020-01-01T00:00:30Z", id="a")], "applied").json
        self.assertEqual((2, 2), (answer["accepted"], answer["duplicates"]))
        self.assertEqual([1, 1], sorted(r["n"] for r in self.server.values("late")))


if __name__ == "__main__":
    cases.main()

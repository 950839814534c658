#!/usr/bin/env python3
"""Requests that break off, that are too large, that swell when unpacked, that come from a web page."""
import gzip
import json
import shutil
import socket
import struct
import subprocess
import time

from support import cases
from support.events import event
from support.server import parse_responses

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"
MIB = 1 << 20
RESET = struct.pack("ii", 1, 0)


def head_of(port, form, length=None, path="/v1/events", method="POST", more=()):
    """The head of a request with a body: of that length, or chunked."""
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Type: {form}", framing, *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def send_and_reset(port, data):
    """Sends these bytes and breaks the connection off with a reset."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        s.sendall(data)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


class Resets(cases.Case):
    """A reset behind each byte of a request: what was whole by then counts, nothing else does."""

    @classmethod
    def prepare(cls):
        cls.server.put_source("/hold", watermark="explicit", idle_after="P1D")
        cls.server.sql("CREATE METRIC got AS SELECT data.form AS form, data.cut AS cut, count(*) AS n "
                       "FROM TUMBLE(events, time, INTERVAL '1 day') GROUP BY data.form, data.cut")

    def made(self, form, cut, k):
        return json.dumps(event(id=f"{form}-{cut:04}-{k}", source="/r", data={"form": form, "cut": 10000 + cut}),
                          separators=(",", ":")).encode()

    def counts(self, form):
        self.assertEqual(200, self.server.send([event(source="/nudge")], "applied").status)
        return {row["cut"] - 10000: row["n"] for row in self.server.values("got") if row["form"] == form}

    def check_nothing_but_the_whole(self, form, request_of):
        size = len(request_of(0))
        self.assertLess(size, 1000)
        for cut in range(size + 1):
            whole = request_of(cut)
            self.assertEqual(size, len(whole))
            send_and_reset(self.server.port, whole[:cut])
        time.sleep(0.3)  # whatever would come wrongly has time to come
        found = self.counts(form)
        self.assertLessEqual(set(found), {size}, "events of a request that broke off")
        reply = self.server.raw(request_of(size), until=lambda b: b"}" in b)
        self.assertTrue(reply.startswith(b"HTTP/1.1 200 "), reply)
        self.assertGreaterEqual(self.counts(form).get(size, 0), 1)
        self.assertTrue(self.server.alive())

    def test_one_event_of_known_length(self):
        def request_of(cut):
            body = self.made("one", cut, 0)
            return head_of(self.server.port, ONE, len(body)) + body
        self.check_nothing_but_the_whole("one", request_of)

    def test_one_event_in_chunks(self):
        def request_of(cut):
            body = self.made("chunks", cut, 0)
            return head_of(self.server.port, ONE) + chunk(body[:50]) + chunk(body[50:]) + b"0\r\n\r\n"
        self.check_nothing_but_the_whole("chunks", request_of)

    def test_a_batch(self):
        def request_of(cut):
            body = b"[" + self.made("batch", cut, 0) + b"," + self.made("batch", cut, 1) + b"]"
            return head_of(self.server.port, BATCH, len(body)) + body
        self.check_nothing_but_the_whole("batch", request_of)

    def test_a_batch_in_chunks(self):
        def request_of(cut):
            first, second = self.made("parts", cut, 0), self.made("parts", cut, 1)
            return head_of(self.server.port, BATCH) + chunk(b"[" + first) + chunk(b"," + second + b"]") + b"0\r\n\r\n"
        self.check_nothing_but_the_whole("parts", request_of)

    def test_an_event_in_binary_mode(self):
        def request_of(cut):
            body = json.dumps({"form": "binary", "cut": cut + 10000}).encode()
            return head_of(self.server.port, "application/json", len(body), more=(
                "ce-specversion: 1.0", f"ce-id: binary-{cut:04}", "ce-source: /r", "ce-type: t",
                "ce-time: 2020-01-01T00:00:00Z")) + body
        size = len(request_of(0))
        for cut in range(size):
            send_and_reset(self.server.port, request_of(cut)[:cut])
        time.sleep(0.3)
        self.assertEqual({}, self.counts("binary"))

    def check_lines(self, form, request_of):
        """request_of(cut) gives the bytes and, for each line, behind how many of them it is whole."""
        size = len(request_of(0)[0])
        expected = {}
        for cut in range(size + 1):
            whole, ends = request_of(cut)
            self.assertEqual(size, len(whole))
            send_and_reset(self.server.port, whole[:cut])
            n = sum(1 for end in ends if end <= cut)
            if n:
                expected[cut] = n
        self.eventually(lambda: self.counts(form) == expected, 20, "each complete line, and no other, counts")
        time.sleep(0.3)
        self.assertEqual(expected, self.counts(form))
        self.assertTrue(self.server.alive())

    def test_lines_of_known_length(self):
        def request_of(cut):
            lines = [self.made("lines", cut, k) + b"\n" for k in range(3)]
            head = head_of(self.server.port, LINES, sum(map(len, lines)))
            ends = [len(head) + sum(map(len, lines[:k + 1])) for k in range(3)]
            return head + b"".join(lines), ends
        self.check_lines("lines", request_of)

    def test_lines_without_an_end_in_the_last(self):
        def request_of(cut):
            lines = [self.made("last", cut, 0) + b"\r\n", self.made("last", cut, 1)]
            head = head_of(self.server.port, LINES, sum(map(len, lines)))
            return head + b"".join(lines), [len(head) + len(lines[0]), len(head) + sum(map(len, lines))]
        self.check_lines("last", request_of)

    def test_lines_in_chunks_that_end_elsewhere(self):
        def request_of(cut):
            raw = head_of(self.server.port, LINES)
            text = b"".join(self.made("pieces", cut, k) + b"\n" for k in range(2))
            ends = []
            for at in range(0, len(text), 60):
                piece = text[at:at + 60]
                front = b"%x\r\n" % len(piece)
                ends += [len(raw) + len(front) + k + 1 for k, byte in enumerate(piece) if byte == 10]
                raw += front + piece + b"\r\n"
            return raw + b"0\r\n\r\n", ends
        self.check_lines("pieces", request_of)


EVENT = json.dumps(event(id="padded", source="/padded")).encode()
# Label, path, method, content type, limit in bytes, a text that is fine when padded with blanks.
LIMITS = [
    ("a batch", "/v1/events", "POST", BATCH, 8 * MIB, b"[]"),
    ("an event", "/v1/events", "POST", ONE, MIB + 64 * 1024, EVENT),
    ("a script", "/v1/sql", "POST", "text/plain", MIB, b"SHOW METRICS"),
    ("a source", "/v1/sources/%2Fpadded", "PUT", "application/json", 64 * 1024, b"{}"),
    ("a metric", "/v1/metrics/padded?dry_run=true", "PUT", "application/json", MIB,
     json.dumps({"sql": "SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 day')"}).encode()),
]


@cases.table("check_limit", LIMITS)
class ALimitIsExact(cases.Case):
    def check_limit(self, path, method, form, limit, text):
        def head(length):
            return head_of(self.server.port, form, length, path, method)

        def status(data, **more):
            return parse_responses(self.server.raw(data, until=lambda b: b"\r\n\r\n" in b and b"}" in b, **more))[0]
        whole = text + b" " * (limit - len(text))
        # A script of blanks is too long for the language, which judges it when it is all there.
        fine = (422,) if path == "/v1/sql" else (200, 201)
        self.assertIn(status(head(limit) + whole).status, fine)
        self.assertIn(status(head(None) + chunk(whole) + b"0\r\n\r\n").status, fine)
        # By its length alone: no byte of the body is sent.
        self.check_problem(status(head(limit + 1)), 413)
        self.check_problem(status(head(2 ** 63 - 1)), 413)
        self.check_problem(status(head(None) + chunk(whole + b" ") + b"0\r\n\r\n"), 413)
        self.check_problem(status(head(None) + chunk(whole) + b"1\r\n \r\n"), 413)

    def test_a_body_without_end_is_cut_off(self):
        piece = chunk(b" " * 65536)
        sent = 0
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as s:
            s.sendall(head_of(self.server.port, BATCH) + chunk(b"["))
            with self.assertRaises(OSError):
                while sent < 200 * MIB:
                    s.sendall(piece)
                    sent += len(piece)
        # The limit, what is read for nothing so that the refusal arrives, what sockets hold.
        self.assertLess(sent, 64 * MIB)

    def test_chunks_of_impossible_size(self):
        for size in (b"ffffffffffffffff", b"7fffffffffffffff", b"8000000000000000"):
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as s:
                s.sendall(head_of(self.server.port, BATCH) + size + b"\r\n[")
                with self.assertRaises(OSError):
                    for _ in range(2000):
                        s.sendall(b" " * 65536)
            self.assertEqual(200, self.server.request("GET", "/healthz").status)


GOOD = json.dumps(event(id="packed", source="/packed")).encode()
BLANKS = b" " * (64 * MIB)


def zstd(data, *options):
    """By the zstd program; None where there is none."""
    program = shutil.which("zstd")
    if program is None:
        return None
    return subprocess.run([program, "-q", "-c", *options], input=data, stdout=subprocess.PIPE, check=True).stdout


def gz(data):
    return gzip.compress(data, 6)


class PackedBodies(cases.Case):
    def post(self, form, encoding, body):
        return self.server.request("POST", "/v1/events", body, content_type=form,
                                   headers={"Content-Encoding": encoding})

    def packers(self):
        yield "gzip", gz
        if zstd(b"") is None:
            print("no zstd bodies, there is no program of that name", end="; ", flush=True)
        else:
            yield "zstd", zstd

    def test_a_bomb_is_refused_by_its_ratio_and_by_its_size(self):
        noise = b"".join(b"%064x" % (k * 0x9E3779B97F4A7C15 % 2 ** 256) for k in range(9 * MIB // 64))
        for encoding, pack in self.packers():
            for form, text in ((BATCH, b"[" + BLANKS + b"]"), (ONE, GOOD + BLANKS), (BATCH, b"[" * (1 << 22)),
                               (BATCH, b"[" + noise), (LINES, b" " * (64 * MIB))):
                with self.subTest(encoding=encoding, form=form):
                    self.check_problem(self.post(form, encoding, pack(text)), 413)
        self.assertEqual(200, self.server.request("GET", "/healthz").status)

    def test_many_small_bombs_are_one(self):
        for encoding, pack in self.packers():
            reply = self.post(BATCH, encoding, pack(b"[") + pack(b" " * MIB) * 64 + pack(b"]"))
            self.check_problem(reply, 413)

    def test_several_frames_are_one_text(self):
        for encoding, pack in self.packers():
            reply = self.post(BATCH, encoding, pack(b"[" + GOOD[:20]) + pack(b"") + pack(GOOD[20:] + b"]"))
            self.assertEqual((200, 1), (reply.status, reply.json["accepted"]))

    def test_broken_frames_are_refused(self):
        for encoding, pack in self.packers():
            whole = pack(b"[" + b",".join([GOOD] * 200) + b"]")
            broken = {"cut short": whole[:-1], "half": whole[:len(whole) // 2], "the head alone": whole[:4],
                      "rubbish behind": whole + b"rubbish", "zeros behind": whole + b"\0" * 64,
                      "a frame cut short behind": whole + whole[:-3], "nothing packed": b"[" + GOOD + b"]",
                      "packed twice": pack(whole), "another's": (gz(b"[]") if encoding == "zstd" else b"\x28\xb5\x2f\xfd")}
            for label, body in broken.items():
                with self.subTest(encoding=encoding, body=label):
                    self.check_problem(self.post(BATCH, encoding, body), 400)

    def test_a_window_of_128_mib_is_not_opened(self):
        for window, status in ((0x00, 200), (0x68, 200), (0x70, 400), (0x88, 400), (0xff, 400)):
            # RFC 8878, 3.1.1: a frame with a window and no size, of one raw block.
            frame = b"\x28\xb5\x2f\xfd\x00" + bytes([window]) + b"\x11\x00\x00[]"
            self.assertEqual(status, self.post(BATCH, "zstd", frame).status, hex(window))

    def test_other_encodings_are_not_understood(self):
        for encoding in ("br", "deflate", "compress", "gzip, gzip", "gzip,zstd", "gzip;q=1", "*", "x-zstd", "aws-chunked"):
            self.check_problem(self.post(BATCH, encoding, gz(b"[" + GOOD + b"]")), 415)
        for encoding in ("GZIP", "x-gzip"):
            self.assertEqual(200, self.post(BATCH, encoding, gz(b"[" + GOOD + b"]")).status)
        self.assertEqual(200, self.post(BATCH, "identity", b"[" + GOOD + b"]").status)

    def test_two_encodings_in_two_fields(self):
        body = gz(b"[" + GOOD + b"]")
        for fields in (("gzip", "gzip"), ("gzip", "identity"), ("identity", "gzip")):
            head = head_of(self.server.port, BATCH, len(body), more=[f"Content-Encoding: {f}" for f in fields])
            self.check_problem(parse_responses(self.server.raw(head + body, until=lambda b: b"}" in b))[0], 415)

    def test_a_bomb_among_lines(self):
        """The lines before it count, and it is the stream's end."""
        for k, (encoding, pack) in enumerate(self.packers()):
            before = b"".join(json.dumps(event(id=f"b{i}", source=f"/before{k}")).encode() + b"\n" for i in range(10))
            reply = self.post(LINES, encoding, pack(before + b'{"data":"' + b"x" * (64 * MIB) + b'"}\n' + before))
            problem = self.check_problem(reply, 413)
            self.assertEqual(10, problem["accepted"], problem)
            fate = self.server.get("/v1/events/fate", source=f"/before{k}", id="b9")
            self.assertEqual("accepted", fate["ingest"])

    def test_a_line_too_long_among_packed_lines_is_passed_over(self):
        noise = b"".join(b"%064x" % (k * k * 0x9E3779B97F4A7C15 % 2 ** 256) for k in range(2 * MIB // 64))
        for encoding, pack in self.packers():
            reply = self.post(LINES, encoding, pack(GOOD + b"\n" + b'{"data":"' + noise + b'"}\n' + GOOD + b"\n"))
            self.assertEqual(200, reply.status)
            self.assertEqual(2, reply.json["accepted"])
            self.assertEqual([1], [r["index"] for r in reply.json["rejected"]])


SQL_TEXT = "CREATE METRIC by_page AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 day')"
BY_PAGE = json.dumps(event(id="by-page", source="/by-page"))
EVIL = "http://evil.example"
# Label, method, path, host (None: our own), headers, body, status.
PAGES = [
    ("a name that was made to point here", "GET", "/v1/events", "evil.example", (), "", 403),
    ("the same with our port", "GET", "/v1/events", "evil.example:{port}", (), "", 403),
    ("the same posts", "POST", "/v1/events", "evil.example:{port}", (f"Content-Type: {ONE}",), BY_PAGE, 403),
    ("the same with its own origin", "POST", "/v1/events", "evil.example:{port}",
     (f"Content-Type: {ONE}", "Origin: http://evil.example:{port}"), BY_PAGE, 403),
    ("a name below localhost", "GET", "/v1/events", "x.localhost", (), "", 403),
    ("localhost with a point behind", "GET", "/v1/events", "localhost.", (), "", 403),
    ("a name that begins with our address", "GET", "/v1/events", "127.0.0.1.evil.example", (), "", 403),
    ("another address of loopback", "GET", "/v1/events", "127.0.0.2", (), "", 403),
    ("the address 0", "GET", "/v1/events", "0.0.0.0:{port}", (), "", 403),
    ("the address as one number", "GET", "/v1/events", "2130706433", (), "", 403),
    ("the address in hex", "GET", "/v1/events", "0x7f.1", (), "", 403),
    ("a mapped address", "GET", "/v1/events", "[::ffff:127.0.0.1]", (), "", 403),
    ("a form that posts text", "POST", "/v1/sql", None, ("Content-Type: text/plain", f"Origin: {EVIL}"), SQL_TEXT, 403),
    ("a form from nowhere", "POST", "/v1/sql", None, ("Content-Type: text/plain", "Origin: null"), SQL_TEXT, 403),
    ("a form with an empty origin", "POST", "/v1/sql", None, ("Content-Type: text/plain", "Origin:"), SQL_TEXT, 403),
    ("a form of another kind", "POST", "/v1/sql", None,
     ("Content-Type: application/x-www-form-urlencoded", f"Origin: {EVIL}"), "sql=DROP", 403),
    ("the same without an origin", "POST", "/v1/sql", None, ("Content-Type: application/x-www-form-urlencoded",),
     "sql=DROP", 415),
    ("a form with files", "POST", "/v1/events", None, ("Content-Type: multipart/form-data; boundary=x",), "--x--", 415),
    ("text as events", "POST", "/v1/events", None, ("Content-Type: text/plain",), BY_PAGE, 415),
    ("a beacon without a type", "POST", "/v1/events", None, (), BY_PAGE, 415),
    ("a type hidden behind another", "POST", "/v1/events", None, (f"Content-Type: text/plain; x={ONE}",), BY_PAGE, 415),
    ("a page posts events", "POST", "/v1/events", None, (f"Content-Type: {ONE}", f"Origin: {EVIL}"), BY_PAGE, 403),
    ("a page posts in binary mode", "POST", "/v1/events", None,
     ("Content-Type: text/plain", "ce-specversion: 1.0", "ce-id: by-page", "ce-source: /by-page", "ce-type: t",
      f"Origin: {EVIL}"), "x", 403),
    ("a page deletes", "DELETE", "/v1/metrics/kept", None, (f"Origin: {EVIL}",), "", 403),
    ("a page reads", "GET", "/v1/events", None, (f"Origin: {EVIL}",), "", 403),
    ("a page whose name begins like ours", "GET", "/v1/events", None, ("Origin: http://localhost.evil.example",), "", 403),
    ("a page whose name ends like ours", "GET", "/v1/events", None, ("Origin: http://evil-localhost",), "", 403),
    ("a page with our name as its user", "GET", "/v1/events", None, ("Origin: http://localhost@evil.example",), "", 403),
    ("a page with our name as its port", "GET", "/v1/events", None, ("Origin: http://evil.example:127.0.0.1",), "", 403),
    ("a file", "GET", "/v1/events", None, ("Origin: file://localhost",), "", 403),
    ("an extension of the browser", "GET", "/v1/events", None, ("Origin: chrome-extension://localhost",), "", 403),
    ("our origin and another", "GET", "/v1/events", None, ("Origin: http://localhost", f"Origin: {EVIL}"), "", 403),
    ("another origin and ours", "GET", "/v1/events", None, (f"Origin: {EVIL}", "Origin: http://localhost"), "", 403),
    ("two origins in one field", "GET", "/v1/events", None, (f"Origin: http://localhost {EVIL}",), "", 403),
    ("a preflight from elsewhere", "OPTIONS", "/v1/sql", None,
     (f"Origin: {EVIL}", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type"), "", 403),
    ("a preflight of a private network", "OPTIONS", "/v1/sql", None,
     (f"Origin: {EVIL}", "Access-Control-Request-Method: DELETE", "Access-Control-Request-Private-Network: true"), "", 403),
    ("a preflight from here", "OPTIONS", "/v1/sql", None,
     ("Origin: http://localhost:{port}", "Access-Control-Request-Method: POST"), "", 204),
    ("OPTIONS of everything from elsewhere", "OPTIONS", "*", None, (f"Origin: {EVIL}",), "", 403),
    ("the target names a foreign host", "GET", "http://evil.example/v1/events", None, (), "", 403),
    ("the target names us, Host does not", "GET", "http://localhost/v1/events", "evil.example", (), "", 200),
    ("a foreign host that was forwarded", "GET", "/v1/events", "evil.example",
     ("X-Forwarded-Host: localhost", "Forwarded: host=localhost"), "", 403),
    ("our own page", "GET", "/v1/events", None, ("Origin: http://127.0.0.1:{port}",), "", 200),
    ("no page at all", "GET", "/v1/events", None, (), "", 200),
]


@cases.table("check_page", PAGES)
class WebPages(cases.Case):
    @classmethod
    def prepare(cls):
        cls.server.sql("CREATE METRIC kept AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 day')")

    def check_page(self, method, path, host, headers, body, status):
        port = self.server.port
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host or '127.0.0.1:{port}'}", *headers, "Connection: close"]
        lines += [f"Content-Length: {len(body)}"] if body else []
        text = "\r\n".join(lines).replace("{port}", str(port)) + "\r\n\r\n" + body
        reply = parse_responses(self.server.raw(text.encode()))[0]
        self.assertEqual(status, reply.status, reply)
        self.assertEqual([], [name for name in reply.headers if name.startswith("access-control-")])
        self.assertNotIn("set-cookie", reply.headers)
        if reply.status >= 400:
            self.check_problem(reply, status)
        self.assertEqual("nosniff", reply.headers.get("x-content-type-options"), reply.headers)
        self.assertEqual(["kept"], [m["name"] for m in self.server.walk("/v1/metrics")])
        self.assertEqual([], self.server.walk("/v1/events"))


if __name__ == "__main__":
    cases.main()

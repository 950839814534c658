#!/usr/bin/env python3
"""Input at random, too many connections, clients that dawdle: the server stays, and stays right."""
import json
import os
import random
import socket
import threading
import time
import unittest

from support import cases
from support.events import event
from support.server import Server

SEED = int(os.environ.get("SEED", "11"))
LINES = "application/x-ndjson"


def reference_takes(line):
    """Whether Python's JSON reader, made strict, takes the line as an object that has no member twice."""
    def members(pairs):
        return dict(pairs)

    def no_constant(_):
        raise ValueError("not JSON")
    try:
        text = line.decode("utf-8")
        if text.startswith("\ufeff"):
            return False
        value = json.loads(text, parse_constant=no_constant, object_pairs_hook=members)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # fails on a lone surrogate
        return isinstance(value, dict)
    except (ValueError, RecursionError):
        return False


class Mutations(cases.Case):
    @classmethod
    def prepare(cls):
        print(f"seed {SEED}; again by: SEED={SEED} python3 tests/e2e/abuse_test.py", flush=True)
        cls.server.put_source("/hold", watermark="explicit", idle_after="P1D")
        cls.server.sql("CREATE METRIC n AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 day')")

    def mutate(self, draw, line):
        line = bytearray(line)
        for _ in range(draw.choice((1, 1, 1, 2, 5))):
            at = draw.randrange(len(line))
            what = draw.randrange(5)
            if what == 0:
                line[at] = draw.choice(b'{}[]",:0123456789.eE+-\\/truefalsn \t\x00\x1f\x7f\x80\xc0\xe2\xff')
            elif what == 1:
                del line[at]
            elif what == 2:
                line.insert(at, draw.choice(b'{}[]",:\\-0.eu\x80\xed\xa0 '))
            elif what == 3:
                del line[at:at + draw.randrange(1, 20)]
            else:
                end = draw.randrange(at, min(len(line), at + 30))
                line[at:at] = line[at:end]
            if not line:
                return b"{"
        return bytes(line).replace(b"\n", b" ").replace(b"\r", b" ")

    def test_ten_thousand_mutated_events_against_another_reader(self):
        draw = random.Random(SEED)
        base = json.dumps(event(id="x", source="/mutant", subject="\u20ac\U0001f600", colour="red", data={
            "a": [1, -2.5e-3, True, None, "t\\n\u00e9"], "b": {"c": {}}, "d": 9007199254740993}), ensure_ascii=False)
        escaped = json.dumps(json.loads(base))
        accepted = 0
        for _ in range(12):
            lines = [self.mutate(draw, draw.choice((base, escaped)).encode()) for _ in range(900)]
            lines = [line for line in lines if line.strip()]
            reply = self.server.request("POST", "/v1/events", b"\n".join(lines) + b"\n", content_type=LINES)
            self.assertIn(reply.status, (200, 400, 422), reply)
            rejected = {r["index"]: r for r in reply.json["rejected"]}
            accepted += reply.json["accepted"]
            self.assertEqual(len(lines), reply.json["accepted"] + len(rejected))
            for k, line in enumerate(lines):
                if k not in rejected:
                    self.assertTrue(reference_takes(line), f"taken, but it is no JSON object: {line!r}")
                elif "json" in rejected[k]["type"]:
                    self.assertFalse(reference_takes(line), f"refused as no JSON: {line!r}: {rejected[k]}")
        self.assertGreater(accepted, 500)

    def test_a_thousand_mutated_requests(self):
        draw = random.Random(SEED)
        body = json.dumps(event(source="/mutant")).encode()
        whole = (f"POST /v1/events?ack=applied HTTP/1.1\r\nHost: 127.0.0.1:{self.server.port}\r\n"
                 f"Content-Type: application/cloudevents+json\r\nContent-Length: {len(body)}\r\n"
                 "Connection: close\r\n\r\n").encode() + body
        query = (f"GET /v1/metrics/n/values?from=2020-01-01T00:00:00Z&limit=10&order_by=-n HTTP/1.1\r\n"
                 f"Host: 127.0.0.1:{self.server.port}\r\nIf-None-Match: \"x\"\r\nConnection: close\r\n\r\n").encode()
        for _ in range(1000):
            data = bytearray(draw.choice((whole, query)))
            for _ in range(draw.choice((1, 1, 2, 8))):
                at = draw.randrange(len(data))
                data[at:at + draw.randrange(2)] = bytes([draw.choice(b"\r\n\x00 :;,=%&?/0123456789abcXYZ\xff")]) * draw.randrange(3)
            answer = self.server.raw(bytes(data), seconds=2, half_close=True)
            if answer:
                self.assertRegex(answer[:16], rb"^HTTP/1\.[01] [1-5]\d\d ")
                self.assertNotRegex(answer[:16], rb" 50[0-4] ")
        self.assertTrue(self.server.alive(), self.server.output()[-2000:])
        self.assertEqual(200, self.server.request("GET", "/healthz").status)

    def test_mutated_sql(self):
        draw = random.Random(SEED)
        base = ("CREATE METRIC mutant WITH (retain = '30 days') AS SELECT data.a[0].b AS x, count(*) FILTER (WHERE data.y > 1.5) "
                "AS n, sum(CASE WHEN type LIKE 'a%' THEN 1 ELSE -2 END) AS s FROM TUMBLE(events, time, INTERVAL '5 minutes') "
                "WHERE type IN ('a', 'b') AND NOT (data.z IS NULL OR geo_distance(1, 2, 3, 4) < 5) GROUP BY data.a[0].b "
                "ALLOW LATENESS INTERVAL '1 hour' EMIT ON UPDATE;")
        words = base.split(" ")
        for _ in range(1500):
            if draw.random() < 0.5:
                text = list(base)
                for _ in range(draw.choice((1, 2, 5))):
                    at = draw.randrange(len(text))
                    text[at] = draw.choice(["", " ", "(", ")", "'", ",", ";", "*", "9" * 30, "\u20ac", "-", "--", "/*", ".", "\0"])
                text = "".join(text)
            else:
                some = words[:]
                for _ in range(draw.choice((1, 2, 5))):
                    at = draw.randrange(len(some))
                    some[at:at + draw.randrange(3)] = draw.choices(words, k=draw.randrange(3))
                text = " ".join(some)
            reply = self.server.request("POST", "/v1/sql?dry_run=true", text, content_type="text/plain")
            if reply.status != 200:
                problem = self.check_problem(reply, 400, 422)
                if "no statement" in problem["detail"]:
                    continue  # it has all become a comment
                self.assertIsInstance(problem.get("line"), int, (text, problem))
                self.assertLessEqual(problem["column"], len(text.encode()) + 1)
        self.assertEqual(["n"], [m["name"] for m in self.server.walk("/v1/metrics")])


class Dawdlers(unittest.TestCase):
    def test_three_hundred_connections_that_say_nothing_more(self):
        with Server() as server:
            idle = []
            for k in range(300):
                s = socket.create_connection(("127.0.0.1", server.port), timeout=5)
                s.sendall(b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le"[:k % 60])
                idle.append(s)
            worst = 0
            for _ in range(50):
                began = time.monotonic()
                self.assertEqual(200, server.send([event()]).status)
                worst = max(worst, time.monotonic() - began)
            self.assertLess(worst, 2)
            before = server.cpu_seconds()
            time.sleep(1)
            self.assertLess(server.cpu_seconds() - before, 0.5, "it spins")
            for s in idle:
                s.close()

    def test_no_more_files_to_open(self):
        server = Server(files_max=96)
        self.addCleanup(server.discard)
        server.start()
        crowd = []
        for _ in range(150):
            s = socket.socket()
            s.settimeout(0.2)
            try:
                s.connect(("127.0.0.1", server.port))
                crowd.append(s)
            except OSError:
                s.close()
        before = server.cpu_seconds()
        time.sleep(1)
        self.assertLess(server.cpu_seconds() - before, 0.5, "it spins while it can't accept")
        for s in crowd:
            s.close()
        self.assertTrue(server.alive(), server.output()[-1000:])
        deadline = time.monotonic() + 10
        while True:
            try:
                reply = server.send([event()])
                self.assertIn(reply.status, (200, 503), reply)
                if reply.status == 200:
                    break
                self.assertEqual("1", reply.headers["retry-after"])  # those that left were still counted
            except OSError:
                pass
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)

    def test_a_reader_that_does_not_read(self):
        with Server() as server:
            server.put_source("/hold", watermark="explicit", idle_after="P1D")
            server.sql("CREATE METRIC wide AS SELECT subject AS s, count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 day') "
                       "GROUP BY subject")
            server.send([event(subject=f"{k:04d}" + "x" * 900) for k in range(1000)], "applied")
            ask = (f"GET /v1/metrics/wide/values?limit=1000 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n" * 200).encode()
            slow = []
            for _ in range(20):
                s = socket.socket()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.connect(("127.0.0.1", server.port))
                s.setblocking(False)
                try:
                    s.sendall(ask)
                except BlockingIOError:
                    pass
                slow.append(s)
            for _ in range(20):
                self.assertEqual(200, server.send([event()]).status)
            time.sleep(0.5)
            self.assertLess(server.resident_bytes(), 1_500_000_000)
            for s in slow:
                s.close()
            self.assertEqual(1000 + 1, len(server.values("wide")))

    def test_many_clients_at_once_count_each_event_once(self):
        with Server() as server:
            server.put_source("/hold", watermark="explicit", idle_after="P1D")
            server.sql("CREATE METRIC n AS SELECT data.c AS c, count(*) AS n, sum(data.k) AS k "
                       "FROM TUMBLE(events, time, INTERVAL '1 day') GROUP BY data.c")
            problems = []

            def client(c):
                mine = server.client()
                for b in range(20):
                    made = [event(id=f"{c}-{k}", data={"c": c, "k": k}) for k in range(b * 20, b * 20 + 30)]
                    reply = mine.send(made)  # ten of each thirty come again in the next
                    if reply.status != 200:
                        problems.append(reply)
                mine.close()
            threads = [threading.Thread(target=client, args=(c,)) for c in range(24)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual([], problems[:3])
            server.send([event(source="/nudge", data={"c": -1, "k": 0})], "applied")
            rows = {r["c"]: (r["n"], r["k"]) for r in server.values("n") if r["c"] >= 0}
            self.assertEqual({c: (410, 410 * 409 // 2) for c in range(24)}, rows)


if __name__ == "__main__":
    cases.main()

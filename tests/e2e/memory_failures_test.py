#!/usr/bin/env python3
"""Each allocation of each kind of request fails once, and with all that follow: 503 or a closed
connection, nothing leaks, nothing ends, and the same request is right afterwards."""
import base64
import gzip
import http.client
import json
import os
import random
import subprocess
import time
import unittest

from support import cases
from support.events import event, ndjson
from support.hostile import BINARY, ONCE, STICKY, Allocations, HostileServer, need_build
from support.server import free_port, quoted

LONG = os.environ.get("TIDEMARK_LONG") == "1"
TRIES_MAX = 400
BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"
COUNTING = "SELECT subject AS s, count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 hour') GROUP BY subject"


class Request:
    """method, path, body (bytes, or a function of the try that makes them), headers (likewise)."""

    def __init__(self, method, path, body=None, content_type=None, after=None, statuses=(200,), **headers):
        self.method = method
        self.path = path
        self.body = body
        self.headers = {**({"Content-Type": content_type} if content_type else {}),
                        **{name.replace("_", "-"): value for name, value in headers.items()}}
        self.after = after  # (method, path): undoes it, so that each try does the same
        self.statuses = statuses


def zstandard(data):
    """As one zstd frame of raw blocks: nothing to compress it with is needed."""
    assert len(data) < 128 * 1024
    return b"\x28\xb5\x2f\xfd\xa0" + len(data).to_bytes(4, "little") + \
        (1 | len(data) << 3).to_bytes(3, "little") + data


def random_text(size, seed):
    """Text that doesn't shrink much: what grows too much is refused."""
    return base64.b64encode(random.Random(seed).randbytes(size)).decode()[:size]


def one(k):
    return json.dumps(event(id=f"one-{k}", subject='a"b', data={"n": 1})).encode()


def batch(k):
    return json.dumps([event(id=f"batch-{k}-{i}", subject=f"s{i % 7}", data={"n": i}, grp='a"b')
                       for i in range(200)]).encode()


def lines(k):
    return ndjson([event(id=f"line-{k}-{i}", subject=f"s{i % 7}", data={"pad": random_text(500, i)}, grp='a"b' * 20)
                   for i in range(400)])


def keyed(k):
    return json.dumps({"key": f"timeout-{k}", "within": "PT1H"}).encode()


SCRIPT = "; ".join(f"CREATE METRIC script{i} AS {COUNTING}" for i in range(4))
REQUESTS = {
    "one event": Request("POST", "/v1/events", one, "application/cloudevents+json"),
    "one event in binary mode": Request(
        "POST", "/v1/events", b'{"n":1}', "application/json", ce_specversion="1.0", ce_id="binary", ce_source="/test",
        ce_type="test.thing", ce_time="2020-01-01T00:00:00Z"),
    "a batch": Request("POST", "/v1/events", batch, BATCH),
    "a batch to be applied": Request("POST", "/v1/events?ack=applied", batch, BATCH),
    "a batch in gzip": Request("POST", "/v1/events", lambda k: gzip.compress(batch(k)), BATCH, Content_Encoding="gzip"),
    "a batch in zstd": Request("POST", "/v1/events", lambda k: zstandard(batch(k)), BATCH, Content_Encoding="zstd"),
    "lines": Request("POST", "/v1/events", lines, LINES),
    "lines in gzip": Request("POST", "/v1/events", lambda k: gzip.compress(lines(k)), LINES, Content_Encoding="gzip"),
    "a new metric": Request("PUT", "/v1/metrics/made", COUNTING.encode(), "text/plain",
                            after=("DELETE", "/v1/metrics/made"), statuses=(200, 201)),
    "a metric again": Request("PUT", "/v1/metrics/kept", COUNTING.encode(), "text/plain"),
    "no such metric": Request("DELETE", "/v1/metrics/absent", statuses=(404,)),
    "a metric": Request("GET", "/v1/metrics/kept"),
    "all metrics": Request("GET", "/v1/metrics"),
    "statements": Request("POST", "/v1/sql", SCRIPT.encode(), "text/plain", statuses=(200, 201)),
    "statements that select": Request("POST", "/v1/sql", b"SHOW METRICS; SHOW METRIC kept", "text/plain"),
    "a new source": Request("PUT", "/v1/sources/" + quoted("/made"), b'{"disorder":"PT1S"}', "application/json",
                            after=("DELETE", "/v1/sources/" + quoted("/made")), statuses=(200, 201)),
    "a timeout with a key": Request("POST", "/v1/timeouts", keyed, "application/json", statuses=(200, 201),
                                    Idempotency_Key=lambda k: k.replace(" ", "-")),
    "a source's watermark": Request("POST", f"/v1/sources/{quoted('/explicit')}/watermark", b'{"final":true}',
                                    "application/json"),
    "a source": Request("GET", "/v1/sources/" + quoted("/explicit")),
    "all sources": Request("GET", "/v1/sources"),
    "values": Request("GET", "/v1/metrics/kept/values?limit=1000"),
    "values in CSV": Request("GET", "/v1/metrics/kept/values?limit=1000", Accept="text/csv"),
    "events": Request("GET", "/v1/events?limit=1000"),
    "late events": Request("GET", "/v1/late?limit=1000"),
    "an event's fate": Request("GET", f"/v1/events/fate?source={quoted('/test')}&id=binary", statuses=(200, 404)),
    "the watermark": Request("GET", "/v1/watermark"),
    "what it is": Request("GET", "/v1/info"),
    "figures": Request("GET", "/metrics"),
    "the description": Request("GET", "/openapi.json"),
    "health": Request("GET", "/healthz"),
    "ready": Request("GET", "/readyz"),
}


@need_build()
class EachRequest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.allocations = Allocations()
        cls.addClassCleanup(cls.allocations.close)
        cls.tried = 0
        cls.requests = 0
        cls.failures = 0
        cls.addClassCleanup(cls.tell)

    @classmethod
    def tell(cls):
        print(f"{cls.requests} requests at {cls.tried} allocation points", flush=True)
        print(f"totals: allocation_failures={cls.failures}", flush=True)

    def setUp(self):
        self.server = HostileServer(2, 1, environment=self.allocations.environment)
        self.addCleanup(self.server.discard)
        self.server.start()
        self.server.put_source("/explicit", watermark="explicit", idle_after="P1D")
        self.server.sql(f"CREATE METRIC kept AS {COUNTING}")
        self.server.send([event(id=f"base-{i}", subject=f"s{i % 50}", data={"pad": "y" * 300}) for i in range(500)],
                         "applied")

    def ask(self, request, k):
        """The status of one request over a connection of its own; None: closed without an answer."""
        body = request.body(k) if callable(request.body) else request.body
        headers = {name: value(k) if callable(value) else value for name, value in request.headers.items()}
        mine = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            mine.request(request.method, request.path, body, headers)
        except ConnectionError:
            pass  # the answer may be there all the same
        try:
            reply = mine.getresponse()
            return reply.status, reply.read()
        except (ConnectionError, http.client.HTTPException):
            return None, b""
        finally:
            mine.close()

    def undo(self, request):
        if request.after:
            reply = self.server.request(*request.after)
            self.assertIn(reply.status, (200, 204, 404), reply)

    def fail_each(self, name, request, mode):
        """n = 1, 2, 3, ... until a run meets no failure."""
        k = 0
        for nth in range(1, TRIES_MAX):
            k += 1
            self.allocations.arm(nth, mode)
            status, body = self.ask(request, f"{name}-{mode}-{nth}")
            seen, failed = self.allocations.disarm()
            cls = type(self)
            cls.requests += 1
            cls.failures += failed
            what = f"{name}, allocation {nth} ({'once' if mode == ONCE else 'and all after it'}): {status} {body[:300]!r}"
            self.assertTrue(self.server.alive(), f"{what}\n{self.server.output()[-4000:]}")
            self.assertIn(status, (None, 503, *request.statuses), what)
            if status == 503 and body:  # there may be memory for the head only
                self.assertEqual(503, json.loads(body)["status"], what)
            self.undo(request)
            # The same again, with memory.
            status, body = self.ask(request, f"{name}-{mode}-{nth}")
            self.assertIn(status, request.statuses, f"after {what}: {status} {body[:300]!r}")
            self.undo(request)
            if failed == 0:
                cls.tried += nth - 1
                return nth - 1
        self.fail(f"{name}: still failing after {TRIES_MAX} allocations")

    def finish(self):
        """It ends in order, and the sanitizer found nothing that nobody freed."""
        code = self.server.stop()
        self.assertEqual(0, code, self.server.output()[-6000:])

    def each(self, mode):
        counts = {}
        for name, request in REQUESTS.items():
            with self.subTest(name):
                status, body = self.ask(request, "first")
                self.assertIn(status, request.statuses, f"{name}: {body[:300]!r}")
                self.undo(request)
                counts[name] = self.fail_each(name, request, mode)
        print(", ".join(f"{name}: {count}" for name, count in counts.items()), flush=True)
        self.assertGreater(sum(counts.values()), 3 * len(REQUESTS))
        self.finish()

    def test_one_allocation_fails(self):
        self.each(ONCE)

    def test_an_allocation_and_all_after_it_fail(self):
        self.each(STICKY)

    @unittest.skipUnless(LONG, "a new server for each kind of request is for the long run: TIDEMARK_LONG=1")
    def test_the_first_request_of_a_server_fails_at_each_allocation(self):
        for name, request in REQUESTS.items():
            with self.subTest(name):
                for mode in (ONCE, STICKY):
                    # Failures first, so that no memory is kept from a request that went well.
                    for nth in range(1, 16):
                        self.allocations.arm(nth, mode)
                        status, body = self.ask(request, f"cold-{mode}-{nth}")
                        type(self).failures += self.allocations.disarm()[1]
                        self.assertTrue(self.server.alive(), self.server.output()[-4000:])
                        self.assertIn(status, (None, 503, *request.statuses), f"{name}, {nth}: {body[:300]!r}")
                        if status in request.statuses:
                            self.undo(request)
                            break
                self.finish()
                self.server.start()

    def test_what_was_acknowledged_is_there_and_counted_once(self):
        request = REQUESTS["a batch"]
        accepted = set()
        for nth in range(1, 40 if LONG else 14):
            for mode in (ONCE, STICKY):
                self.allocations.arm(nth, mode)
                key = f"kept-{nth}-{mode}"
                status, _ = self.ask(request, key)
                type(self).failures += self.allocations.disarm()[1]
                if status == 200:
                    accepted |= {f"batch-{key}-{i}" for i in range(200)}
        self.assertEqual(200, self.server.send([event(id="last")], "applied").status)
        stored = [e["id"] for e in self.server.walk("/v1/events", limit=1000)]
        self.assertLessEqual(accepted, set(stored))
        self.assertEqual(len(stored), len(set(stored)))
        self.finish()


@need_build()
class AStart(unittest.TestCase):
    """With one allocation less it starts, or says in a sentence that there is no memory."""

    def setUp(self):
        self.allocations = Allocations()
        self.addCleanup(self.allocations.close)
        # Memory that a process which ends at once didn't free is no leak.
        self.server = HostileServer(2, 1, environment=self.allocations.environment, sanitizer=":detect_leaks=0")
        self.addCleanup(self.server.discard)
        self.server.start()
        self.server.put_source("/explicit", watermark="explicit")
        self.server.sql(f"CREATE METRIC kept AS {COUNTING}")
        self.server.send([event(id=f"base-{i}") for i in range(50)], "applied")
        self.server.kill9()

    def ready(self, port):
        mine = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            mine.request("GET", "/readyz")
            return mine.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            mine.close()

    def start_once(self):
        """One start that is ended when it is ready: (exit code, what it said, what failed). One that lives,
        but can't get ready without memory, gets it back after a while."""
        said = len(self.server.output())
        port = free_port()
        with open(self.server.output_path, "ab") as output:
            process = subprocess.Popen([BINARY, *self.server.command(port)[1:]], stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=output, env={**os.environ, **self.server.environment})
        self.server.process = process
        self.server.port = port
        patience = time.monotonic() + 1.5
        failed = 0
        while process.poll() is None:
            if time.monotonic() > patience:
                failed = self.allocations.disarm()[1]
                self.server._wait_until_ready(time.monotonic())
            if self.ready(port):
                failed += self.allocations.disarm()[1]
                return self.server.stop(), self.server.output()[said:], failed
            time.sleep(0.01)
        return process.returncode, self.server.output()[said:], self.allocations.disarm()[1]

    def test_each_allocation_of_a_start(self):
        refused, points, failures = 0, 0, 0
        mode = STICKY
        step = 1 if LONG else 3
        for nth in range(1, 1200, step):
            self.allocations.arm(nth, mode if nth % 2 else ONCE)
            code, said, failed = self.start_once()
            failures += failed
            if code != 0:
                self.assertEqual(71, code, f"allocation {nth}: {said[-3000:]}")
                self.assertRegex(said, r"not enough (memory|descriptors)", f"allocation {nth}")
                refused += 1
                points = nth
            elif nth > points + 20:
                break
        print(f"{refused} starts refused, the last at allocation {points}", flush=True)
        print(f"totals: allocation_failures={failures}", flush=True)
        self.assertGreater(refused, 5)
        self.assertEqual(0, self.start_once()[0])


if __name__ == "__main__":
    cases.main()

#!/usr/bin/env python3
"""A server under ThreadSanitizer, with everything at once: all forms of events, queries, metrics and
sources that come and go, snapshots, SIGTERM under load, kill -9, restarts. No race, no lost event.

It wants a server built by `tools/build.sh tsan`, and skips with any other.
"""
import gzip
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
import unittest
import urllib.parse

from support import cases
from support.events import event, ndjson
from support.feeder import BATCH, LINES
from support.replay import snapshots
from support.server import BINARY, Server

SEED = int(os.environ.get("SEED", "11"))
LIFE_SECONDS = 25 if os.environ.get("TIDEMARK_LONG") == "1" else 5
PATIENCE_SECONDS = 120
# Reports go to standard error, which the test reads; the exit code tells of them too.
OPTIONS = "halt_on_error=0:exitcode=66:second_deadlock_stack=1:history_size=4"
ASKED = ["/v1/metrics/load/values?window=latest", "/v1/metrics/load/values?limit=5&order_by=-n", "/v1/metrics",
         "/v1/events?limit=50", "/metrics", "/v1/sources", "/v1/info", "/v1/watermark", "/v1/late?limit=10", "/healthz", "/readyz"]


def is_instrumented():
    done = subprocess.run([BINARY, "--version"], env={**os.environ, "TSAN_OPTIONS": "help=1"}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    return "ThreadSanitizer" in done.stdout


class Client(threading.Thread):
    """Does one thing again and again, over connections of its own, until it is told to stop."""

    def __init__(self, harness, number):
        super().__init__(daemon=True)
        self.harness = harness
        self.number = number
        self.draw = random.Random(SEED * 100 + number)
        self.wrong = []
        self.calls = 0
        self.taken = 0  # of these, answered with 2xx
        self.connection = None

    def run(self):
        try:
            while not self.harness.stop.is_set():
                self.step()
        except Exception as error:  # noqa: BLE001 - the test shows it, whatever it is
            self.wrong.append(repr(error))
        self.close()

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def ask(self, method, path, body=None, headers=None):
        """The reply's status and text; (0, "") when the server was ended under it."""
        self.calls += 1
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.harness.server.port, timeout=60)
            self.connection.request(method, path, body, headers or {}, encode_chunked=not isinstance(body, (bytes, type(None))))
            reply = self.connection.getresponse()
            status, text = reply.status, reply.read()
            if reply.will_close:
                self.close()
        except (OSError, http.client.HTTPException):
            self.close()
            time.sleep(0.02)
            return 0, b""
        self.taken += status in range(200, 300)
        if status >= 500 and status != 503:
            self.wrong.append((method, path, status, text[:300]))
        return status, text


class Sender(Client):
    """Events in turn in each form, each sent until it is acknowledged; so each counts once."""
    FORMS = ("batch", "lines", "stream", "one", "binary", "zipped")

    def __init__(self, harness, number):
        super().__init__(harness, number)
        self.sent = 0

    def request_of(self, form, made):
        if form in ("one", "binary"):
            del made[1:]
        if form == "one":
            return json.dumps(made[0]).encode(), {"Content-Type": "application/cloudevents+json"}
        if form == "binary":
            data = json.dumps(made[0]["data"]).encode()
            return data, {"Content-Type": "application/json", **{
                "ce-" + name: value for name, value in made[0].items() if name != "data"}}
        if form == "batch":
            return json.dumps(made).encode(), {"Content-Type": BATCH}
        if form == "zipped":
            return gzip.compress(ndjson(made)), {"Content-Type": LINES, "Content-Encoding": "gzip"}
        return ndjson(made), {"Content-Type": LINES}

    def step(self):
        form = self.draw.choice(self.FORMS)
        made = [event(f"2020-01-01T{self.draw.randrange(24):02}:{self.draw.randrange(60):02}:00Z", f"kind{k % 3}",
                      f"/load/{self.number}", f"{self.number}-{self.sent + k}", data={"n": 1, "pad": "x" * self.draw.randrange(400)})
                for k in range(self.draw.choice((1, 5, 50, 400)))]
        body, headers = self.request_of(form, made)
        path = "/v1/events" + self.draw.choice(("", "?ack=applied"))
        while True:
            pieces = (body[at:at + 5000] for at in range(0, len(body), 5000))
            more = {"Transfer-Encoding": "chunked"} if form == "stream" else {}
            status, text = self.ask("POST", path, pieces if form == "stream" else body, {**headers, **more})
            if status == 200:
                if json.loads(text)["accepted"] != len(made):
                    self.wrong.append(text[:300])
                self.sent += len(made)
                return
            if status not in (0, 429, 503):
                self.wrong.append((form, status, text[:300]))
                return
            if self.harness.over.is_set():
                self.wrong.append("not acknowledged in time")
                return


class Asker(Client):
    def step(self):
        path = self.draw.choice(ASKED)
        status, text = self.ask("GET", path)
        if status not in (0, 200, 429, 503):
            self.wrong.append((path, status, text[:300]))


class Changer(Client):
    """Metrics and sources that come and go."""

    def step(self):
        name = f"m{self.number}_{self.draw.randrange(3)}"
        lane = "/v1/sources/" + urllib.parse.quote(f"/changing/{name}", safe="")
        self.draw.choice((
            lambda: self.sql(f"CREATE OR REPLACE METRIC {name} AS SELECT type AS t, count(*) AS n, max(data.n) AS most FROM "
                             f"TUMBLE(events, time, INTERVAL '{self.draw.randrange(1, 30)} minutes') GROUP BY type"),
            lambda: self.sql(f"DROP METRIC IF EXISTS {name}"),
            lambda: self.sql("SHOW METRICS"),
            lambda: self.ask("GET", f"/v1/metrics/{name}/values"),
            lambda: self.ask("PUT", lane, b'{"watermark":"explicit"}', {"Content-Type": "application/json"}),
            lambda: self.ask("POST", lane + "/watermark", b'{"final":true}', {"Content-Type": "application/json"}),
            lambda: self.ask("DELETE", lane)))()
        time.sleep(0.005)

    def sql(self, text):
        return self.ask("POST", "/v1/sql", text.encode(), {"Content-Type": "text/plain"})


class Load(unittest.TestCase):
    def setUp(self):
        print(f"seed {SEED}; again by: TIDEMARK=build-tsan/tidemark SEED={SEED} python3 tests/e2e/tsan_load_test.py",
              flush=True)
        self.stop = threading.Event()
        self.over = threading.Event()
        self.server = Server(4, 2, arguments=["--snapshot-every", "1M", "--drain-timeout", "20s"],
                             environment={"TSAN_OPTIONS": OPTIONS})
        self.addCleanup(self.server.discard)

    def check_quiet(self):
        said = self.server.output()
        at = said.find("Sanitizer")
        self.assertEqual(-1, at, said[max(0, at - 500):at + 6000])

    def end(self, kill):
        if kill:
            self.server.kill9()
        else:
            self.assertEqual(0, self.server.stop(), self.server.output()[-3000:])
        self.check_quiet()

    def test_no_race_and_nothing_lost_under_load(self):
        self.server.start()
        self.server.put_source("/hold", watermark="explicit", idle_after="P1D")
        self.server.sql("CREATE METRIC load AS SELECT source AS lane, count(*) AS n, sum(data.n) AS total "
                        "FROM TUMBLE(events, time, INTERVAL '1 day') WHERE source LIKE '/load/%' GROUP BY source")
        senders = [Sender(self, n) for n in range(4)]
        clients = senders + [Asker(self, 10), Asker(self, 11), Changer(self, 20), Changer(self, 21)]
        for client in clients:
            client.start()
        try:
            for kill in (False, True, False):
                time.sleep(LIFE_SECONDS)
                self.end(kill)
                self.server.start()
            time.sleep(LIFE_SECONDS)
        finally:
            self.stop.set()
            deadline = time.monotonic() + PATIENCE_SECONDS
            for client in clients:
                client.join(max(0.0, deadline - time.monotonic()))
            self.over.set()
        self.assertEqual([], [w for client in clients for w in client.wrong][:5])
        self.assertEqual([], [client for client in clients if client.is_alive()])
        self.assertGreater(min(client.taken for client in clients), 10)
        self.check_all_there(senders)
        self.assertTrue(snapshots(self.server.data), "no snapshot was taken")
        self.end(kill=False)
        print(f"totals: tsan_requests={sum(c.calls for c in clients)} tsan_events={sum(s.sent for s in senders)}", flush=True)

    def check_all_there(self, senders):
        self.server.send([event(source="/nudge")], "applied")  # its token is behind all the others'
        rows = {row["lane"]: (row["n"], row["total"]) for row in self.server.values("load")}
        for sender in senders:
            self.assertGreater(sender.sent, 0)
            self.assertEqual((sender.sent, sender.sent), rows.get(f"/load/{sender.number}"), f"sender {sender.number}")


if __name__ == "__main__":
    if os.access(BINARY, os.X_OK) and not is_instrumented():
        print(f"{BINARY} is not built under ThreadSanitizer (tools/build.sh tsan)")
        sys.exit(cases.SKIP_EXIT)
    cases.main()

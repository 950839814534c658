#!/usr/bin/env python3
"""Rules over the stream as things with names: made, shown, changed, dropped, kept over starts, refused."""
import json
import tempfile
import unittest

from support import cases
from support.replay import digest, snapshots
from support.server import Server, run

AFTER = "AFTER type = 'departed' EXPECT type = 'arrived' WITHIN INTERVAL '8 hours' PER subject"
EXPECT = "EXPECT type = 'reading' EVERY INTERVAL '90 minutes' PER source"
SELECT = "SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 minute')"

# What is sent to PUT /v1/rules/{name}, the statuses that may come, a word of the answer.
REFUSED = [
    ("no condition", "AFTER", (400,), "condition"),
    ("no within", "AFTER type = 'a' EXPECT type = 'b' PER subject", (400,), "WITHIN"),
    ("no key", "EXPECT type = 'b' EVERY INTERVAL '1 s'", (400,), "PER"),
    ("a negative interval", "EXPECT type = 'b' EVERY INTERVAL '-1 s' PER subject", (422,), "interval"),
    ("no interval at all", "EXPECT type = 'b' EVERY INTERVAL '0 s' PER subject", (422,), "millisecond"),
    ("an interval of eleven years", "EXPECT type = 'b' EVERY INTERVAL '4020 days' PER subject", (422,), "3660 days"),
    ("a number without a unit", "AFTER type = 'a' EXPECT type = 'b' WITHIN 5 PER subject", (422,), "INTERVAL"),
    ("a text as a span", "AFTER type = 'a' EXPECT type = 'b' WITHIN type PER subject", (422,), "a text"),
    ("a clause twice", AFTER + " PER source", (400,), "twice"),
    ("a clause of the other kind", AFTER + " EVERY INTERVAL '1 s'", (422,), "CREATE SILENCE"),
    ("an aggregate", "EXPECT count(*) > 1 EVERY INTERVAL '1 s' PER source", (422,), "aggregate"),
    ("a metric", SELECT, (422,), "AFTER"),
    ("another name", "CREATE SILENCE another AS " + EXPECT, (422,), "another rule"),
    ("an option of metrics", "CREATE SILENCE x WITH (retain = '1 day') AS " + EXPECT, (422,), "retain"),
    ("a statement that is too long", AFTER + " " * 17000, (422,), "16384"),
]


@cases.table("check_refused", REFUSED)
class Rules(cases.Case):
    def check_refused(self, text, statuses, word):
        self.check_problem(self.server.request("PUT", "/v1/rules/x", {"sql": text}), *statuses, says=word)
        self.assertEqual(404, self.server.request("GET", "/v1/rules/x").status)

    def test_statements_make_and_drop_rules(self):
        late, quiet = self.name("late"), self.name("quiet")
        reply = self.server.sql(f"CREATE TIMEOUT {late} AS {AFTER} LATE RETRACT; CREATE SILENCE {quiet} AS {EXPECT};")
        self.assertEqual(201, reply.status)
        self.assertEqual([{"statement": "CREATE TIMEOUT", "rule": late, "version": 1, "changed": True},
                          {"statement": "CREATE SILENCE", "rule": quiet, "version": 1, "changed": True}],
                         reply.json["results"])
        shown = {item["name"]: item for item in self.server.sql("SHOW RULES").json["results"][0]["items"]}
        self.assertEqual(("timeout", "PT8H", None, "event", "retract"),
                         tuple(shown[late][m] for m in ("kind", "within", "every", "clock", "late")))
        self.assertEqual(("silence", None, "PT1H30M", "event", None),
                         tuple(shown[quiet][m] for m in ("kind", "within", "every", "clock", "late")))
        self.assertNotIn(quiet, [i["name"] for i in self.server.sql("SHOW TIMEOUTS").json["results"][0]["items"]])
        self.check_problem(self.server.request("POST", "/v1/sql", f"DROP SILENCE {late}", content_type="text/plain"),
                           404, kind="unknown-rule", says=late)
        self.server.sql(f"DROP TIMEOUT {late}; DROP SILENCE {quiet}; DROP SILENCE IF EXISTS {quiet}")
        self.assertEqual(404, self.server.request("GET", f"/v1/rules/{late}").status)

    def test_a_name_is_a_metrics_or_a_rules(self):
        name = self.name()
        path = f"/v1/rules/{name}"
        self.server.sql(f"CREATE METRIC {name} AS {SELECT}")
        self.check_problem(self.server.request("PUT", path, {"sql": EXPECT}), 409, kind="conflict", says="metric")
        self.server.sql(f"DROP METRIC {name}")
        self.assertEqual(201, self.server.request("PUT", path, {"sql": EXPECT}).status)
        self.check_problem(self.server.request("PUT", f"/v1/metrics/{name}", {"sql": SELECT}), 409, kind="conflict",
                           says="rule")
        self.assertEqual(204, self.server.request("DELETE", path).status)

    def test_put_get_and_delete_with_versions(self):
        path = f"/v1/rules/{self.name()}"
        reply = self.server.request("PUT", path, {"sql": AFTER}, {"If-None-Match": "*"})
        self.assertEqual((201, '"1"'), (reply.status, reply.headers["etag"]))
        self.assertEqual(200, self.server.request("PUT", path, {"sql": AFTER}).status)
        self.check_problem(self.server.request("PUT", path, {"sql": EXPECT}, {"If-Match": '"7"'}), 412)
        reply = self.server.request("PUT", path, EXPECT, {"If-Match": '"1"'}, content_type="text/plain")
        self.assertEqual((200, '"2"', "silence"), (reply.status, reply.headers["etag"], reply.json["kind"]))
        reply = self.server.request("GET", path)
        self.assertEqual(('"2"', EXPECT), (reply.headers["etag"], reply.json["sql"]))
        self.check_problem(self.server.request("DELETE", path, headers={"If-Match": '"1"'}), 412)
        self.assertEqual(200, self.server.request("PUT", path, {"sql": AFTER}, {"If-Match": "*"}).status)
        self.check_problem(self.server.request("DELETE", path, headers={"If-Match": '"1", "2"'}), 412)
        self.assertEqual(204, self.server.request("DELETE", path, headers={"If-Match": '"2", "3"'}).status)
        self.check_problem(self.server.request("PUT", path, {"sql": AFTER}, {"If-Match": "*"}), 412)
        self.check_problem(self.server.request("DELETE", path), 404, kind="unknown-rule")
        self.check_problem(self.server.request("GET", path), 404, kind="unknown-rule")

    def test_a_dry_run_makes_nothing(self):
        name = self.name()
        reply = self.server.request("PUT", f"/v1/rules/{name}?dry_run=true", {"sql": AFTER})
        self.assertEqual((200, True), (reply.status, reply.json["dry_run"]))
        self.assertEqual(404, self.server.request("GET", f"/v1/rules/{name}").status)

    def test_the_list_goes_on_by_its_cursor(self):
        names = sorted(self.name("page") for _ in range(5))
        for name in reversed(names):
            self.server.sql(f"CREATE SILENCE {name} AS {EXPECT}")
        listed = [item["name"] for item in self.server.walk("/v1/rules", limit=2)]
        self.assertEqual(sorted(listed), listed)
        self.assertEqual(names, [name for name in listed if name in names])

    def test_the_command_line_prints_them(self):
        name = self.name()
        url = ("--url", f"http://127.0.0.1:{self.server.port}")
        done = run(["sql", f"CREATE TIMEOUT {name} AS {AFTER}", *url])
        self.assertEqual((0, f"CREATE TIMEOUT {name}: done, version 1\n"), (done.returncode, done.stdout))
        lines = run(["sql", "SHOW TIMEOUTS", *url]).stdout.splitlines()
        self.assertRegex(lines[0], r"^name +kind +version +created")
        self.assertTrue(any(line.startswith(f"{name} ") and "PT8H" in line for line in lines), lines)
        done = run(["sql", f"DROP TIMEOUT {name}", *url])
        self.assertEqual((0, f"DROP TIMEOUT {name}: done\n"), (done.returncode, done.stdout))
        done = run(["sql", f"DROP TIMEOUT IF EXISTS {name}", *url])
        self.assertEqual((0, f"DROP TIMEOUT {name}: there is none\n"), (done.returncode, done.stdout))
        done = run(["sql", "CREATE TIMEOUT x AS\nAFTER type = 'a'\nEXPCT type = 'b'", *url])
        self.assertEqual(65, done.returncode)
        self.assertIn("Hint: did you mean EXPECT?", done.stderr)


class OverStarts(unittest.TestCase):
    """What the log and a snapshot give back is what was there."""

    def test_a_directory_without_a_server_takes_rules_too(self):
        with tempfile.TemporaryDirectory(prefix="tidemark-") as folder:
            data = f"{folder}/data"
            text = f"CREATE SILENCE IF NOT EXISTS q AS {EXPECT}; CREATE TIMEOUT t AS {AFTER}; DROP SILENCE q; " \
                   "DROP SILENCE IF EXISTS q"
            done = run(["ingest", "-", "--data", data, "--partitions", 2, "--sql", text], stdin="")
            self.assertEqual(0, done.returncode, done.stderr)
            done = run(["ingest", "-", "--data", data, "--sql", "DROP TIMEOUT q"], stdin="")
            self.assertEqual(65, done.returncode)
            self.assertIn("there is no such timeout: q", done.stderr)
            with Server(2, 1, data=data) as server:
                self.assertEqual(["t"], [rule["name"] for rule in server.walk("/v1/rules")])
                self.assertEqual(0, server.stop())

    def test_rules_come_back_from_the_log_and_from_a_snapshot(self):
        with tempfile.TemporaryDirectory(prefix="tidemark-") as folder:
            data = f"{folder}/data"
            with Server(2, 1, data=data) as server:
                server.sql(f"CREATE TIMEOUT late AS {AFTER}; CREATE METRIC m AS {SELECT}; "
                           f"CREATE SILENCE gone AS {EXPECT}; CREATE SILENCE quiet AS {EXPECT}")
                server.request("PUT", "/v1/rules/quiet", {"sql": EXPECT + " GRACE INTERVAL '1 minute'"})
                server.sql("DROP SILENCE gone")
                before = server.walk("/v1/rules")
                self.assertEqual([("late", 1), ("quiet", 2)], [(r["name"], r["version"]) for r in before])
                server.kill9()
                server.start()
                self.assertEqual(before, server.walk("/v1/rules"), "from the log")
                self.assertEqual(0, server.stop())
                self.assertEqual(0, run(["snapshot", "--data", data]).returncode)
                self.assertTrue(snapshots(data))
                self.assertEqual(digest(data), digest(data, "--from-snapshot"))
                server.start()
                self.assertEqual(before, server.walk("/v1/rules"), "from a snapshot")
                self.assertEqual(0, server.stop())
            dumped = run(["log", "dump", data, "--json"])
            self.assertEqual(0, dumped.returncode, dumped.stderr)
            records = [json.loads(line) for line in dumped.stdout.splitlines()]
            kinds = [r["kind"] for r in records]
            self.assertEqual((4, 2), (kinds.count("rule"), kinds.count("rule drop")))
            ids = [r["rule"] for r in records if r["kind"] == "rule"]
            self.assertEqual([1, 3, 4, 5], ids, "a rule and a metric share one counter")


if __name__ == "__main__":
    cases.main()

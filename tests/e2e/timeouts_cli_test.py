#!/usr/bin/env python3
"""`tidemark timeouts`, `tidemark tail` and `tidemark bench timeouts` against the real server: what they
print, what they change, and how they end."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import tempfile
import time
import unittest
from datetime import datetime, timedelta, timezone

from support import cases
from support.events import event
from support.server import BINARY, Server, free_port, run

SECONDS_MAX = 60
EXIT_USAGE, EXIT_REFUSED, EXIT_UNREACHABLE = 2, 65, 69


def in_future(**more):
    """A time that far from now, as the API wants it."""
    return (datetime.now(timezone.utc) + timedelta(**more)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class AtServer(cases.Case):
    def run_it(self, code, *arguments, says=(), environment=None):
        """Runs it; the exit code must be `code`, and every word of `says` must stand on stderr, in one line."""
        done = run([*arguments, "--url", f"http://127.0.0.1:{self.server.port}"], seconds=SECONDS_MAX,
                   environment=environment)
        self.assertEqual(code, done.returncode, (arguments, done.stdout[-1000:], done.stderr[-1000:]))
        for word in [says] if isinstance(says, str) else says:
            self.assertIn(word, done.stderr, arguments)
        if says:
            self.assertEqual(1, len(done.stderr.splitlines()), done.stderr)
        return done.stdout

    def ask(self, *arguments):
        return self.run_it(0, "timeouts", *arguments)

    def items(self, *arguments):
        return [json.loads(line) for line in self.ask(*arguments, "--json").splitlines()]

    def shown(self, key):
        return self.items("show", key)[0]

    def wait_for(self, key, state):
        """Until the key is in that state."""
        end = time.monotonic() + SECONDS_MAX
        while self.shown(key)["state"] != state:
            self.assertLess(time.monotonic(), end, self.shown(key))
            time.sleep(0.02)


class Changes(AtServer):
    def test_a_timeout_is_created_extended_and_completed(self):
        key = self.name("order")
        self.assertRegex(self.ask("create", key, "--within", "15m"), rf"^{key} is due at \d{{4}}-.*, in 15 min\n$|"
                                                                      rf"^{key} is due at .*, in 14 min 59 s\n$")
        self.assertEqual("PT15M", self.shown(key)["within"])
        before = self.shown(key)["deadline"]
        self.assertIn(f"{key} is due at", self.ask("heartbeat", key, "--extend", "8h"))
        self.assertGreater(self.shown(key)["deadline"], before)
        self.assertEqual(f"{key} is completed\n", self.ask("complete", key))
        self.assertEqual(f"{key} was already completed\n", self.ask("complete", key))
        self.assertEqual("completed", self.shown(key)["state"])

    def test_durations_are_taken_in_both_forms(self):
        for text, iso in (("90s", "PT1M30S"), ("PT90S", "PT1M30S"), ("8h", "PT8H"), ("2d", "P2D"), ("1.5h", "PT1H30M")):
            key = self.name("duration")
            self.ask("create", key, "--within", text)
            self.assertEqual(iso, self.shown(key)["within"], text)

    def test_a_deadline_is_a_time(self):
        key = self.name("deadline")
        self.ask("create", key, "--deadline", "2200-01-01T01:00:00+01:00")
        self.assertEqual("2200-01-01T00:00:00Z", self.shown(key)["deadline"])

    def test_all_that_a_create_has_arrives(self):
        key = self.name("all")
        said = json.loads(self.ask("create", key, "--within", "1h", "--clock", "event", "--event-time",
                                   "2013-01-01T00:00:00Z", "--data", '{"a": [1, "ü"]}', "--json"))
        self.assertEqual((key, "event", "2013-01-01T01:00:00Z", "2013-01-01T00:00:00Z"),
                         (key, said["clock"], said["deadline"], said["event_time"]))
        self.assertEqual({"a": [1, "ü"]}, self.shown(key)["data"])

    def test_the_same_create_again_changes_nothing(self):
        key = self.name("again")
        self.ask("create", key, "--within", "1h")
        first = self.shown(key)
        self.assertTrue(self.ask("create", key, "--within", "1h").startswith("It was there already: "))
        self.assertEqual(first, self.shown(key))

    def test_another_create_is_refused_taken_or_put_in_its_place(self):
        key = self.name("other")
        self.ask("create", key, "--within", "1h")
        self.run_it(EXIT_REFUSED, "timeouts", "create", key, "--within", "2h",
                    says=(key, "other parameters", "--on-exists return", "--on-exists replace"))
        self.assertIn("It was there already", self.ask("create", key, "--within", "2h", "--on-exists", "return"))
        self.assertEqual((1, "PT1H"), (self.shown(key)["generation"], self.shown(key)["within"]))
        self.ask("create", key, "--within", "2h", "--on-exists", "replace")
        self.assertEqual((2, "PT2H"), (self.shown(key)["generation"], self.shown(key)["within"]))
        self.run_it(EXIT_REFUSED, "timeouts", "complete", key, "--generation", "1", says=(key, "generation 2"))
        self.ask("cancel", key, "--generation", "2")
        self.run_it(EXIT_REFUSED, "timeouts", "heartbeat", key, says=(key, "cancelled already", "replace"))

    def test_what_comes_too_late_is_told_so(self):
        key = self.name("late")
        self.assertEqual(f"{key} fires at once: its deadline had passed\n",
                         self.ask("create", key, "--deadline", "2020-01-01T00:00:00Z"))
        self.wait_for(key, "fired")
        self.run_it(EXIT_REFUSED, "timeouts", "complete", key, says=(key, "has fired already", " ago", "replace"))
        self.run_it(EXIT_REFUSED, "timeouts", "heartbeat", key, says=(key, "has fired already"))

    def test_a_completion_may_come_first(self):
        key = self.name("early")
        self.assertIn("not there yet", self.ask("complete", key))
        self.assertIn("completed: its completion had come before", self.ask("create", key, "--within", "1h"))

    def test_a_key_that_is_not_there(self):
        key = self.name("nobody")
        for verb in ("show", "heartbeat"):
            self.run_it(EXIT_REFUSED, "timeouts", verb, key, says=(key, "there is no timeout", "timeouts list"))

    def test_the_log_shows_all_that_was_asked(self):
        key = self.name("dumped")
        self.ask("create", key, "--within", "1h", "--on-exists", "return", "--data", '{"a":[1,"\\n"]}')
        self.ask("heartbeat", key, "--extend", "2h", "--generation", "1")
        done = run(["log", "dump", self.server.data, "--json"], seconds=SECONDS_MAX)
        asked = [line for line in map(json.loads, done.stdout.splitlines()) if line.get("key") == key]
        for line in asked:
            del line["position"], line["offset"]
        self.assertEqual([{"kind": "timeout", "op": "create", "key": key, "within": "PT1H", "on_exists": "return",
                           "data": {"a": [1, "\n"]}},
                          {"kind": "timeout", "op": "heartbeat", "key": key, "extend": "PT2H", "generation": 1}], asked)

    def test_keys_with_all_kinds_of_characters(self):
        stem = self.name("odd")
        for key in (f"{stem} a b", f"{stem}/x/complete", f"{stem}?q=1&r", f"{stem}%2F", f'{stem}"\\', f"{stem}-ü-✓"):
            self.ask("create", key, "--within", "1h")
            self.assertEqual(key, self.shown(key)["key"])
            self.ask("complete", key)
            self.assertEqual("completed", self.shown(key)["state"], key)

    def test_the_servers_directory_in_the_environment_is_no_data(self):
        key = self.name("environment")
        self.run_it(0, "timeouts", "create", key, "--within", "1h", environment={"TIDEMARK_DATA": "/var/lib/tidemark"})
        self.assertNotIn("data", self.shown(key))


@cases.table("check_usage", [
    ("no subcommand", (), "list, count, due"),
    ("an unknown subcommand", ("lst",), "list, count, due"),
    ("list with a key", ("list", "k"), "no more arguments"),
    ("show without a key", ("show",), "one KEY"),
    ("create without a time", ("create", "k"), "--within 15m"),
    ("create with both times", ("create", "k", "--within", "1m", "--deadline", "2020-01-01T00:00:00Z"), "only one of"),
    ("complete with within", ("complete", "k", "--within", "1m"), "--within"),
    ("cancel with extend", ("cancel", "k", "--extend", "1m"), "has no --extend: that is for heartbeat"),
    ("due of a rule", ("due", "--rule", "overdue"), "has no --rule: that is for list, show, count, complete, cancel, heartbeat"),
    ("create with a generation", ("create", "k", "--within", "1m", "--generation", "2"), "has no --generation"),
    ("list from a time", ("list", "--from", "2020-01-01T00:00:00Z"), "has no --from: that is for due"),
    ("a duration that is none", ("create", "k", "--within", "soon"), "--within"),
    ("data that is no JSON", ("create", "k", "--within", "1m", "--data", "{a:1}"), "--data"),
    ("due before nothing", ("list", "--due-before", "tomorrow"), "--due-before"),
    ("due from nothing", ("due", "--from", "now"), "--from"),
    ("a generation of nought", ("complete", "k", "--generation", "0"), "--generation"),
])
class Usage(AtServer):
    def check_usage(self, arguments, word):
        done = run(["timeouts", *arguments, "--url", f"http://127.0.0.1:{self.server.port}"], seconds=SECONDS_MAX)
        self.assertEqual((EXIT_USAGE, ""), (done.returncode, done.stdout), done.stderr)
        self.assertIn(word, done.stderr)

    def test_what_the_server_knows_better_it_says(self):
        self.run_it(EXIT_REFUSED, "timeouts", "create", "k", "--within", "1m", "--clock", "moon", says="clock: it is processing or event")
        self.run_it(EXIT_REFUSED, "timeouts", "list", "--state", "asleep", says="state: it is pending")
        self.run_it(EXIT_REFUSED, "timeouts", "list", "--rule", "nosuch", says=("there is no rule nosuch", "SHOW RULES"))

    def test_options_of_other_subcommands_in_the_environment_are_passed_over(self):
        key = self.name("others")
        self.ask("create", key, "--within", "1h")
        environment = {"TIDEMARK_WITHIN": "1m", "TIDEMARK_EXTEND": "1m", "TIDEMARK_PREFIX": "nosuch"}
        said = self.run_it(0, "timeouts", "complete", key, environment=environment)
        self.assertEqual(f"{key} is completed\n", said)

    def test_no_server(self):
        for arguments in (["timeouts", "list"], ["timeouts", "complete", "k"], ["tail", "notifications"]):
            done = run([*arguments, "--url", f"http://127.0.0.1:{free_port()}"], seconds=SECONDS_MAX)
            self.assertEqual(EXIT_UNREACHABLE, done.returncode, (arguments, done.stderr))


class Questions(AtServer):
    def test_a_table_of_key_state_deadline_and_how_long_until_then(self):
        stem = self.name("table")
        for n, within in enumerate(("15m", "2h", "3d")):
            self.ask("create", f"{stem}-{n}", "--within", within)
        self.ask("cancel", f"{stem}-2")
        lines = self.ask("list", "--prefix", stem).splitlines()
        self.assertEqual(["key", "state", "deadline", "due"], lines[0].split())
        rows = sorted(lines[2:-1])
        self.assertRegex(rows[0], rf"^{stem}-0 +pending +\d{{4}}-\d\d-\d\d \d\d:\d\d\S* +in 14 min 5\d s$")
        self.assertRegex(rows[1], rf"^{stem}-1 +pending .* in 1 h 59 min$")
        self.assertRegex(rows[2], rf"^{stem}-2 +cancelled .* cancelled [\d.]+ m?s ago$")
        self.assertEqual("(3 timeouts)", lines[-1])

    def test_filters(self):
        stem = self.name("filter")
        for n, within in enumerate(("10m", "20m", "3h")):
            self.ask("create", f"{stem}-{n}", "--within", within)
        self.ask("complete", f"{stem}-1")

        def keys(*arguments):
            return sorted(item["key"][-1] for item in self.items("list", "--prefix", stem, *arguments))
        self.assertEqual(["0", "1", "2"], keys())
        self.assertEqual(["0", "2"], keys("--state", "pending"))
        self.assertEqual(["1"], keys("--state", "completed"))
        self.assertEqual([], keys("--state", "fired"))
        self.assertEqual(["0", "1"], keys("--due-before", "1h"))
        self.assertEqual(["0"], keys("--due-before", in_future(minutes=30), "--state", "pending"))

    def test_more_rows_than_a_page(self):
        stem = self.name("many")
        lines = "".join(json.dumps({"op": "create", "key": f"{stem}-{n}", "within": "PT1H"}) + "\n" for n in range(2300))
        self.assertEqual(200, self.server.request("POST", "/v1/timeouts:batch", lines,
                                                  content_type="application/x-ndjson").status)
        items = self.items("list", "--prefix", stem, "--limit", "5000")
        self.assertEqual({f"{stem}-{n}" for n in range(2300)}, {item["key"] for item in items})
        self.assertEqual(2300, len(items))
        self.assertEqual(7, len(self.items("list", "--prefix", stem, "--limit", "7")))
        self.assertIn("(7 timeouts, more with --limit)", self.ask("list", "--prefix", stem, "--limit", "7"))

    def test_the_story_of_one(self):
        key = self.name("story")
        self.ask("create", key, "--within", "1h", "--data", '{"n":1}')
        self.ask("heartbeat", key)
        lines = self.ask("show", key).splitlines()
        self.assertRegex(lines[0], rf"^{key}: pending, due in (59 min 5\d s|1 h)$")
        labels = [line[2:14].strip() for line in lines[1:]]
        self.assertEqual(["created", "last seen", "deadline", "within", "generation", "decided at", "data"], labels)
        self.assertIn('{"n":1}', lines[-1])
        self.ask("cancel", key)
        lines = self.ask("show", key).splitlines()
        self.assertRegex(lines[0], rf"^{key}: cancelled [\d.]+ m?s ago$")
        self.assertTrue(any(line.startswith("  ended ") for line in lines), lines)

    def test_by_events_how_long_is_told_by_the_watermark(self):
        key = self.name("events")
        self.server.put_source("*", watermark="bounded", disorder="PT0S")
        self.assertEqual(200, self.server.send([event("2013-01-01T00:00:00Z", id=key)], acknowledge="applied").status)
        self.ask("create", key, "--deadline", "2013-01-01T03:00:00Z", "--clock", "event")
        self.assertRegex(self.ask("list", "--prefix", key), r"in 3 h of event time")
        self.assertRegex(self.ask("show", key), r"(?m)^  deadline +2013-01-01 03:00 +in 3 h of event time$")
        bars = self.ask("due", "--clock", "event", "--span", "1h", "--count", "5").splitlines()
        self.assertEqual([("2013-01-01 03:00", "1")], [tuple(line.split("\t")) for line in bars if line[-2:] == "\t1"])

    def test_what_a_rule_began_is_kept_alive_and_ended(self):
        rule = self.name("rule")
        self.server.sql(f"CREATE TIMEOUT {rule} AS AFTER type = '{rule}' EXPECT type = 'b' WITHIN INTERVAL '1 hour' "
                        "PER subject CLOCK PROCESSING")
        self.server.send([event(id=rule, type=rule, subject="s/1")], acknowledge="applied")
        said = self.ask("heartbeat", "s/1", "--rule", rule, "--extend", "3h")
        self.assertRegex(said, r"^s/1 is due at .*, in (3 h|2 h 59 min)")
        self.assertEqual("s/1 is cancelled\n", self.ask("cancel", "s/1", "--rule", rule))
        self.assertEqual("s/1 was already cancelled\n", self.ask("cancel", "s/1", "--rule", rule))
        self.run_it(EXIT_REFUSED, "timeouts", "complete", "s/1", "--rule", rule, says=f"s/1 of {rule} is cancelled already")
        self.run_it(EXIT_REFUSED, "timeouts", "cancel", "s/2", "--rule", rule, says=f"there is no s/2 of {rule}")

    def test_counts_of_a_rule(self):
        rule = self.name("rule")
        self.server.sql(f"CREATE TIMEOUT {rule} AS AFTER type = '{rule}' EXPECT type = 'b' WITHIN INTERVAL '1 hour' "
                        "PER subject CLOCK PROCESSING")
        self.server.send([event(id=f"{rule}-{n}", type=rule, subject=str(n)) for n in range(3)], acknowledge="applied")
        self.assertRegex(self.ask("count", "--rule", rule), r"(?m)^pending +3$")
        self.run_it(EXIT_REFUSED, "timeouts", "count", "--rule", "nosuch", says="there is no rule nosuch")

    def test_counts(self):
        before = json.loads(self.ask("count", "--json"))
        key = self.name("count")
        self.ask("create", key, "--within", "1h")
        self.ask("create", f"{key}-2", "--within", "1h")
        self.ask("cancel", f"{key}-2")
        after = json.loads(self.ask("count", "--json"))
        self.assertEqual((1, 1, 0), tuple(after[s] - before[s] for s in ("pending", "cancelled", "fired")))
        table = dict(line.split() for line in self.ask("count").splitlines()[2:])
        self.assertEqual(after["pending"], int(table["pending"].replace(",", "")))

    def test_when_how_many_are_due(self):
        begin = "2150-06-01T00:00:00Z"
        for n, minute in enumerate((0, 0, 2, 2, 2, 9)):
            self.ask("create", f"{self.name('due')}-{n}", "--deadline", f"2150-06-01T00:{minute:02}:30Z")
        lines = self.ask("due", "--from", begin, "--span", "1m", "--count", "4").splitlines()
        self.assertEqual(["2150-06-01 00:00\t2", "2150-06-01 00:01\t0", "2150-06-01 00:02\t3", "2150-06-01 00:03\t0"],
                         [line for line in lines if not line.startswith(("before ", "from "))])
        self.assertRegex(lines[-1], r"^from 2150-06-01 00:04\t[1-9]\d*$")
        said = json.loads(self.ask("due", "--from", begin, "--span", "PT1M", "--count", "4", "--json"))
        # The server's first span has all before it as well, its last all behind.
        self.assertEqual([0, 3], [item["count"] for item in said["items"][1:3]])

    def test_bars_on_a_terminal(self):
        for n in range(3):
            self.ask("create", f"{self.name('bar')}-{n}", "--deadline", f"2160-06-01T00:0{n // 2}:30Z")
        text = on_terminal(["timeouts", "due", "--from", "2160-06-01T00:00:00Z", "--count", "3",
                            "--url", f"http://127.0.0.1:{self.server.port}"])
        lines = [line for line in text.splitlines() if not line.startswith(("before ", "from "))]
        bars = [line.count("█") for line in lines]
        self.assertEqual(3, len(lines), text)
        self.assertGreater(bars[0], 4)
        self.assertAlmostEqual(bars[0] / 2, bars[1], delta=1)
        self.assertEqual(0, bars[2])


def on_terminal(arguments):
    """What a command prints on a terminal."""
    main, other = pty.openpty()
    with subprocess.Popen([BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=other, stderr=other,
                          env={**os.environ, "TERM": "xterm"}) as process:
        os.close(other)
        text = b""
        try:
            while piece := os.read(main, 65536):
                text += piece
        except OSError:
            pass  # the terminal's other end was closed
        process.wait(SECONDS_MAX)
    os.close(main)
    return text.decode()


class Tail:
    """A `tidemark tail notifications` that runs."""

    def __init__(self, server, *arguments):
        self.process = subprocess.Popen([BINARY, "tail", "notifications", *arguments, "--url",
                                         f"http://127.0.0.1:{server.port}"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.text = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def lines(self, count):
        """The first `count` lines, as soon as they are there."""
        end = time.monotonic() + SECONDS_MAX
        while self.text.count(b"\n") < count:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not piece:
                raise AssertionError(f"only these lines: {self.text.decode()}")
            self.text += piece
        return self.text.decode().splitlines()[:count]

    def interrupt(self):
        """Ctrl-C; returns the exit code and what stood on stderr."""
        self.process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        rest, said = self.process.communicate(timeout=SECONDS_MAX)
        self.text += rest
        return self.process.returncode, said.decode(), time.monotonic() - begin


class OnOnePort(Server):
    """A server that comes back where it was, so that its clients find it."""
    kept = None

    def command(self, port):
        self.kept = self.port = self.kept or port
        return super().command(self.port)


class Tails(AtServer):
    @classmethod
    def setUpClass(cls):
        cls.server = OnOnePort(cls.partitions, cls.threads)
        cls.addClassCleanup(cls.server.discard)
        cls.server.start()

    def fire(self, *keys):
        for key in keys:
            self.ask("create", key, "--deadline", "2020-01-01T00:00:00Z")
            self.wait_for(key, "fired")

    def test_a_line_for_each_as_it_comes_until_interrupted(self):
        keys = [self.name("line") for _ in range(3)]
        with Tail(self.server, "--type", "tidemark.timeout.*", "--subject", keys[1]) as tail:
            self.fire(*keys)
            self.assertRegex(tail.lines(1)[0], rf"^\d{{4}}-\S+ \d\d:\S+  timeout\.fired  {keys[1]}  due 2020-01-01 00:00, started ")
            code, said, seconds = tail.interrupt()
            self.assertEqual((0, 1), (code, tail.text.count(b"\n")), said)
            self.assertLess(seconds, 10, "a long poll outlived Ctrl-C")
            after = re.search(r"--after (\S+)", said)
        self.assertTrue(after, said)
        later = self.name("later")
        self.fire(later)
        with Tail(self.server, "--after", after[1], "--json") as tail:
            seen = 1
            while json.loads(tail.lines(seen)[-1])["subject"] != later:
                seen += 1
            self.assertNotIn(keys[1], [json.loads(line)["subject"] for line in tail.lines(seen)])
            self.assertEqual(0, tail.interrupt()[0])

    def test_events_of_other_types_are_left_out(self):
        key = self.name("type")
        self.fire(key)
        self.assertEqual(1, len(self.run_it(0, "tail", "notifications", "--subject", key, "--limit", "1").splitlines()))
        with Tail(self.server, "--type", "tidemark.window.closed", "--subject", key) as tail:
            time.sleep(0.3)
            code, said, _ = tail.interrupt()
            self.assertEqual((0, b""), (code, tail.text), said)

    def test_a_restart_of_the_server_is_waited_for(self):
        for end in (self.server.kill9, self.server.stop):
            keys = [self.name("restart") for _ in range(2)]
            with Tail(self.server, "--json") as tail:
                self.fire(keys[0])
                seen = 1
                while json.loads(tail.lines(seen)[-1])["subject"] != keys[0]:
                    seen += 1
                end()
                time.sleep(0.5)
                self.server.start()
                self.fire(keys[1])
                self.assertEqual(keys[1], json.loads(tail.lines(seen + 1)[-1])["subject"])
                code, said, _ = tail.interrupt()
                self.assertEqual((0, seen + 1), (code, tail.text.count(b"\n")), said)
            ids = [json.loads(line)["id"] for line in tail.text.splitlines()]
            self.assertEqual(len(ids), len(set(ids)))

    def test_a_consumer_goes_on_where_it_was(self):
        consumer = self.name("consumer")
        keys = [self.name("consumed") for _ in range(4)]
        self.fire(*keys[:2])

        def subjects(*arguments):
            text = self.run_it(0, "tail", "notifications", "--consumer", consumer, "--json", *arguments)
            return [json.loads(line)["subject"] for line in text.splitlines()]
        read = []
        while keys[1] not in read:
            read += subjects("--limit", "1")
        self.assertEqual(keys[:2], [subject for subject in read if subject in keys])
        self.fire(*keys[2:])
        self.assertEqual(keys[2:], subjects("--limit", "2"))

    def test_what_cannot_be_followed(self):
        done = run(["tail", "flights"], seconds=SECONDS_MAX)
        self.assertEqual(EXIT_USAGE, done.returncode)
        self.assertIn("not available yet; `tidemark values flights --watch`", done.stderr)
        self.assertEqual(EXIT_USAGE, run(["tail"], seconds=SECONDS_MAX).returncode)
        self.run_it(EXIT_REFUSED, "tail", "notifications", "--consumer", "Not A Name", says="consumer: ")

    def test_a_cursor_of_another_server_is_told_and_the_oldest_follows(self):
        self.fire(self.name("first"))
        done = run(["tail", "notifications", "--after", "xyz", "--limit", "1", "--url",
                    f"http://127.0.0.1:{self.server.port}"], seconds=SECONDS_MAX)
        self.assertIn("none of this server's; going on with the oldest", done.stderr)
        self.assertEqual(1, len(done.stdout.splitlines()), done.stdout)


class Bench(AtServer):
    def test_all_parts_give_their_figures(self):
        with tempfile.TemporaryDirectory(prefix="tidemark-e2e-") as folder:
            path = os.path.join(folder, "figures.jsonl")
            self.run_it(0, "bench", "timeouts", "--operations", "5000", "--seconds", "1", "--pending", "2000",
                        "--fire-rate", "500/s", "--due-at-once", "3000", "--connections", "8", "--events", "40000",
                        "--server-pid", str(self.server.process.pid), "--json", path)
            with open(path, encoding="utf-8") as lines:
                figures = {row["name"]: row["value"] for row in map(json.loads, lines)}
        for name in ("timeouts_create_rate", "timeouts_heartbeat_rate", "timeouts_complete_rate",
                     "timeouts_single_create_rate", "timeouts_single_complete_ack_p99", "timeouts_lag_told_p99",
                     "timeouts_quiet_ack_p99", "timeouts_burst_ack_p99", "timeouts_burst_all_fired",
                     "timeouts_no_rule_decided_rate", "timeouts_rule_decided_rate", "timeouts_rule_ack_p99",
                     "timeouts_rule_server_cpu", "timeouts_rule_server_memory", "timeouts_rule_fired"):
            self.assertGreater(figures[name], 0, name)
        for name in ("timeouts_create_refused", "timeouts_single_create_refused", "timeouts_lag_missing",
                     "timeouts_lag_told_twice", "timeouts_burst_missing", "timeouts_burst_told_twice"):
            self.assertEqual(0, figures[name], name)
        self.assertEqual(figures["timeouts_rule_expected"], figures["timeouts_rule_fired"])
        self.assertEqual(40000, figures["timeouts_rule_events"])
        counts = json.loads(self.ask("count", "--json"))
        self.assertEqual(500 + 3000, counts["fired"])
        self.assertGreaterEqual(counts["pending"], 2000)
        self.run_it(EXIT_USAGE, "bench", "timeouts", "--parts", "lag,typo", says="typo")
        self.run_it(EXIT_USAGE, "bench", "timeouts", "--parts", "rule", "--events", "1", says="--events")
        self.run_it(EXIT_REFUSED, "bench", "timeouts", "--parts", "rule", "--events", "40000", says="fired")


if __name__ == "__main__":
    # What this machine's own environment sets would be in force in every run.
    for variable in [name for name in os.environ if name.startswith("TIDEMARK_") and name != "TIDEMARK_BIN"]:
        del os.environ[variable]
    cases.main()

#!/usr/bin/env python3
"""The command line against the real binary: what it prints, what it counts, and how it ends."""
import collections
import csv
import gzip
import io
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest
from datetime import datetime

from support import cases
from support.events import event, ndjson
from support.replay import digest, snapshots
from support.server import BINARY, ROOT, Server, free_port, run

DEMO = ROOT / "demo/flights-2013-01-01.ndjson.gz"
DEMO_ARRIVAL = ROOT / "demo/flights-2013-01-01.arrival.gz"
DEMO_METRIC = """CREATE METRIC flights AS SELECT data.origin AS origin, count(*) AS n
    FROM TUMBLE(events, time, INTERVAL '1 hour') GROUP BY data.origin"""
COMMANDS = ("serve", "ingest", "sql", "values", "timeouts", "tail", "log", "snapshot", "replay", "bench", "config",
            "help")
FINISH_SECONDS_MAX = 60


def demo_lines():
    with gzip.open(DEMO, "rt", encoding="utf-8") as text:
        return text.read().splitlines()


def demo_counts():
    """How many different events of each hour and origin the demo holds."""
    counts = collections.Counter()
    seen = set()
    for e in map(json.loads, demo_lines()):
        if (e["source"], e["id"]) not in seen:
            seen.add((e["source"], e["id"]))
            counts[e["time"][:13] + ":00:00Z", e["data"].get("origin")] += 1
    return dict(counts)


def some_events(count, kind):
    """Events of one type, over four minutes; `data.k` is a, b or c in turn, `data.v` counts."""
    return [event(f"2020-01-01T00:{n * 4 // count:02}:{n % 60:02}Z", type=kind, id=f"{kind}-{n}",
                  data={"k": "abc"[n % 3], "v": n}) for n in range(count)]


class ServerOnOnePort(Server):
    """A server that comes back where it was, so that its clients find it."""
    kept = None

    def command(self, port):
        self.kept = self.port = self.kept or port
        return super().command(self.port)


class Folder(unittest.TestCase):
    """A folder of its own for each test, and runs with what must be said of each."""
    maxDiff = 4000

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tidemark-e2e-")))

    def write(self, name, data):
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def check(self, code, arguments, says=(), stdin=None, environment=None):
        """Runs it; the exit code must be `code`, and every word of `says` must stand on stderr."""
        done = run(arguments, stdin=stdin, environment=environment, seconds=FINISH_SECONDS_MAX)
        self.assertEqual(code, done.returncode, (arguments, done.stdout[-1000:], done.stderr[-1000:]))
        for word in [says] if isinstance(says, str) else says:
            self.assertIn(word, done.stderr, arguments)
        if code == 0:
            self.assertNotIn("tidemark:", done.stderr, "it succeeds and complains")
        return done

    def check_json(self, arguments, **more):
        """The one JSON line of a run that succeeds."""
        lines = self.check(0, [*arguments, "--json"], **more).stdout.splitlines()
        self.assertEqual(1, len(lines), lines)
        return json.loads(lines[0])


class AtServer(Folder, cases.Case):
    """A folder, and the server of the class."""

    def setUp(self):
        super().setUp()
        cases.Case.setUp(self)
        self.url = ["--url", f"http://127.0.0.1:{self.server.port}"]

    def make_metric(self):
        """A metric of the events of one type, of the same name."""
        name = self.name("m")
        self.server.sql(f"CREATE METRIC {name} AS SELECT data.k AS k, count(*) AS n, sum(data.v) AS v "
                        f"FROM TUMBLE(events, time, INTERVAL '1 minute') WHERE type = '{name}' GROUP BY data.k")
        return name

    def counted(self, metric, server=None, time="2020-01-01T00:00:00Z"):
        """How many events the metric has counted, all that was sent before included."""
        server = server or self.server
        self.assertEqual(200, server.send([event(time, type="marker")]).status)
        return sum(row["n"] for row in server.values(metric))


class Ingest(AtServer):
    @classmethod
    def prepare(cls):
        # The tests share the default lane; none may be late because of another.
        cls.server.put_source("*", watermark="bounded", disorder="PT720H")

    def setUp(self):
        super().setUp()
        self.metric = self.make_metric()

    def ingest(self, count, *arguments, **more):
        """Ingests, checks what it says about itself and that all is counted once."""
        said = self.check_json(["ingest", *arguments, *self.url], **more)
        self.assertEqual((count, count, 0), (said["sent"], said["accepted"], said["rejected"]), said)
        self.assertEqual(count, self.counted(self.metric))
        return said

    def lines(self, count):
        return ndjson(some_events(count, self.metric))

    def requests(self):
        """Requests that brought events, so far."""
        text = self.server.request("GET", "/metrics").body.decode()
        found = re.findall(r'^tidemark_http_requests_total\{[^}]*/v1/events"[^}]*\} (\d+)$', text, re.M)
        return sum(map(int, found))

    def test_a_plain_file(self):
        self.ingest(500, self.write("x.ndjson", self.lines(500)))

    def test_a_file_compressed_with_gzip(self):
        self.ingest(500, self.write("x.ndjson.gz", gzip.compress(self.lines(500))))

    def test_standard_input(self):
        self.ingest(500, "-", stdin=self.lines(500).decode())

    def test_a_last_line_without_an_end_and_empty_lines(self):
        text = self.lines(3).decode().strip().replace("\n", "\r\n\n")
        self.ingest(3, "-", stdin=text)

    def test_an_empty_file(self):
        self.ingest(0, self.write("x.ndjson", ""))

    def test_a_sentence_for_people_says_what_was_sent(self):
        done = self.check(0, ["ingest", "-", *self.url], stdin=self.lines(5).decode())
        self.assertRegex(done.stdout, r"^5 events sent, 5 accepted, 0 rejected, in \S+ \S+ \(.*/s\)\n$")

    def test_the_same_file_twice_counts_once(self):
        path = self.write("x.ndjson", self.lines(100))
        self.ingest(100, path)
        self.ingest(100, path)

    def test_small_batches(self):
        self.ingest(100, self.write("x.ndjson", self.lines(100)), "--batch", 7)

    def test_a_json_array_as_form(self):
        self.ingest(500, self.write("x.ndjson", self.lines(500)), "--form", "batch", "--batch", 60)

    def test_four_connections(self):
        self.ingest(2000, self.write("x.ndjson", self.lines(2000)), "--connections", 4, "--batch", 50)

    def test_a_rate_takes_as_long_as_it_must(self):
        begin = time.monotonic()
        self.ingest(400, self.write("x.ndjson", self.lines(400)), "--rate", "1000/s")
        self.assertGreaterEqual(time.monotonic() - begin, 0.35)

    def test_a_rate_over_four_connections_is_the_rate_of_all(self):
        begin = time.monotonic()
        self.ingest(400, self.write("x.ndjson", self.lines(400)), "--rate", "1000/s", "--connections", 4,
                    "--batch", 10)
        self.assertGreaterEqual(time.monotonic() - begin, 0.35)

    def test_disorder_is_declared_before_the_first_event(self):
        with Server() as server:
            self.check(0, ["ingest", "-", "--disorder", "6h", "--url", f"http://127.0.0.1:{server.port}"],
                       stdin=self.lines(1).decode())
            self.assertEqual("PT6H", server.get("/v1/sources/*")["disorder"])

    def test_final_closes_the_windows(self):
        with Server() as server:
            url = ["--url", f"http://127.0.0.1:{server.port}"]
            server.sql("CREATE METRIC n AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 minute')")
            self.check(0, ["ingest", "-", *url], stdin=self.lines(40).decode())
            self.assertIn(False, [row["closed"] for row in self.rows_when_counted(server, 40)])
            self.check(0, ["ingest", "-", "--final", *url], stdin=self.lines(41).decode())
            rows = self.rows_when_counted(server, 41)
            self.eventually(lambda: all(row["closed"] for row in server.values("n")), what="closing")
            self.assertEqual(4, len(rows))

    def rows_when_counted(self, server, count):
        def rows():
            found = server.values("n")
            return found if sum(row["n"] for row in found) == count else None
        return self.eventually(rows, what=f"a count of {count}")

    def test_rejected_lines_are_listed_with_their_numbers(self):
        good = self.lines(3).decode().splitlines()
        text = "\n".join([good[0], '{"id":1}', good[1], "nonsense", "", '{"specversion":"1.0"}', good[2]])
        done = self.check(65, ["ingest", "-", "--json", *self.url], ("line 2", "line 4", "line 6"), stdin=text)
        self.assertNotIn("line 1:", done.stderr)
        said = json.loads(done.stdout)
        self.assertEqual((6, 3, 3), (said["sent"], said["accepted"], said["rejected"]))
        self.assertEqual(3, self.counted(self.metric))

    def test_rejected_lines_keep_their_numbers_over_batches_and_connections(self):
        lines = self.lines(100).decode().splitlines()
        lines[41] = lines[76] = "{}"
        self.check(65, ["ingest", "-", "--batch", 10, "--connections", 4, *self.url], ("line 42", "line 77"),
                   stdin="\n".join(lines))
        self.assertEqual(98, self.counted(self.metric))

    def test_an_event_refused_in_a_json_array_is_the_only_one(self):
        lines = self.lines(10).decode().splitlines()
        lines[4] = '{"specversion":"1.0"}'
        self.check(65, ["ingest", "-", "--form", "batch", *self.url], "line 5", stdin="\n".join(lines))
        self.assertEqual(9, self.counted(self.metric))

    def test_many_rejected_lines_are_not_all_listed(self):
        done = self.check(65, ["ingest", "-", *self.url], "more", stdin="nonsense\n" * 1000)
        self.assertLess(len(done.stderr.splitlines()), 50)
        self.assertIn("1,000 rejected", done.stdout)

    def test_a_server_that_is_not_there(self):
        self.check(69, ["ingest", "-", "--patience", "0s", "--url", f"http://127.0.0.1:{free_port()}"],
                   "can't be reached", stdin=self.lines(1).decode())

    def test_a_file_that_is_not_there(self):
        self.check(66, ["ingest", self.folder / "none.ndjson", *self.url], "none.ndjson")

    def test_a_file_that_is_not_gzip_although_it_says_so(self):
        whole = gzip.compress(self.lines(2000))
        done = run(["ingest", self.write("x.ndjson.gz", whole[:len(whole) // 2]), *self.url])
        self.assertIn(done.returncode, (65, 66, 74), (done.stdout, done.stderr))
        self.assertIn("x.ndjson.gz", done.stderr)

    def test_options_that_are_wrong_are_told_before_anything_is_sent(self):
        path = self.write("x.ndjson", self.lines(10))
        for option, value in (("--rate", "fast"), ("--rate", "0/s"), ("--rate", "-5/s"), ("--speed", "fast"),
                              ("--speed", "0x"), ("--batch", "0"), ("--batch", "many"), ("--connections", "0"),
                              ("--form", "xml"), ("--patience", "soon")):
            with self.subTest(option=option, value=value):
                self.check(2, ["ingest", path, option, value, *self.url], option)
        self.check(2, ["ingest", *self.url], "ingest")
        self.check(2, ["ingest", "-", "--speed", "10x", *self.url], "--speed", stdin="")
        self.check(2, ["ingest", path, "--speed", "10x", "--rate", "5/s", *self.url], ("--speed", "--rate"))
        self.check(2, ["ingest", path, "--sql", "SHOW METRICS", *self.url], "--sql")
        self.check(2, ["ingest", path, path, *self.url], "FILE")
        self.assertEqual(0, self.counted(self.metric))


class IngestAsRecorded(AtServer):
    """--speed, with the arrivals the demo recorded."""
    LINES = 60

    @classmethod
    def prepare(cls):
        cls.server.put_source("*", watermark="bounded", disorder="PT720H")
        cls.server.sql("CREATE METRIC n AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 hour') "
                       "WHERE type <> 'marker'")

    def head(self, kind=""):
        """The first lines of the demo and of its arrivals, as files, and how many seconds they span."""
        paths = []
        for source, ending in ((DEMO, "ndjson"), (DEMO_ARRIVAL, "arrival")):
            with gzip.open(source) as lines:
                data = b"".join(next(lines) for _ in range(self.LINES))
            paths.append(self.write(f"head.{ending}{kind}", gzip.compress(data) if kind else data))
        instants = [datetime.fromisoformat(line.replace("Z", "+00:00")) for line in data.decode().split()]
        return paths[0], paths[1], (instants[-1] - instants[0]).total_seconds()

    def check_speed(self, kind):
        path, _, span = self.head(kind)
        factor = int(span / 0.5)
        begin = time.monotonic()
        said = self.check_json(["ingest", path, "--speed", f"{factor}x", *self.url])
        self.assertGreaterEqual(time.monotonic() - begin, 0.45)
        self.assertEqual((self.LINES, self.LINES), (said["sent"], said["accepted"]))
        different = {(e["source"], e["id"]) for e in map(json.loads, demo_lines()[:self.LINES])}
        self.assertEqual(len(different), self.counted("n", time="2013-01-01T06:00:00Z"))

    def test_events_keep_their_distances(self):
        self.check_speed("")

    def test_events_keep_their_distances_when_both_files_are_compressed(self):
        self.check_speed(".gz")

    def test_without_the_arrivals_it_is_refused(self):
        path, arrival, _ = self.head()
        arrival.unlink()
        done = self.check(66, ["ingest", path, "--speed", "1000x", *self.url], str(arrival))
        self.assertEqual(1, len(done.stderr.splitlines()), done.stderr)
        self.assertEqual("", done.stdout)

    def test_arrivals_that_are_no_times_or_too_few_are_refused(self):
        path, arrival, _ = self.head()
        whole = arrival.read_text().splitlines(keepends=True)
        for text in ("yesterday\n" + "".join(whole[1:]), "".join(whole[:10])):
            arrival.write_text(text)
            done = run(["ingest", path, "--speed", "1000000x", *self.url])
            self.assertIn(done.returncode, (65, 66), (done.stdout, done.stderr))
            self.assertIn("arrival", done.stderr)


class IngestThroughACrash(AtServer):
    def test_a_server_killed_and_started_again_counts_every_event_once(self):
        server = ServerOnOnePort()
        self.addCleanup(server.discard)
        server.start()
        server.sql("CREATE METRIC n AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 minute') "
                   "WHERE type = 'crash'")
        count = 3000
        path = self.write("x.ndjson", ndjson(some_events(count, "crash")))
        command = [BINARY, "ingest", path, "--batch", "20", "--rate", "2000/s", "--connections", "2", "--json",
                   "--disorder", "1h", "--quiet", "--url", f"http://127.0.0.1:{server.port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as feeder:
            self.addCleanup(feeder.kill)
            for before in (200, 1000):
                self.eventually(lambda b=before: sum(row["n"] for row in server.values("n")) >= b, what="the middle")
                self.assertIsNone(feeder.poll(), "it ended before the server did")
                server.kill9()
                server.start()
            out, err = feeder.communicate(timeout=FINISH_SECONDS_MAX)
        self.assertEqual(0, feeder.returncode, (out, err))
        said = json.loads(out)
        self.assertEqual((count, count, 0), (said["sent"], said["accepted"], said["rejected"]), said)
        self.assertGreaterEqual(said["repeated_requests"], 1)
        self.assertEqual(count, self.counted("n", server))


class Sql(AtServer):
    CREATE = "CREATE METRIC {} AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 minute')"

    def test_a_table_for_people(self):
        name = self.name()
        done = self.check(0, ["sql", self.CREATE.format(name), *self.url])
        self.assertIn(name, done.stdout)
        lines = self.check(0, ["sql", "SHOW METRICS", *self.url]).stdout.splitlines()
        self.assertRegex(lines[0], r"^name +version +created")
        self.assertTrue(any(line.startswith(name + " ") for line in lines), lines)
        self.assertRegex(lines[-1], r"^\(\d+ rows?\)$")

    def test_json(self):
        name = self.name()
        said = self.check_json(["sql", self.CREATE.format(name), *self.url])
        self.assertEqual(("CREATE METRIC", name, 1), (said["statement"], said["metric"], said["version"]))
        said = self.check_json(["sql", "SHOW METRICS", *self.url])
        found = [item for item in said["items"] if item["name"] == name]
        self.assertEqual([self.CREATE.format(name)], [item["sql"] for item in found])

    def test_csv(self):
        name = self.name()
        self.check(0, ["sql", self.CREATE.format(name), *self.url])
        text = self.check(0, ["sql", "SHOW METRICS", "--csv", *self.url]).stdout
        rows = list(csv.DictReader(io.StringIO(text)))
        self.assertEqual([self.CREATE.format(name)], [row["sql"] for row in rows if row["name"] == name])

    def test_several_statements_from_standard_input(self):
        first, second = self.name(), self.name()
        text = f"{self.CREATE.format(first)};\n-- and another\n{self.CREATE.format(second)};\nDROP METRIC {first};"
        self.check(0, ["sql", *self.url], stdin=text)
        names = [item["name"] for item in self.server.walk("/v1/metrics")]
        self.assertIn(second, names)
        self.assertNotIn(first, names)

    def test_a_dash_is_standard_input_too(self):
        self.check(0, ["sql", "-", *self.url], stdin="SHOW METRICS")

    def test_a_dry_run_changes_nothing(self):
        name = self.name()
        self.check(0, ["sql", self.CREATE.format(name), "--dry-run", *self.url])
        self.assertNotIn(name, [item["name"] for item in self.server.walk("/v1/metrics")])
        self.check(65, ["sql", "CREATE METRIC", "--dry-run", *self.url])

    def test_an_error_shows_the_line_with_a_caret_and_a_hint(self):
        line = " SELEC count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 minute')"
        done = self.check(65, ["sql", "CREATE METRIC x AS\n" + line, *self.url], "SELEC")
        lines = done.stderr.splitlines()
        self.assertEqual("", done.stdout)
        shown = next(n for n, text in enumerate(lines) if line in text)
        self.assertIn("2", lines[shown].split("|")[0])
        self.assertEqual(lines[shown].index("SELEC"), lines[shown + 1].index("^"))
        self.assertRegex(lines[-1], r"^Hint: .*SELECT")

    def test_the_caret_stands_right_after_letters_of_several_bytes(self):
        statement = self.CREATE.format("x") + " WHERE type = 'äöü€' GROPU BY type"
        lines = self.check(65, ["sql", statement, *self.url]).stderr.splitlines()
        shown = next(n for n, text in enumerate(lines) if statement in text)
        self.assertEqual(lines[shown].index("GROPU"), lines[shown + 1].index("^"))

    def test_a_metric_that_does_not_exist(self):
        self.check(65, ["sql", "DROP METRIC nosuch", *self.url], "nosuch")

    def test_a_server_that_is_not_there(self):
        self.check(69, ["sql", "SHOW METRICS", "--url", f"http://127.0.0.1:{free_port()}"], "can't be reached")


class Values(AtServer):
    @classmethod
    def prepare(cls):
        cls.server.sql("CREATE METRIC n AS SELECT data.k AS k, count(*) AS n, sum(data.v) AS v "
                       "FROM TUMBLE(events, time, INTERVAL '1 minute') GROUP BY data.k")
        cls.server.sql("CREATE METRIC two AS SELECT data.k AS k, type AS t, count(*) AS n "
                       "FROM TUMBLE(events, time, INTERVAL '1 minute') GROUP BY data.k, type")
        cls.server.send(some_events(200, "t"))
        cls.server.final()
        cls.all = cls.server.values("n")

    def show(self, *arguments):
        return self.check(0, ["values", "n", *arguments, *self.url]).stdout

    def rows(self, *arguments):
        return [json.loads(line) for line in self.show("--json", *arguments).splitlines()]

    def test_a_table_for_people_with_the_newest_window_first(self):
        lines = self.show().splitlines()
        self.assertRegex(lines[0], r"^window +k +n +v +state$")
        self.assertEqual(12, sum(line.endswith("final") for line in lines))
        self.assertTrue(lines[2].startswith("2020-01-01 00:03"), lines[2])
        self.assertRegex(lines[-1], r"^\(12 rows; watermark .*\)$")

    def test_json_gives_what_the_server_gives(self):
        def key(row):
            return row["window_start"], row["k"]
        self.assertEqual(200, sum(row["n"] for row in self.all))
        self.assertEqual(sorted(self.all, key=key), sorted(self.rows(), key=key))

    def test_csv_gives_the_same(self):
        text = self.show("--csv", "--order", "v")
        rows = list(csv.DictReader(io.StringIO(text)))
        self.assertEqual([(r["window_start"], r["k"], str(r["n"]), str(r["v"])) for r in self.rows("--order", "v")],
                         [(r["window_start"], r["k"], r["n"], r["v"]) for r in rows])

    def test_where(self):
        rows = self.rows("--where", "k=a")
        self.assertEqual({"a"}, {row["k"] for row in rows})
        self.assertEqual(4, len(rows))
        self.assertEqual([], self.rows("--where", "k=zz"))

    def test_where_twice_asks_for_both(self):
        show = ["values", "two", "--json", *self.url]
        lines = self.check(0, [*show, "--where", "k=a", "--where", "t=t"]).stdout.splitlines()
        self.assertEqual(["a"] * 4, [json.loads(line)["k"] for line in lines])
        self.assertEqual("", self.check(0, [*show, "--where", "k=a", "--where", "t=u"]).stdout)

    def test_order_up_and_down(self):
        up = [row["v"] for row in self.rows("--order", "v")]
        self.assertEqual(sorted(up), up)
        self.assertEqual(sorted(up, reverse=True), [row["v"] for row in self.rows("--order", "-v")])

    def test_limit(self):
        self.assertEqual(self.rows("--order", "-v")[:3], self.rows("--order", "-v", "--limit", 3))

    def test_latest(self):
        rows = self.rows("--latest")
        self.assertEqual({"2020-01-01T00:03:00Z"}, {row["window_start"] for row in rows})
        self.assertEqual({"a", "b", "c"}, {row["k"] for row in rows})

    def test_from_and_to(self):
        rows = self.rows("--from", "2020-01-01T00:01:00Z", "--to", "2020-01-01T00:03:00Z")
        self.assertEqual({"2020-01-01T00:01:00Z", "2020-01-01T00:02:00Z"}, {row["window_start"] for row in rows})

    def test_final_only(self):
        self.assertEqual(12, len(self.rows("--final")))

    def test_watch_for_two_frames(self):
        text = self.show("--watch", "--frames", 2, "--every", "50ms")
        self.assertEqual(2, len(re.findall(r"^window +k +n +v", text, re.M)), text)
        self.assertNotIn("\x1b", text, "escapes, and no terminal")

    def test_what_is_refused(self):
        for arguments, code, word in ((["--where", "q=a"], 65, "q"), (["--order", "q"], 65, "q"),
                                      (["--where", "k"], 2, "--where"), (["--limit", "many"], 2, "--limit"),
                                      (["--from", "yesterday"], 65, "RFC 3339")):
            with self.subTest(arguments=arguments):
                done = run(["values", "n", *arguments, *self.url])
                self.assertIn(done.returncode, (2, code), (done.stdout, done.stderr))
                self.assertIn(word, done.stderr)
        self.check(65, ["values", "nosuch", *self.url], "nosuch")
        self.check(2, ["values", *self.url], "metric")

    def test_a_server_that_is_not_there(self):
        self.check(69, ["values", "n", "--url", f"http://127.0.0.1:{free_port()}"], "can't be reached")

    def test_the_server_may_stand_in_the_environment_or_in_a_file(self):
        url = self.url[1]
        wrong = f"http://127.0.0.1:{free_port()}"
        config = self.write("config", f"# of the test\nurl = {url}  # here\n")
        bad_config = self.write("bad_config", f"url = {wrong}\n")
        show = ["values", "n", "--csv"]
        self.check(0, show, environment={"TIDEMARK_URL": url})
        self.check(0, [*show, "--config", config])
        self.check(0, show, environment={"TIDEMARK_CONFIG": str(config)})
        self.check(0, [*show, "--config", bad_config], environment={"TIDEMARK_URL": url})
        self.check(0, [*show, *self.url], environment={"TIDEMARK_URL": wrong})
        self.check(69, [*show, "--config", config], environment={"TIDEMARK_URL": wrong})


class Directory(Folder):
    """What works on a data directory without a server."""

    def ingest(self, name="data", threads=2, source=DEMO, code=0):
        data = self.folder / name
        done = self.check(code, ["ingest", source, "--data", data, "--partitions", 4, "--threads", threads,
                                 "--disorder", "6h", "--sql", DEMO_METRIC, "--final", "--json"])
        return data, json.loads(done.stdout)

    def dump(self, data, *arguments):
        lines = self.check(0, ["log", "dump", data, "--json", *arguments]).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def test_ingest_counts_the_same_on_one_thread_and_on_two(self):
        expected = demo_counts()
        for threads in (1, 2):
            data, said = self.ingest(f"data{threads}", threads)
            self.assertEqual((8305, 8305, 0), (said["sent"], said["accepted"], said["rejected"]))
            with Server(data=data) as server:
                rows = server.values("flights")
                counts = server.get("/v1/metrics/flights")["counts"]
                done = self.check(0, ["values", "flights", "--json", "--limit", 1000,
                                      "--url", f"http://127.0.0.1:{server.port}"])
            self.assertEqual(expected, {(row["window_start"], row["origin"]): row["n"] for row in rows})
            self.assertEqual({"counted": 8220, "filtered": 0, "late_corrected": 0, "late_dropped": 0}, counts)
            self.assertEqual({True}, {row["closed"] for row in rows})
            shown = [json.loads(line) for line in done.stdout.splitlines()]
            self.assertEqual(expected, {(row["window_start"], row["origin"]): row["n"] for row in shown})

    def test_ingest_on_two_threads_keeps_the_order_of_the_file(self):
        data, _ = self.ingest()
        ids = [line["event"]["id"] for line in self.dump(data) if line["kind"] == "event"]
        self.assertEqual([json.loads(line)["id"] for line in demo_lines()], ids)

    def test_ingest_lists_the_lines_it_refuses(self):
        lines = demo_lines()[:50]
        lines[20] = "nonsense"
        lines[40] = '{"id":7}'
        source = self.write("x.ndjson", "\n".join(lines))
        done = self.check(65, ["ingest", source, "--data", self.folder / "data", "--json"], ("line 21", "line 41"))
        said = json.loads(done.stdout)
        self.assertEqual((50, 48, 2), (said["sent"], said["accepted"], said["rejected"]))

    def test_ingest_refuses_a_statement_that_is_wrong_and_says_where(self):
        done = self.check(65, ["ingest", DEMO, "--data", self.folder / "data", "--sql", "CREATE METRC x"], "METRC")
        self.assertRegex(done.stderr, r"line 1, column 8|\^")
        self.assertIn("did you mean METRIC?", done.stderr)

    def test_log_verify_proves_a_good_log(self):
        data, _ = self.ingest()
        self.assertIn("0 damaged", self.check(0, ["log", "verify", data]).stdout)
        lines = [json.loads(t) for t in self.check(0, ["log", "verify", data, "--json"]).stdout.splitlines()]
        self.assertEqual({"good"}, {line["state"] for line in lines[:-1]})
        self.assertEqual(0, lines[-1]["damaged"])
        self.assertGreater(lines[-1]["end"], 1_000_000)

    def test_log_verify_and_dump_work_beside_a_server(self):
        with Server() as server:
            server.send([event(id="beside")], acknowledge="durable")
            self.check(0, ["log", "verify", server.data])
            ids = [line["event"]["id"] for line in self.dump(server.data) if line["kind"] == "event"]
            self.assertEqual(["beside"], ids)

    def test_log_dump_with_a_limit_and_from_a_position(self):
        data, _ = self.ingest()
        lines = self.dump(data, "--limit", 3)
        self.assertEqual("genesis", lines[0]["kind"])
        self.assertEqual(3, len(lines), "none of the first three records holds events")
        records = [line for line in self.dump(data) if line["kind"] != "event"]
        self.assertEqual(records[:3], lines)
        late = [r for r in records if r["position"] >= records[-1]["position"]]
        self.assertEqual(late, [r for r in self.dump(data, "--from", records[-1]["position"]) if r["kind"] != "event"])
        text = self.check(0, ["log", "dump", data, "--limit", 1]).stdout
        self.assertRegex(text, r"^0\+0 +genesis +partitions 4 ")

    def test_log_of_a_directory_that_does_not_exist(self):
        for verb in ("verify", "dump"):
            self.check(66, ["log", verb, self.folder / "none"], "none")
        self.assertFalse((self.folder / "none").exists())

    def test_a_damaged_byte_is_found(self):
        data, _ = self.ingest()
        segment = next((data / "log").iterdir())
        with open(segment, "r+b") as file:
            file.seek(1_000_000)
            byte = file.read(1)[0]
            file.seek(1_000_000)
            file.write(bytes([byte ^ 1]))
        done = self.check(75, ["log", "verify", data])
        self.assertIn("1 damaged", done.stdout)
        done = self.check(75, ["log", "verify", data, "--json"])
        self.assertEqual(1, json.loads(done.stdout.splitlines()[-1])["damaged"])
        self.check(75, ["log", "dump", data], "tidemark:")
        self.check(75, ["replay", "--data", data], segment.name)
        self.check(75, ["serve", "--data", data, "--listen", f"127.0.0.1:{free_port()}"], segment.name)

    def test_snapshots_are_taken_and_listed(self):
        data, _ = self.ingest()
        self.assertEqual([], snapshots(data))
        self.check(0, ["snapshot", "--data", data, "--list"])
        self.assertEqual([], snapshots(data), "--list takes none")
        said = self.check(0, ["snapshot", "--data", data]).stdout
        position = int(re.search(r"position (\d+)", said)[1])
        self.assertEqual(1, len(snapshots(data)))
        listed = self.check_json(["snapshot", "--data", data, "--list"])
        self.assertEqual((position, False), (listed["position"], listed["damaged"]))
        self.assertIn(str(position), self.check(0, ["snapshot", "--data", data, "--list"]).stdout)

    def damaged_snapshot(self):
        """A directory whose only snapshot has a wrong byte, and the digest of its log."""
        data, _ = self.ingest()
        self.check(0, ["snapshot", "--data", data])
        whole = digest(data)
        path = data / "snapshots" / snapshots(data)[0]
        damaged = bytearray(path.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        path.write_bytes(damaged)
        return data, whole

    def test_a_damaged_snapshot_is_not_used(self):
        data, whole = self.damaged_snapshot()
        self.assertEqual(whole, digest(data, "--from-snapshot"))
        self.assertEqual(1, len(snapshots(data)), "nothing but its owner removes it")

    def test_a_damaged_snapshot_is_listed_as_damaged(self):
        data, _ = self.damaged_snapshot()
        done = run(["snapshot", "--data", data, "--list", "--json"])
        self.assertIn('"damaged":true', done.stdout, done.stderr)

    def test_replay_gives_one_digest_on_any_number_of_threads_and_from_a_snapshot(self):
        data, _ = self.ingest()
        self.check(0, ["snapshot", "--data", data])
        whole = digest(data, "--threads", 1)
        self.assertRegex(whole, r"^[0-9a-f]{16}$")
        self.assertEqual(whole, digest(data, "--threads", 2))
        self.assertEqual(whole, digest(data, "--from-snapshot"))
        text = self.check(0, ["replay", "--data", data]).stdout
        self.assertIn(f"digest {whole}", text)

    def test_replay_of_the_first_events_gives_another_digest_and_cuts_nothing(self):
        # Two runs, so that the events stand in two frames at least.
        lines = demo_lines()
        data = self.folder / "data"
        half = self.write("half.ndjson", "\n".join(lines[:4000]))
        self.check(0, ["ingest", half, "--data", data, "--partitions", 4, "--disorder", "6h", "--sql", DEMO_METRIC])
        self.check(0, ["ingest", self.write("rest.ndjson", "\n".join(lines[4000:])), "--data", data, "--final"])
        whole = digest(data)
        positions = sorted({line["position"] for line in self.dump(data) if line["kind"] == "events"})
        self.assertGreater(len(positions), 1)
        arguments = ["--until", positions[-1]]
        said = self.check_json(["replay", "--data", data, "--quiet", *arguments])
        self.assertNotEqual(whole, said["digest"])
        self.assertGreater(said["events"], 0)
        self.assertLess(said["events"], 8305)
        self.assertLessEqual(said["position"], positions[-1])
        self.assertEqual(said["digest"], digest(data, *arguments, "--threads", 1))
        self.assertEqual(whole, digest(data))

    def test_replay_and_snapshot_of_a_directory_that_does_not_exist_create_nothing(self):
        for arguments in (["replay"], ["snapshot"], ["snapshot", "--list"], ["replay", "--from-snapshot"]):
            with self.subTest(arguments=arguments):
                done = run([*arguments, "--data", self.folder / "none"])
                self.assertIn(done.returncode, (66, 78), (done.stdout, done.stderr))
                self.assertIn("none", done.stderr)
                self.assertFalse((self.folder / "none").exists())


class HelpAndOptions(Folder):
    def test_every_command_is_explained(self):
        overview = self.check(0, ["help"]).stdout
        listed = re.findall(r"^  ([a-z]+)  ", overview, re.M)
        self.assertLessEqual(set(COMMANDS), set(listed))
        for command in listed:
            text = self.check(0, ["help", command]).stdout
            self.assertTrue(text.startswith(f"tidemark {command}:"), text[:200])
            self.assertEqual(text, self.check(0, [command, "--help"]).stdout)
            self.assertLessEqual(max(map(len, text.splitlines())), 100, command)

    def test_no_line_ends_with_blanks(self):
        for arguments in (["help"], ["help", "ingest"], ["config"], ["config", "--markdown"]):
            text = self.check(0, arguments).stdout
            self.assertEqual([], [line for line in text.splitlines() if line != line.rstrip()], arguments)

    def test_an_unknown_command_is_answered_with_a_suggestion(self):
        self.check(2, ["igest"], ("igest", "did you mean ingest?"))
        self.check(2, ["help", "igest"], ("igest", "did you mean ingest?"))
        self.assertNotIn("did you mean", self.check(2, ["xyzzy"], "xyzzy").stderr)

    def test_an_unknown_option_is_answered_with_a_suggestion(self):
        for arguments, right in ((["ingest", "x", "--bach", "3"], "--batch"), (["values", "n", "--jsn"], "--json"),
                                 (["serve", "--partitons", "3"], "--partitions"),
                                 (["replay", "--untill", "3"], "--until")):
            self.check(2, arguments, (arguments[-1] if right == "--json" else arguments[-2], f"did you mean {right}?"))

    def test_an_option_without_its_value(self):
        self.check(2, ["ingest", "x", "--batch"], "--batch")

    def test_an_option_given_to_a_command_that_has_none_such(self):
        self.check(2, ["values", "n", "--partitions", "4"], "--partitions")

    def options(self, *arguments, environment=None):
        """name: (value, origin)"""
        lines = self.check(0, ["config", *arguments], environment=environment).stdout.splitlines()
        found = [re.match(r"(\S+) += (.*?) +# (\w+)$", line) for line in lines]
        return {m[1]: (m[2].strip(), m[3]) for m in found if m}

    def test_config_shows_each_option_and_where_it_comes_from(self):
        config = self.write("config", '# mine\npartitions = 8\nsnapshot_every = "1G" # often\nbatch = 7\n')
        options = self.options("--config", config, environment={"TIDEMARK_THREADS": "3"})
        self.assertEqual(("8", "file"), options["partitions"])
        self.assertEqual("file", options["snapshot-every"][1])
        self.assertEqual(("3", "environment"), options["threads"])
        self.assertEqual("default", options["listen"][1])

    def test_the_environment_is_before_the_file(self):
        config = self.write("config", "partitions = 8\n")
        options = self.options("--config", config, environment={"TIDEMARK_PARTITIONS": "4"})
        self.assertEqual(("4", "environment"), options["partitions"])
        options = self.options(environment={"TIDEMARK_CONFIG": str(config)})
        self.assertEqual(("8", "file"), options["partitions"])

    def test_a_file_that_is_wrong_is_told_with_its_line(self):
        for text, line, word in (("partitions = 8\npartitons = 9\n", 2, "did you mean partitions?"),
                                 ("partitions eight\n", 1, "name = value"),
                                 ("\n\npartitions = eight\n", 3, "eight"),
                                 ("partitions 8", 1, "name = value")):
            with self.subTest(text=text):
                config = self.write("config", text)
                self.check(78, ["config", "--config", config], (str(config), f"line {line}", word))
        binary = self.write("binary", "partitions = 8\nbytes\0here = 1\n")
        self.check(78, ["config", "--config", binary], str(binary))
        self.check(78, ["config", "--config", self.folder / "none"], str(self.folder / "none"))
        self.check(78, ["config", "--config", self.folder], str(self.folder))

    def test_a_wrong_value_in_the_environment(self):
        self.check(78, ["config"], "TIDEMARK_PARTITIONS", environment={"TIDEMARK_PARTITIONS": "many"})

    def test_the_manual_page_of_the_options_is_the_one_in_the_tree(self):
        text = self.check(0, ["config", "--markdown"]).stdout
        for option in self.options():
            self.assertIn(option, text)
        self.assertEqual((ROOT / "docs/guide/configuration.md").read_text(encoding="utf-8"), text)


if __name__ == "__main__":
    # What this machine's own environment sets would be in force in every run.
    for name in [name for name in os.environ if name.startswith("TIDEMARK_") and name != "TIDEMARK_BIN"]:
        del os.environ[name]
    cases.main()

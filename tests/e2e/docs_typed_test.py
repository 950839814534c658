#!/usr/bin/env python3
"""The README and the guides as a newcomer types them: each block of commands runs as it stands, on one server
after the other page, and prints what the page says it prints.

Replaced are the path of the program and the address; Ctrl-C is `--limit 1`, fifteen seconds are five, and where a page
says that silence is believed after half a minute, this server believes it after a second."""
import json
import os
import pathlib
import re
import subprocess
import unittest

from support.server import BINARY, Server

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS_MAX = 60
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?Z?)?( – \d\d:\d\d)?")


def page(path):
    """[(language, text)] of its blocks, in order."""
    return BLOCK.findall((ROOT / path).read_text(encoding="utf-8"))


def lines(text):
    """What has to be the same today: no times, and the rows of one window in any order."""
    text = re.sub(r"in [\d.]+ m?s\b", "in SOME", TIME.sub("TIME", text))
    return sorted(line.rstrip() for line in text.splitlines() if line.strip())


class Typed(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        self.server = Server(4, 2)
        self.addCleanup(self.server.discard)
        self.server.start()

    def block(self, path, word):
        """The commands of the first block with this word, and what the page shows behind it."""
        blocks = page(path)
        found = [n for n, (language, text) in enumerate(blocks) if language == "sh" and word in text + "```"]
        self.assertTrue(found, (path, word))
        shown = blocks[found[0] + 1] if found[0] + 1 < len(blocks) else ("sh", "")
        return blocks[found[0]][1], None if shown[0] == "sh" else shown[1]

    def type(self, commands):
        """Runs them in a shell; what they print."""
        url = f"http://127.0.0.1:{self.server.port}"
        text = commands.replace("build/tidemark", str(BINARY)).replace("http://127.0.0.1:7070", url)
        text = re.sub(r"(tail notifications[^#\n]*)", r"\1 --limit 1 ", text)
        done = subprocess.run(["bash", "-euc", text], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=SECONDS_MAX,
                              env={**os.environ, "TIDEMARK_URL": url})
        self.assertEqual(0, done.returncode, (text, done.stdout, done.stderr))
        return done.stdout

    def check(self, path, word):
        commands, shown = self.block(path, word)
        self.assertIsNotNone(shown, f"{path}: nothing is shown behind {word}")
        self.assertEqual(lines(shown), lines(self.type(commands)), f"{path}: {word}")

    def test_getting_started_then_timeouts(self):
        for word in ("CREATE METRIC orders AS", '"city":"Bergen"', "values orders\n```"):
            self.check("docs/guide/getting-started.md", word)
        # On the same server, with the events of the other page already in it.
        commands, shown = self.block("docs/guide/timeouts.md", "/complete")
        feed = json.loads(self.type(commands).splitlines()[-1])
        self.assertEqual([("order-17", {"customer": "Ada"})],
                         [(note["subject"], note["data"]["data"]) for note in feed["items"]])
        for name in re.findall(r'"(\w+)":', shown):
            self.assertIn(f'"{name}":', json.dumps(feed, separators=(",", ":")))
        self.server.put_source("*", idle_after="PT1S")
        commands, shown = self.block("docs/guide/timeouts.md", "CREATE TIMEOUT unpaid")
        printed = self.type(f"U=http://127.0.0.1:{self.server.port}\n" + commands)
        self.assertEqual(["CREATE TIMEOUT unpaid: done, version 1", '{"accepted":3,"rejected":[]}'],
                         printed.splitlines()[:2])
        self.assertEqual(lines(shown), lines(printed.splitlines()[-1]))

    def test_your_own_events_and_timeouts_of_the_readme(self):
        self.check("README.md", '"city":"Bergen"')
        commands, shown = self.block("README.md", "timeouts create")
        self.assertEqual(lines(shown), lines(self.type(commands.replace("15s", "5s"))))

    def test_the_flights_of_the_readme(self):
        for word in ("CREATE METRIC arrivals", "CREATE TIMEOUT lost"):
            commands, _ = self.block("README.md", word)
            self.type(commands.split("build/tidemark tail")[0])
        flights = ROOT / "demo/flights-2013-01-01.ndjson.gz"
        self.type(f"build/tidemark ingest {flights} --speed 43200x")
        commands, shown = self.block("README.md", "window=latest_final")
        answer, example = json.loads(self.type(commands)), json.loads(shown)
        self.assertEqual([set(item) for item in example["items"]], [set(item) for item in answer["items"]])
        self.assertEqual(set(example), set(answer))
        _, shown = self.block("README.md", "CREATE TIMEOUT lost")
        self.assertEqual(lines(shown.splitlines()[0]), lines(self.type("build/tidemark tail notifications")))


if __name__ == "__main__":
    unittest.main(verbosity=2)

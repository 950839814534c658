#!/usr/bin/env python3
"""The demo as a newcomer without a terminal sees it: it starts, shows real numbers, and cleans up."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIDEMARK = os.environ.get("TIDEMARK", str(ROOT / "build/tidemark"))
SECONDS_MAX = 120


class Demo(unittest.TestCase):
    def test_it_shows_departures_by_airport_and_leaves_nothing_behind(self):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "TIDEMARK": TIDEMARK, "TMPDIR": folder, "DEMO_PORT": "0"}
            done = subprocess.run([ROOT / "tools/run_demo.sh"], env=environment, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=SECONDS_MAX)
            self.assertEqual(0, done.returncode, done.stdout)
            for airport in ("EWR", "JFK", "LGA"):
                self.assertRegex(done.stdout, rf"\b{airport}\b")
            self.assertRegex(done.stdout, r"departures")
            self.assertEqual([], os.listdir(folder))
            port = re.search(r"http://127\.0\.0\.1:(\d+)", done.stdout)
            self.assertNotEqual(0, int(port[1]))

    def test_a_server_that_cannot_start_is_told_with_its_own_words(self):
        with tempfile.TemporaryDirectory() as folder:
            broken = pathlib.Path(folder) / "tidemark"
            broken.write_text("#!/bin/sh\necho no such thing as a tide here >&2\nexit 78\n")
            broken.chmod(0o755)
            environment = {**os.environ, "TIDEMARK": str(broken), "DEMO_PORT": "0"}
            done = subprocess.run([ROOT / "tools/run_demo.sh"], env=environment, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=SECONDS_MAX)
            self.assertEqual(1, done.returncode, done.stdout)
            self.assertIn("no such thing as a tide here", done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)

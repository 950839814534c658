#!/usr/bin/env python3
"""What the CI machine runs is not empty: .ci/run calls `make test`, then `make test-long`, and ends with the first
that fails. A `make` of our own stands on the path and notes what it was asked for."""
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run_ci(make_exit):
    """(exit code, what `make` was asked for) of .ci/run beside a `make` that ends so."""
    with tempfile.TemporaryDirectory() as directory:
        notes = pathlib.Path(directory) / "asked"
        notes.touch()
        make = pathlib.Path(directory) / "make"
        make.write_text(f'#!/bin/sh\necho "$*" >>"{notes}"\nexit {make_exit}\n', encoding="utf-8")
        make.chmod(0o755)
        ended = subprocess.run([str(ROOT / ".ci/run")], check=False, timeout=30,
                               env={**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"})
        return ended.returncode, notes.read_text(encoding="utf-8").split("\n")[:-1]


class CiTest(unittest.TestCase):
    def test_runs_both_commands(self):
        self.assertEqual(run_ci(0), (0, ["test", "test-long"]))

    def test_ends_with_the_first_that_fails(self):
        self.assertEqual(run_ci(2), (2, ["test"]))


if __name__ == "__main__":
    unittest.main(verbosity=2)

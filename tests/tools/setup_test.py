#!/usr/bin/env python3
"""setup.sh on a machine that lacks things: it says what, and where it may not install, it doesn't."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHELL_TOOLS = ["sh", "awk", "sort", "tr", "cat", "id", "mktemp", "rm", "tail"]


def setup(level, commands):
    """setup.sh with nothing but these commands on the PATH."""
    with tempfile.TemporaryDirectory() as folder:
        for command in commands:
            os.symlink(shutil.which(command), pathlib.Path(folder) / command)
        done = subprocess.run([shutil.which("sh"), ROOT / "tools/setup.sh", level], text=True,
                              env={"PATH": folder}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout


class Setup(unittest.TestCase):
    def test_it_names_what_is_missing_and_the_packages(self):
        code, output = setup("build", SHELL_TOOLS)
        self.assertEqual(1, code, output)
        self.assertIn("missing: gcc ar ninja meson pkg-config python3", output)
        self.assertIn("no apt-get here", output)
        self.assertIn("libzstd-dev", output)
        self.assertNotIn("libcmocka-dev", output)

    def test_testing_needs_more(self):
        code, output = setup("test", SHELL_TOOLS)
        self.assertEqual(1, code, output)
        self.assertIn("libcmocka-dev", output)
        self.assertIn("clang", output)

    def test_a_complete_machine_is_left_alone(self):
        done = subprocess.run([ROOT / "tools/setup.sh", "test"], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        self.assertEqual((0, "setup: everything for 'test' is here\n"), (done.returncode, done.stdout))

    def test_an_unknown_level_is_refused(self):
        self.assertEqual(2, setup("everything", SHELL_TOOLS)[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)

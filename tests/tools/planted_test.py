#!/usr/bin/env python3
"""Every bug to plant can be planted: its text stands exactly once in the file it names. So a change of the sources
that moves such a text is told in the quick tests, not after half an hour of the long ones."""
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from planted.bugs import BUGS  # noqa: E402  (only found with the path above)


class PlantedTest(unittest.TestCase):
    def test_each_text_stands_once(self):
        for name, _, file, text, instead in BUGS:
            with self.subTest(bug=name):
                self.assertEqual((ROOT / file).read_text(encoding="utf-8").count(text), 1, file)
                self.assertNotEqual(text, instead)

    def test_each_name_is_used_once(self):
        names = [bug[0] for bug in BUGS]
        self.assertEqual(len(names), len(set(names)))
        self.assertGreaterEqual(len(names), 15)


if __name__ == "__main__":
    unittest.main(verbosity=2)

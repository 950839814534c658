#!/usr/bin/env python3
"""docs/guide/problems.md explains every problem that src/base/errors.def defines, and no other."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFINED = re.compile(r'^ERR\(\w+, "([a-z0-9-]+)", (\d{3}), "([^"]+)"\)$', re.MULTILINE)
EXPLAINED = re.compile(r"^## (.+)\n\n`urn:tidemark:problem:([a-z0-9-]+)`, (\d{3}): \*(.+)\.\*$", re.MULTILINE)


class Problems(unittest.TestCase):
    def setUp(self):
        definitions = (ROOT / "src/base/errors.def").read_text(encoding="utf-8")
        self.defined = DEFINED.findall(definitions)
        self.assertEqual(definitions.count("\nERR("), len(self.defined), "a row that can't be read")
        self.assertGreater(len(self.defined), 30)
        self.page = (ROOT / "docs/guide/problems.md").read_text(encoding="utf-8")

    def test_each_problem_is_explained_with_its_status_and_title_in_the_order_of_the_table(self):
        explained = [row[1:] for row in EXPLAINED.findall(self.page)]
        self.assertEqual(self.defined, explained)

    def test_each_section_is_named_after_its_problem_so_that_links_work(self):
        sections = re.findall(r"^## (.+)$", self.page, re.MULTILINE)
        self.assertEqual([name for name, _, _ in self.defined], sections)

    def test_each_section_says_what_it_means_and_what_to_do(self):
        for section in self.page.split("\n## ")[1:]:
            paragraphs = [p for p in section.strip().split("\n\n") if p]
            self.assertEqual(4, len(paragraphs), section)
            self.assertTrue(paragraphs[3].startswith("**Do:** "), section)


if __name__ == "__main__":
    unittest.main(verbosity=2)

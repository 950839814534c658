#!/usr/bin/env python3
"""Canaries of check_docs: each rule is shown a tree that breaks it."""
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import check_docs  # noqa: E402

DECISION = "".join(f"## {h}\n\ntext\n\n" for h in check_docs.ADR_HEADINGS)
GOOD = {
    "README.md": "# A title\n\nSee [the map](docs/MAP.md#where-things-are), [top](#a-title), `[no](link)`\n",
    "docs/MAP.md": "# Map\n\n## Where things are\n\n```\n[not](a-link)\n```\n[up](../README.md)\n",
    "docs/adr/README.md": "[1](0001-a.md)\n",
    "docs/adr/0001-a.md": DECISION,
    "src/core/README.md": "`a.h`, `core/a.h`, `stdlib`\n",
    "src/core/a.h": "#pragma once\n",
    "CHANGELOG.md": "## Unreleased\n\n### Added\n",
}


def complaints(files):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return check_docs.check_tree(root)[0]


class Canaries(unittest.TestCase):
    def assert_bad(self, files, expected):
        found = complaints({**GOOD, **files})
        self.assertEqual(1, len(found), found)
        self.assertIn(expected, found[0])

    def test_a_good_tree_is_good(self):
        self.assertEqual([], complaints(GOOD))

    def test_a_dead_link_is_found(self):
        self.assert_bad({"docs/x.md": "\n[gone](gone.md)\n"}, "x.md:2: gone.md leads nowhere")

    def test_a_dead_heading_is_found(self):
        self.assert_bad({"docs/x.md": "[gone](MAP.md#gone)\n"}, "no such heading")

    def test_a_folder_without_a_readme_is_found(self):
        self.assert_bad({"src/host/a.c": "\n"}, "src/host:1: has no README.md")

    def test_a_readme_that_names_a_file_that_is_gone_is_found(self):
        self.assert_bad({"src/core/README.md": "`b.h`\n"}, "there is no b.h")

    def test_a_long_readme_is_found(self):
        self.assert_bad({"src/core/README.md": "line\n" * 61}, "at most 60")

    def test_a_decision_off_the_template_is_found(self):
        self.assert_bad({"docs/adr/0001-a.md": DECISION + "## More\n"}, "headings are")
        self.assert_bad({"docs/adr/0001-a.md": DECISION + "line\n" * 80}, "longer than a page")
        self.assert_bad({"docs/adr/0002-b.md": DECISION}, "isn't in docs/adr/README.md")

    def test_a_heading_unknown_to_the_changelog_is_found(self):
        self.assert_bad({"CHANGELOG.md": "### Removed\n"}, "CHANGELOG.md:1")

    def test_words_for_insiders_are_found_in_code_too(self):
        self.assert_bad({"tools/x.sh": "cat /wor" + "k/thing\n"}, "means nothing")
        self.assert_bad({"src/core/x.c": "/* see the hand" + "book */\n"}, "means nothing")
        self.assertEqual([], complaints({**GOOD, "tools/x.sh": "ls $here/work/x network/home/x\n"}))


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
"""Canaries: a check that can't fail is none, so each rule is shown a tree that breaks it."""
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import check_layers  # noqa: E402


def complaints(files):
    """What check_layers says about a tree of {path: text}."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return check_layers.check_tree(root)[0]


GOOD = {
    "src/base/bytes.h": "#pragma once\n#include <stddef.h>\n",
    "src/core/wheel.h": "#pragma once\n",
    "src/core/wheel.c": '#include "core/wheel.h"\n#include "base/bytes.h"\n#include <string.h>\n'
                        "int wheel_turn(int by)\n{\n    return by;\n}\n",
}


class Canaries(unittest.TestCase):
    def assert_bad(self, files, expected):
        found = complaints({**GOOD, **files})
        self.assertEqual(1, len(found), found)
        self.assertIn(expected, found[0])

    def test_a_good_tree_is_good(self):
        self.assertEqual([], complaints(GOOD))

    def test_core_may_not_include_host(self):
        self.assert_bad({"src/core/bad.c": '#include "host/runner.h"\n'}, "src/core/bad.c:1: core may not")

    def test_adapters_do_not_know_each_other(self):
        self.assert_bad({"src/adapters/a/x.c": '#include "adapters/b/y.h"\n'}, "don't know each other")

    def test_an_unknown_folder_is_refused(self):
        self.assert_bad({"src/util/x.c": "\n"}, "no folder of the architecture")

    def test_the_pure_part_includes_no_header_that_acts(self):
        self.assert_bad({"src/core/bad.c": "#include <stdio.h>\n"}, "may not include <stdio.h>")
        self.assert_bad({"src/model/bad.c": '#include "base/mailbox.h"\n'}, "no threads")
        self.assertEqual([], complaints({**GOOD, "src/base/mailbox.c": "#include <stdatomic.h>\n"}))

    def test_the_own_header_comes_first(self):
        self.assert_bad({"src/core/wheel.c": '#include <string.h>\n#include "core/wheel.h"\n'},
                        "include core/wheel.h first")

    def test_conditional_compilation_is_refused(self):
        self.assert_bad({"src/host/bad.c": "#ifdef LINUX\n#endif\n"}, "no #if here")

    def test_banned_calls_are_found_and_words_alike_are_not(self):
        self.assert_bad({"src/host/bad.c": "int f(const char *s)\n{\n    return atoi(s);\n}\n"},
                        "bad.c:3: atoi is banned")
        self.assert_bad({"src/host/bad.c": "void f(void)\n{\n    qsort(a, 1, 1, g);\n}\n"}, "qsort")
        self.assertEqual([], complaints({**GOOD, "tests/unit/x_test.c": "int x = qsort(a);\n"}))
        self.assertEqual([], complaints({**GOOD, "src/host/good.c":
                                         '/* not qsort(x) */\nconst char *s = "rand()";\n'
                                         "int my_rand(void);\n"}))
        self.assertEqual([], complaints({**GOOD, "src/host/good.c": "int x = port->random(s.rand());\n"}))

    def test_unfinished_work_is_found(self):
        self.assert_bad({"src/host/bad.c": "/* FIX" + "ME later */\n"}, "finish it")

    def test_a_long_file_header_and_function_are_refused(self):
        self.assert_bad({"src/host/bad.c": "\n" * 801}, "801 lines, at most 800")
        self.assert_bad({"tests/unit/host/bad_test.c": "\n" * 801}, "at most 800")
        self.assert_bad({"src/host/bad.h": "#pragma once\n" + "\n" * 200}, "a header has at most 200")
        self.assert_bad({"src/host/bad.h": "\n"}, "#pragma once is missing")
        body = "int f(void)\n{\n" + "    g(); // }\n" * 70 + "}\n"
        self.assert_bad({"src/host/bad.c": body}, "bad.c:2: f has 71 lines")
        body = "int f(void)\n{\n" + "    g(\"{\");\n" * 69 + "}\n"
        self.assertEqual([], complaints({**GOOD, "src/host/good.c": body}))

    def test_many_parameters_and_deep_nesting_are_refused(self):
        self.assert_bad({"src/host/bad.c": "int f(int a, int b, int c, int d, int e, int f, int g)\n{\n}\n"},
                        "f has 7 parameters")
        self.assertEqual([], complaints({**GOOD, "src/host/good.c":
                                         "int f(int a, int (*b)(int, int, int, int, int))\n{\n}\n"}))
        deep = "int f(void)\n{\n" + "if (a) {\n" * 5 + "}\n" * 5 + "}\n"
        self.assert_bad({"src/host/bad.c": deep}, "f nests 5 deep")
        literal = "int f(void)\n{\n" + "if (a) {\n" * 4 + "g((struct x){.a = {{1}}});\n" + "}\n" * 4 + "}\n"
        self.assertEqual([], complaints({**GOOD, "src/host/good.c": literal}))

    def test_an_empty_tree_was_not_checked(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(0, check_layers.check_tree(pathlib.Path(folder))[1])


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
"""Canaries of check_pure: archives that call out, keep state or are no core at all."""
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FACES = """
#include <stddef.h>
void *memcpy(void *, const void *, size_t);
static const int table[] = {1, 2, 3};
static const char *const names[] = {"a", "b"};
const char *name(int i);
const char *name(int i) { return names[i]; }
int intake_apply(int i);
int shard_apply(int i);
int intake_apply(int i) { return shard_apply(i) + table[i]; }
int shard_apply(int i) { int j; memcpy(&j, &i, sizeof(j)); return j; }
"""


def check(source, flags=("-O2", "-fPIC", "-w")):
    """check_pure's exit code and words about an archive made of the source."""
    with tempfile.TemporaryDirectory() as folder:
        here = pathlib.Path(folder)
        (here / "a.c").write_text(source, encoding="utf-8")
        subprocess.run(["gcc", *flags, "-c", "a.c", "-o", "a.o"], cwd=here, check=True)
        subprocess.run(["ar", "rcs", "a.a", "a.o"], cwd=here, check=True)
        done = subprocess.run([ROOT / "tools/check_pure.sh", here / "a.a"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout


class Canaries(unittest.TestCase):
    def assert_bad(self, more, word):
        code, output = check(FACES + more)
        self.assertEqual(1, code, output)
        self.assertIn(word, output)

    def test_a_pure_archive_is_pure(self):
        self.assertEqual((0, ""), check(FACES))

    def test_calls_to_the_outside_are_found(self):
        self.assert_bad("void *malloc(size_t);\nvoid *f(void) { return malloc(9); }\n", "malloc")
        self.assert_bad("long time(long *);\nlong f(void) { return time(0); }\n", "time")
        self.assert_bad("double sqrt(double);\ndouble f(double x) { return sqrt(x); }\n", "sqrt")

    def test_state_that_outlives_a_call_is_found(self):
        self.assert_bad("int f(void) { static int calls; return calls++; }\n", "calls")
        self.assert_bad("int seed = 7;\n", "seed")
        self.assert_bad("static const char *last = \"x\";\nvoid f(const char *s) { last = s; }\n"
                        "const char *g(void) { return last; }\n", "last")

    def test_an_archive_without_the_core_proves_nothing(self):
        code, output = check("int nothing(void) { return 0; }\n")
        self.assertEqual(1, code)
        self.assertIn("intake_apply", output)

    def test_a_missing_archive_proves_nothing(self):
        done = subprocess.run([ROOT / "tools/check_pure.sh", "/nonexistent.a"],
                              stderr=subprocess.PIPE)
        self.assertEqual(1, done.returncode)


if __name__ == "__main__":
    unittest.main(verbosity=2)

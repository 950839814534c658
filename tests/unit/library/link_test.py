#!/usr/bin/env python3
"""The library as files: what it exports, that strangers can link it, that the example does its work.

Usage: link_test.py COMPILER [FLAG ...]    with LIBRARY_STATIC, LIBRARY_SHARED and LIBRARY_PC set
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
HEADER = ROOT / "include/tidemark.h"
AVERAGE = ROOT / "examples/average.c"
STATIC = os.environ["LIBRARY_STATIC"]
SHARED = os.environ["LIBRARY_SHARED"]
COMPILER = []
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wconversion", "-Wshadow", "-Wundef"]

# Names that the library uses inside, too.
STRANGER = """
#include <tidemark.h>
int collect_create(void);
int collect_create(void) { return 1; }
int check_failed(void);
int check_failed(void) { return 2; }
static int count(const struct tidemark_window *window, void *context)
{
    *(int *)context += (int)window->event_count;
    return 0;
}
int main(void)
{
    const uint32_t partitions[] = {9};
    int events = 0;
    struct tidemark_ingestor *ingestor = tidemark_ingestor_create(partitions, 1, 60, NULL, NULL);
    tidemark_ingestor_ingest(ingestor, 9, 0, "a", 1);
    tidemark_ingestor_advance_watermark(ingestor, 9, 60);
    tidemark_ingestor_emit(ingestor, count, &events);
    tidemark_ingestor_destroy(ingestor);
    return events == 1 && collect_create() == 1 && check_failed() == 2 ? 0 : 1;
}
"""


def run(command, **options):
    return subprocess.run([str(part) for part in command], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=100, **options)


def exported(path, *options):
    """The names that nm calls defined and global."""
    lines = run(["nm", "--format=posix", "--defined-only", "--extern-only", *options, path]).stdout
    return {line.split()[0].split("@")[0] for line in lines.splitlines() if len(line.split()) > 2}


def declared():
    """The functions of the header, without its comments."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(encoding="utf-8"), flags=re.DOTALL)
    return set(re.findall(r"\b(tidemark_\w+)\(", text))


class Library(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def assert_runs(self, command, **options):
        done = run(command, **options)
        self.assertEqual(0, done.returncode, f"{command}\n{done.stdout}{done.stderr}")
        return done

    def link(self, source, *arguments):
        program = self.folder / "program"
        self.assert_runs([*COMPILER, "-std=c99", *STRICT, source, "-o", program, *arguments])
        return program

    def average(self, program, lines, *arguments):
        return run([program, *arguments], input=lines,
                   env={**os.environ, "LD_LIBRARY_PATH": str(pathlib.Path(SHARED).parent)})

    def test_the_header_is_c99_c17_and_every_cxx(self):
        for standard in ("c99", "c11", "c17"):
            self.assert_runs([COMPILER[0], f"-std={standard}", *STRICT, "-fsyntax-only", "-xc", HEADER])
        cxx = "clang++" if "clang" in pathlib.Path(COMPILER[0]).name else "g++"
        if not shutil.which(cxx):
            self.skipTest(f"there is no {cxx}")
        for standard in ("c++98", "c++11", "c++17", "c++20"):
            self.assert_runs([cxx, f"-std={standard}", *STRICT, "-fsyntax-only", "-xc++", HEADER])

    def test_it_works_from_cxx(self):
        cxx = "clang++" if "clang" in pathlib.Path(COMPILER[0]).name else "g++"
        if not shutil.which(cxx):
            self.skipTest(f"there is no {cxx}")
        source = self.folder / "stranger.cc"
        source.write_text(STRANGER, encoding="utf-8")
        program = self.folder / "program"
        self.assert_runs([cxx, *COMPILER[1:], "-std=c++11", f"-I{HEADER.parent}", source, STATIC,
                          "-o", program])
        self.assert_runs([program])

    def test_both_libraries_show_what_the_header_declares_and_nothing_else(self):
        self.assertGreaterEqual(len(declared()), 9)
        for found in (exported(SHARED, "--dynamic"), exported(STATIC)):
            # Sanitizers leave marks of their own.
            self.assertEqual(declared(), {name for name in found if not name.startswith("__")})

    def test_the_shared_library_has_a_versioned_name(self):
        text = self.assert_runs(["objdump", "-p", SHARED]).stdout
        self.assertRegex(text, r"SONAME\s+libtidemark\.so\.0\n")
        for name in ("libtidemark.so", "libtidemark.so.0"):
            self.assertTrue((pathlib.Path(SHARED).parent / name).exists(), name)

    def test_the_static_library_is_whole(self):
        self.assertEqual(b"!<arch>\n", pathlib.Path(STATIC).read_bytes()[:8])

    def test_a_program_may_use_the_names_inside_for_itself(self):
        source = self.folder / "stranger.c"
        source.write_text(STRANGER, encoding="utf-8")
        self.assert_runs([self.link(source, f"-I{HEADER.parent}", STATIC)])

    def test_pkg_config_is_enough_to_build_the_example(self):
        flags = self.assert_runs(["pkg-config", "--cflags", "--libs", "tidemark"],
                                 env={**os.environ, "PKG_CONFIG_PATH": os.environ["LIBRARY_PC"]})
        program = self.link(AVERAGE, *flags.stdout.split())
        done = self.average(program, "0 5 1\n")
        self.assertEqual((0, "[0, 60) 1 events, mean 1.00\n", ""),
                         (done.returncode, done.stdout, done.stderr))

    def test_the_example_tells_the_mean_of_each_window(self):
        program = self.link(AVERAGE, f"-I{HEADER.parent}", STATIC)
        done = self.average(program, "0 5 10\n1 -3 4\n0 59 20\n2 75 7.5\n0 130 1\n0 119 9\n")
        self.assertEqual("1 too late\n", done.stderr)
        self.assertEqual("[-60, 0) 1 events, mean 4.00\n[0, 60) 2 events, mean 15.00\n"
                         "[60, 120) 1 events, mean 7.50\n[120, 180) 1 events, mean 1.00\n", done.stdout)
        self.assertEqual(0, done.returncode)

    def test_the_example_refuses_what_it_cannot_read(self):
        program = self.link(AVERAGE, f"-I{HEADER.parent}", STATIC)
        for lines in ("0 5\n", "4 5 6\n", "x\n", "0 5 6 7\n", "0 99999999999999999999 1\n", "\n"):
            done = self.average(program, lines)
            self.assertEqual(1, done.returncode, lines)
            self.assertIn("line 1 is not", done.stderr)
        self.assertEqual(2, self.average(program, "", "0").returncode)
        self.assertEqual(2, self.average(program, "", "60", "-1").returncode)
        self.assertEqual((0, ""), (self.average(program, "").returncode, ""))


if __name__ == "__main__":
    COMPILER = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])

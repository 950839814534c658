#!/usr/bin/env python3
"""The runner counts honestly: what failed, crashed, hung, or ran nothing is never a pass."""
import contextlib
import importlib.util
import io
import os
import pathlib
import sys
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("runner", ROOT / "tools/test.py")
runner = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(runner)


def counted(output, code):
    result = runner.count(output, code)
    return result.passed, result.failed, len(result.skips)


class Counting(unittest.TestCase):
    def test_tap_counts_each_test(self):
        self.assertEqual((2, 0, 0), counted("1..2\nok 1 - a\nok 2 - b\n", 0))
        self.assertEqual((1, 1, 0), counted("1..2\nok 1 - a\nnot ok 2 - b\n# why\n", 1))
        self.assertEqual((1, 0, 1), counted("1..2\nok 1 - a\nok 2 # SKIP no network\n", 0))
        self.assertEqual((3, 0, 0), counted("1..1\nok 1 - a\n1..2\nok 1 - b\nok 2 - c\n", 0))

    def test_a_crash_half_way_fails_what_did_not_run(self):
        self.assertEqual((1, 2, 0), counted("1..3\nok 1 - a\n", -11))

    def test_a_sanitizer_report_after_the_last_test_is_a_failure(self):
        self.assertEqual((1, 1, 0), counted("1..1\nok 1 - a\nLeakSanitizer: ...\n", 1))

    def test_unittest_summaries_count_each_test(self):
        self.assertEqual((5, 0, 0), counted("Ran 5 tests in 0.1s\n\nOK\n", 0))
        self.assertEqual((2, 2, 1), counted("x ... skipped 'why'\nRan 5 tests in 0.1s\n\n"
                                            "FAILED (failures=1, errors=1, skipped=1)\n", 1))

    def test_a_program_that_says_nothing_counts_as_one(self):
        self.assertEqual((1, 0, 0), counted("", 0))
        self.assertEqual((0, 1, 0), counted("boom\n", 3))

    def test_a_skip_keeps_its_reason(self):
        result = runner.count("looking\nno such tool\n", runner.SKIP_EXIT)
        self.assertEqual((0, 0, ["no such tool"]), (result.passed, result.failed, result.skips))

    def test_running_no_test_is_a_failure(self):
        self.assertEqual((0, 1, 0), counted("Ran 0 tests in 0.0s\n\nOK\n", 0))
        self.assertEqual((0, 1, 0), counted("1..0\n", 0))

    def test_totals_are_found_in_any_output_and_nothing_else_is(self):
        output = "1..1\nok 1\n# totals: fuzz_replays=7\ntotals: a=1 b=20\nnot totals: a=5\n  totals: a=9\ntotals: c=x d=1.5\n"
        self.assertEqual([("fuzz_replays", 7), ("a", 1), ("b", 20)], runner.totals_of(output))

    def test_totals_are_summed_by_name(self):
        counter = runner.Runner(None)
        with contextlib.redirect_stdout(io.StringIO()):
            counter.note("one", runner.count("totals: a=1 b=2\n", 0), 0)
            counter.note("two", runner.count("totals: a=10\n", 0), 0)
        self.assertEqual({"a": 11, "b": 2}, counter.totals)

    def test_the_last_two_lines_are_the_totals_and_the_counts(self):
        def one_program(counter):
            counter.program("one", [sys.executable, "-c", "print('totals: z=1 a=2')"])
        with contextlib.redirect_stdout(io.StringIO()) as said, \
                mock.patch.object(sys, "argv", ["test.py", "one"]), \
                mock.patch.object(runner.Runner, "step", lambda counter, name: one_program(counter)):
            self.assertEqual(0, runner.main())
        self.assertEqual(["totals: a=2 z=1", "1 passed, 0 failed, 0 skipped"], said.getvalue().splitlines()[-2:])

    def test_only_the_long_run_says_so_to_its_programs(self):
        show = [sys.executable, "-c", "import os, sys; sys.exit(os.environ.get('TIDEMARK_LONG') != '1')"]
        with contextlib.redirect_stdout(io.StringIO()), mock.patch.dict(os.environ):
            os.environ.pop("TIDEMARK_LONG", None)
            for long_run in (False, True):
                counter = runner.Runner(None, long_run)
                counter.program("show", show)
                self.assertEqual(long_run, counter.passed == 1)

    def test_every_step_there_is_can_be_taken(self):
        taken = []
        counter = runner.Runner(None)
        names = {step for steps in runner.STEPS.values() for step in steps}
        with mock.patch.object(counter, "build", lambda flavour: taken.append(flavour)), \
                mock.patch.object(counter, "program", lambda name, *_: taken.append(name)):
            for name in names - {"fuzz"}:
                taken.clear()
                counter.step(name)
                self.assertTrue(taken, name)
            self.assertRaises(SystemExit, counter.step, "no such step")

    def test_scripts_that_are_named_are_there(self):
        for path in [*runner.LONG_ONLY, *runner.ALONE, *runner.NOT_SANITIZED]:
            self.assertTrue((ROOT / path).exists(), path)

    def test_every_script_starts_a_sanitized_server_or_says_why_not(self):
        ran = []
        with contextlib.redirect_stdout(io.StringIO()), \
                mock.patch.object(runner.Runner, "build", lambda counter, flavour: ran.append(flavour) or True), \
                mock.patch.object(runner, "execute", lambda command, environment: ran.append((command[-1], environment)) or ("", 0)):
            runner.Runner(None, True).step("sanitized")
        self.assertEqual("asan", ran.pop(0))
        for path, environment in ran:
            self.assertEqual(("0", str(ROOT / "build-asan/tidemark")), (environment["TIDEMARK_LONG"], environment["TIDEMARK"]))
        left_out = set(runner.scripts()) - {pathlib.Path(path) for path, _ in ran}
        named = {ROOT / path for path in runner.NOT_SANITIZED}
        self.assertEqual(named, {path for path in left_out if not runner.uses_hostile(path)})
        self.assertGreater(len(ran), 20)

    def test_scripts_together_are_each_counted(self):
        paths = runner.scripts()[:3]
        answers = {str(paths[0]): ("Ran 2 tests in 0.1s\n\nOK\n", 0), str(paths[1]): ("boom\n", 1),
                   str(paths[2]): ("no tool\n", runner.SKIP_EXIT)}
        counter = runner.Runner(None)
        with contextlib.redirect_stdout(io.StringIO()), mock.patch.object(counter, "build", lambda flavour: True), \
                mock.patch.object(runner, "execute", lambda command, environment: answers[command[-1]]):
            counter.together("gcc", paths, lambda path: path.parent.name)
        self.assertEqual((2, 1, 1), (counter.passed, len(counter.failed), len(counter.skips)))

    def test_a_hanging_program_is_killed_with_its_children(self):
        output, code = runner.execute(["sh", "-c", "sleep 60 & sleep 60"], seconds=0.3)
        self.assertEqual(1, code)
        self.assertIn("still running", output)

    def test_a_program_that_is_not_there_is_a_failure(self):
        output, code = runner.execute(["/nonexistent/program"])
        self.assertEqual((0, 1, 0), counted(output, code))

    def test_a_signal_is_named(self):
        output, code = runner.execute(["sh", "-c", "kill -SEGV $$"])
        self.assertLess(code, 0)
        self.assertIn("SIGSEGV", output)


if __name__ == "__main__":
    unittest.main(verbosity=2)

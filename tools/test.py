#!/usr/bin/env python3
"""Builds and runs the tests, and counts each one.

Usage: test.py all|quick|lint|unit|asan|tsan|clang|e2e ... [-k WORD]

    all    lint, builds by gcc and clang without a warning and by gcc -O0, the unit tests by gcc
           and under ASan + UBSan, then end to end
    quick  lint and the unit tests by gcc: the loop before each commit
    -k     only the test programs with WORD in their name

A test program is an executable that Meson knows, or a Python script named *_test.py. It says how
many tests it holds by TAP, as cmocka does when asked, or as Python's unittest does; one that says
nothing counts as one. Exit code 77 is a skip, whose reason is the last line it printed. A program
that passes without having run a test has failed.

The last line is always "N passed, N failed, N skipped". Exit code 1 when one failed, or none passed.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM_SECONDS_MAX = 600
OUTPUT_LINES_SHOWN = 120
SKIP_EXIT = 77
PURE_ARCHIVES = ["core/libcore.a", "lang/liblang.a", "model/libmodel.a", "base/libbase.a"]

STEPS = {
    "quick": ["lint", "gcc"],
    "unit": ["gcc"],
    "all": ["lint", "gcc", "clang", "asan", "plain", "e2e"],
}
ENVIRONMENT = {
    "CMOCKA_MESSAGE_OUTPUT": "TAP",
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class Result:
    """What one program's run came to."""

    def __init__(self, passed=0, failed=0, skips=(), output=""):
        self.passed = passed
        self.failed = failed
        self.skips = list(skips)
        self.output = output


def count_tap(output):
    """(passed, failed, skips) of TAP lines, or None when there are none."""
    plans = re.findall(r"^1\.\.(\d+)\s*$", output, re.MULTILINE)
    planned = sum(int(n) for n in plans)
    lines = re.findall(r"^(not )?ok\b[ \t]*(.*)$", output, re.MULTILINE)
    if not plans and not lines:
        return None
    skips = [m[1] for m in lines if re.search(r"#\s*skip", m[1], re.IGNORECASE)]
    failed = sum(1 for m in lines if m[0])
    failed += max(0, planned - len(lines))  # planned, but never came to an end
    return len(lines) - len(skips) - sum(1 for m in lines if m[0]), failed, skips


def count_unittest(output):
    """(passed, failed, skips) of unittest's summary, or None when there is none."""
    m = re.search(r"^Ran (\d+) tests? in ", output, re.MULTILINE)
    if not m:
        return None
    failed = sum(int(n) for n in re.findall(r"(?:failures|errors|unexpected successes)=(\d+)",
                                            output[m.end():]))
    skipped = re.search(r"skipped=(\d+)", output[m.end():])
    skipped = int(skipped[1]) if skipped else 0
    reasons = re.findall(r"^(.*\.\.\. skipped .*)$", output, re.MULTILINE)
    reasons += ["(no reason printed)"] * (skipped - len(reasons))
    return max(0, int(m[1]) - failed - skipped), failed, reasons[:skipped]


def count(output, code):
    """A Result from what a program printed and how it ended."""
    last = output.strip().splitlines()[-1] if output.strip() else ""
    if code == SKIP_EXIT:
        return Result(skips=[last or "no reason given"], output=output)
    counted = count_tap(output) or count_unittest(output)
    passed, failed, skips = counted or ((1, 0, []) if code == 0 else (0, 1, []))
    if code != 0 and failed == 0:
        failed = 1
    if code == 0 and failed == 0 and passed == 0 and not skips:
        failed = 1
        output += "\nit ran no test\n"
    return Result(passed, failed, skips, output)


def execute(command, environment=None, seconds=PROGRAM_SECONDS_MAX):
    """Runs a command in a process group of its own, all of which ends with it: (output, exit code)."""
    try:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **ENVIRONMENT, **(environment or {})})
    except OSError as error:
        return str(error), 127
    try:
        output, _ = process.communicate(timeout=seconds)
        code = process.returncode
        late = ""
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        code = 1
        late = f"\nit was still running after {seconds} s and was killed\n"
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    if code < 0:
        late += f"\nit died of {signal.Signals(-code).name}\n"
    text = re.sub(r"\x1b\[[0-9;]*[mK]", "", output.decode("utf-8", "replace"))
    return text + late, code


class Runner:
    def __init__(self, word):
        self.word = word
        self.passed = 0
        self.failed = []
        self.skips = []
        self.built = {}

    def note(self, name, result, seconds):
        self.passed += result.passed
        self.failed += [name] * result.failed
        self.skips += [f"{name}: {reason}" for reason in result.skips]
        mark = "FAIL" if result.failed else "skip" if not result.passed else "ok"
        skipped = f", {len(result.skips)} skipped" if result.skips else ""
        failed = f", {result.failed} failed" if result.failed else ""
        print(f"{mark:4} {name:44} {result.passed} passed{failed}{skipped}  {seconds:.1f} s", flush=True)
        if result.failed:
            lines = result.output.rstrip().splitlines()
            if len(lines) > OUTPUT_LINES_SHOWN:
                print(f"     ... {len(lines) - OUTPUT_LINES_SHOWN} lines before")
            print("\n".join("     " + line for line in lines[-OUTPUT_LINES_SHOWN:]), flush=True)

    def program(self, name, command, environment=None):
        if self.word and self.word not in name:
            return
        start = time.monotonic()
        output, code = execute(command, environment)
        self.note(name, count(output, code), time.monotonic() - start)

    def build(self, flavour):
        """Builds once; True when it worked. A build is a test: its warnings are errors."""
        if flavour not in self.built:
            start = time.monotonic()
            output, code = execute([str(ROOT / "tools/build.sh"), flavour], seconds=1800)
            result = Result(passed=int(code == 0), failed=int(code != 0), output=output)
            self.note(f"build {flavour}", result, time.monotonic() - start)
            self.built[flavour] = code == 0
        return self.built[flavour]

    def lint(self):
        python = sys.executable
        self.program("lint: layers, sizes, bans", [python, "tools/check_layers.py"])
        self.program("lint: documents", [python, "tools/check_docs.py"])
        self.program("lint: layout", ["tools/format.sh"])
        for path in sorted((ROOT / "tests/tools").glob("*_test.py")):
            self.program(f"tools: {path.name}", [python, str(path)])
        if self.build("gcc"):
            archives = [str(ROOT / "build-gcc/src" / a) for a in PURE_ARCHIVES]
            self.program("lint: purity", ["tools/check_pure.sh", *archives])

    def unit(self, flavour):
        """Meson's tests of one build, two or more at a time, told in order."""
        if not self.build(flavour):
            return
        directory = ROOT / f"build-{flavour}"
        text = subprocess.run(["meson", "introspect", "--tests", str(directory)], check=True,
                              stdout=subprocess.PIPE).stdout
        tests = [t for t in json.loads(text) if not self.word or self.word in t["name"]]

        def one(test):
            start = time.monotonic()
            output, code = execute(test["cmd"], test["env"])
            return count(output, code), time.monotonic() - start

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            for test, (result, seconds) in zip(tests, pool.map(one, tests)):
                self.note(f"{flavour}: {test['name']}", result, seconds)

    def scripts(self):
        """End to end: each script gets the binary of the gcc build."""
        if not self.build("gcc"):
            return
        directory = ROOT / "build-gcc"
        environment = {"TIDEMARK": str(directory / "tidemark"), "TIDEMARK_BUILD": str(directory)}
        for folder in ("golden", "scenario", "e2e"):
            for path in sorted((ROOT / "tests" / folder).glob("*_test.py")):
                wanted = not self.word or self.word in f"{folder}: {path.name}"
                if wanted and "support.hostile" in path.read_text(encoding="utf-8"):
                    self.build("hostile")
                self.program(f"{folder}: {path.name}", [sys.executable, str(path)], environment)

    def step(self, name):
        if name == "lint":
            self.lint()
        elif name == "e2e":
            self.scripts()
        elif name in ("clang", "plain") and not self.word:
            self.build(name)  # for warnings, and for digests; the tests run by gcc and sanitized
        elif name in ("gcc", "clang", "asan", "tsan"):
            self.unit(name)
        else:
            sys.exit(f"test.py: no step is called {name}")


def main():
    arguments = sys.argv[1:]
    word = None
    if "-k" in arguments:
        at = arguments.index("-k")
        word = arguments[at + 1] if at + 1 < len(arguments) else sys.exit("test.py: -k needs a word")
        del arguments[at:at + 2]
    if not arguments:
        sys.exit(__doc__.strip())
    runner = Runner(word)
    for name in arguments:
        for step in STEPS.get(name, [name]):
            runner.step(step)
    if runner.skips:
        print("skipped:")
        for skip in runner.skips:
            print(f"  {skip}")
    if runner.failed:
        print("failed:")
        for name in sorted(set(runner.failed)):
            print(f"  {name}")
    print(f"{runner.passed} passed, {len(runner.failed)} failed, {len(runner.skips)} skipped")
    return 1 if runner.failed or not runner.passed else 0


if __name__ == "__main__":
    sys.exit(main())

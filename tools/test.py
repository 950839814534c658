#!/usr/bin/env python3
"""Builds and runs the tests, and counts each one.

Usage: test.py all|quick|long|lint|unit|asan|tsan|clang|e2e|fuzz ... [-k WORD]

    all    lint, builds by gcc and clang without a warning and by gcc -O0, the unit tests by gcc
           and under ASan + UBSan, then end to end, then the simulator and each fuzz target for a
           short while
    quick  lint and the unit tests by gcc: the loop before each commit
    long   what takes its time: the tests that have full counts (they read TIDEMARK_LONG=1), the unit
           tests and a loaded server under ThreadSanitizer, recovery under valgrind, the scripts against
           a server under ASan + UBSan, the simulator plain and under ASan + UBSan and with bugs planted
           into the product, fuzzing
    -k     only the test programs with WORD in their name

A test program is an executable that Meson knows, or a Python script named *_test.py. It says how
many tests it holds by TAP, as cmocka does when asked, or as Python's unittest does; one that says
nothing counts as one. Exit code 77 is a skip, whose reason is the last line it printed. A program
that passes without having run a test has failed.

A program may print lines "totals: name=number name=number" (in TAP with "# " in front). They are
summed by name over all programs, and printed as one such line before the last.

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
    "all": ["lint", "gcc", "clang", "asan", "plain", "e2e", "sim", "fuzz"],
    "long": ["full", "sim", "planted", "asan", "sanitized", "tsan", "load", "valgrind", "fuzz"],
}
FOLDERS = ("differential", "golden", "scenario", "e2e")
# Scripts of the long run that need a build of their own, so that nothing else starts them.
LOAD = "tests/e2e/tsan_load_test.py"
VALGRIND = "tests/e2e/valgrind_test.py"
LONG_ONLY = {LOAD, VALGRIND}
# Scripts that say nothing about a server under ASan + UBSan. Those that use support.hostile run one already.
NOT_SANITIZED = {
    "tests/e2e/attack_crowd_test.py": "figures of memory, most of which would be the sanitizer's",
    "tests/e2e/attack_injections_test.py": "strace: leaks can't be looked for in a traced process",
    "tests/e2e/attack_short_writes_test.py": "a preloaded library, which would have to come after the sanitizer's",
    "tests/e2e/overload_test.py": "figures of memory and of load",
    "tests/golden/digest_test.py": "runs the build under ASan in any case",
}
# Scripts with figures that want the machine to themselves.
ALONE = {"tests/e2e/attack_crowd_test.py", "tests/e2e/overload_test.py"}
SCRIPTS_AT_ONCE = 2
FUZZ_SECONDS = {False: 15, True: 60}  # of each target: in the short run, in the long one
FUZZ_AT_ONCE = 2
# By build: seeds (first, how many). A landing is judged by seeds that are known, and by all of them:
# some 100 s of two idle cores each. New ones are looked for by "make sim", which begins at another
# place each time.
SIM_RUNS = {
    False: {"sim": (1, 1000)},
    True: {"sim": (100001, 800), "sim-asan": (200001, 150)},
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
    # unittest first: what a program prints between a test's name and its "ok" looks like TAP.
    counted = count_unittest(output) or count_tap(output)
    passed, failed, skips = counted or ((1, 0, []) if code == 0 else (0, 1, []))
    if code != 0 and failed == 0:
        failed = 1
    if code == 0 and failed == 0 and passed == 0 and not skips:
        failed = 1
        output += "\nit ran no test\n"
    return Result(passed, failed, skips, output)


def totals_of(output):
    """[(name, number)] of a program's lines of totals."""
    lines = re.findall(r"^(?:# )?totals: (.*)$", output, re.MULTILINE)
    return [(name, int(n)) for line in lines for name, n in re.findall(r"(\w+)=(\d+)(?!\S)", line)]


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


def environment_of(flavour):
    """What tells a script which build to use."""
    directory = ROOT / f"build-{flavour}"
    return {"TIDEMARK": str(directory / "tidemark"), "TIDEMARK_BUILD": str(directory)}


def name_of(path):
    return str(path.relative_to(ROOT))


def scripts():
    """All that need no build of their own."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / "tests" / folder).glob("*_test.py"))]
    return [path for path in paths if name_of(path) not in LONG_ONLY]


def uses_hostile(path):
    return "support.hostile" in path.read_text(encoding="utf-8")


def has_full_counts(source):
    """Whether a script counts further in the long run: by itself, or through what it shares."""
    return any(word in source for word in ("TIDEMARK_LONG", "import decoder", "thinned(", "totals.LONG"))


class Runner:
    def __init__(self, word, long_run=False):
        self.word = word
        self.long_run = long_run
        self.environment = {"TIDEMARK_LONG": "1"} if long_run else {}
        self.totals = {}
        self.passed = 0
        self.failed = []
        self.skips = []
        self.built = {}

    def note(self, name, result, seconds):
        self.passed += result.passed
        self.failed += [name] * result.failed
        self.skips += [f"{name}: {reason}" for reason in result.skips]
        for total, number in totals_of(result.output):
            self.totals[total] = self.totals.get(total, 0) + number
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
        output, code = execute(command, {**self.environment, **(environment or {})})
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
        # Full counts once: sanitizers see in the short ones what they can see.
        environment = self.environment if flavour == "gcc" else {}

        def one(test):
            start = time.monotonic()
            output, code = execute(test["cmd"], {**environment, **test["env"]})
            return count(output, code), time.monotonic() - start

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            for test, (result, seconds) in zip(tests, pool.map(one, tests)):
                self.note(f"{flavour}: {test['name']}", result, seconds)

    def script(self, path, flavour="gcc"):
        """A Python script, which gets the binary of a build."""
        name = f"{path.parent.name}: {path.name}"
        if (self.word and self.word not in name) or not self.build(flavour):
            return
        if uses_hostile(path):
            self.build("hostile")
        self.program(name, [sys.executable, str(path)], environment_of(flavour))

    def scripts(self):
        for path in scripts():
            self.script(path)

    def together(self, flavour, paths, label, environment=None):
        """Scripts two at a time, for they wait more than they work; told in order."""
        named = [(f"{label(path)}: {path.name}", path) for path in paths]
        named = [(name, path) for name, path in named if not self.word or self.word in name]
        if not named or not self.build(flavour):
            return
        if any(uses_hostile(path) for _, path in named):
            self.build("hostile")

        def one(path):
            start = time.monotonic()
            output, code = execute([sys.executable, str(path)],
                                   {**self.environment, **environment_of(flavour), **(environment or {})})
            return count(output, code), time.monotonic() - start

        with concurrent.futures.ThreadPoolExecutor(SCRIPTS_AT_ONCE) as pool:
            for (name, _), (result, took) in zip(named, pool.map(one, [path for _, path in named])):
                self.note(name, result, took)

    def full(self):
        """The unit tests and those scripts that count further in the long run."""
        self.unit("gcc")
        paths = [path for path in scripts() if has_full_counts(path.read_text(encoding="utf-8"))]
        self.together("gcc", [path for path in paths if name_of(path) not in ALONE], lambda path: path.parent.name)
        for path in paths:
            if name_of(path) in ALONE:
                self.script(path)

    def sanitized(self):
        """The scripts once more, with short counts, against a server under ASan + UBSan."""
        paths = [path for path in scripts() if name_of(path) not in NOT_SANITIZED and not uses_hostile(path)]
        self.together("asan", paths, lambda _: "asan", {"TIDEMARK_LONG": "0"})

    def fuzz(self):
        """Each target for a while, two at a time, beginning with its seeds and what broke it once."""
        output, code = execute(["tools/fuzz.sh", "--check"])
        if code != 0:
            self.note("fuzz", count(output, code), 0)
            return
        if not self.build("fuzz"):
            return
        seconds = FUZZ_SECONDS[self.long_run]
        targets = sorted(path.name[:-len("_fuzz.c")] for path in (ROOT / "fuzz").glob("*_fuzz.c"))

        def one(target):
            start = time.monotonic()
            output, code = execute(["tools/fuzz.sh", "--built", target, str(seconds)])
            return count(output, code), time.monotonic() - start

        targets = [target for target in targets if not self.word or self.word in f"fuzz: {target}"]
        with concurrent.futures.ThreadPoolExecutor(FUZZ_AT_ONCE) as pool:
            for target, (result, took) in zip(targets, pool.map(one, targets)):
                self.note(f"fuzz: {target}", result, took)

    def sim(self):
        """Known seeds, on all cores."""
        for flavour, (first, seeds) in SIM_RUNS[self.long_run].items():
            name = f"simulator: {flavour}"
            if self.word and self.word not in name:
                continue
            if not self.build(flavour):
                return
            program = ROOT / f"build-{flavour}" / "src/sim/tidemark-sim"
            gate = ["--gate"] if flavour == "sim" else []
            self.program(name, [str(program), "--many", str(seeds), "--first", str(first), *gate,
                                "--jobs", str(os.cpu_count() or 2),
                                "--keep", str(ROOT / "build-sim/failed")])

    def planted(self):
        """Each bug that is planted into the product is found, or the simulator is blind."""
        names = subprocess.run([sys.executable, "tools/planted.py", "--list"], cwd=ROOT, check=True,
                               stdout=subprocess.PIPE, text=True).stdout.split()
        for name in ["--control", *names]:
            self.program(f"planted: {name}", [sys.executable, "tools/planted.py", name])

    def build_only(self, flavour):
        """For warnings, and for digests; the tests run by gcc and sanitized."""
        if not self.word:
            self.build(flavour)

    def step(self, name):
        steps = {
            "lint": self.lint,
            "e2e": self.scripts,
            "clang": lambda: self.unit("clang") if self.word else self.build("clang"),
            "plain": lambda: self.build_only("plain"),
            "gcc": lambda: self.unit("gcc"),
            "asan": lambda: self.unit("asan"),
            "sanitized": self.sanitized,
            "tsan": lambda: self.unit("tsan"),
            "fuzz": self.fuzz,
            "full": self.full,
            "sim": self.sim,
            "planted": self.planted,
            "load": lambda: self.script(ROOT / LOAD, "tsan"),
            "valgrind": lambda: self.script(ROOT / VALGRIND),
        }
        if name not in steps:
            sys.exit(f"test.py: no step is called {name}")
        steps[name]()


def main():
    arguments = sys.argv[1:]
    word = None
    if "-k" in arguments:
        at = arguments.index("-k")
        word = arguments[at + 1] if at + 1 < len(arguments) else sys.exit("test.py: -k needs a word")
        del arguments[at:at + 2]
    if not arguments:
        sys.exit(__doc__.strip())
    runner = Runner(word, "long" in arguments)
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
    if runner.totals:
        print("totals: " + " ".join(f"{name}={runner.totals[name]}" for name in sorted(runner.totals)))
    print(f"{runner.passed} passed, {len(runner.failed)} failed, {len(runner.skips)} skipped")
    return 1 if runner.failed or not runner.passed else 0


if __name__ == "__main__":
    sys.exit(main())

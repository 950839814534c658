#!/usr/bin/env python3
"""Plants bugs into a copy of the product and looks whether the simulator finds them.

Usage: planted.py --list | --control | NAME ...     the bugs are in tests/planted/bugs.py

For each bug: the copy under build-planted/ is changed, the simulator built from it and run over at
most SEEDS_MAX seeds until one fails. Prints after how many; exits 1 when a bug was not found.
--control runs the same seeds without a bug: none may fail, or finding one would prove nothing.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from planted.bugs import BUGS  # noqa: E402  (only found with the path above)

SEEDS_MAX = 300
SECONDS_MAX = 500
TREE = ROOT / "build-planted/tree"
BUILD = ROOT / "build-planted/build"
COPIED = ["src", "include", "tools", "meson.build", "meson_options.txt", "docs/man"]


def prepare():
    """A copy of the sources; only what differs is touched, so that little is compiled anew."""
    for name in COPIED:
        source = ROOT / name
        files = [source] if source.is_file() else [f for f in source.rglob("*") if f.is_file()]
        for file in files:
            copy = TREE / file.relative_to(ROOT)
            if not copy.exists() or copy.read_bytes() != file.read_bytes():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
                shutil.copymode(file, copy)
    if not (BUILD / "build.ninja").exists():
        run(["meson", "setup", str(BUILD), str(TREE), "-Dtests=disabled", "-Doptimization=2"])


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")


def plant(name, file, text, instead):
    path = TREE / file
    code = path.read_text(encoding="utf-8")
    if code.count(text) != 1:
        sys.exit(f"planted.py: {name}: its text is {code.count(text)} times in {file}, not once; "
                 "make tests/planted/bugs.py true again")
    path.write_text(code.replace(text, instead), encoding="utf-8")
    run(["ninja", "-C", str(BUILD), "--quiet", "src/sim/tidemark-sim"])


def simulate():
    """The first seed that fails, and how; or None. And the seconds it took."""
    start = time.monotonic()
    done = subprocess.run(
        [str(BUILD / "src/sim/tidemark-sim"), "--many", str(SEEDS_MAX), "--seconds", str(SECONDS_MAX),
         "--jobs", str(os.cpu_count() or 2), "--first-failure"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    failed = re.search(r"sim: seed (\d+) FAILED: (.*)", done.stdout)
    return failed, done, time.monotonic() - start


def control():
    """The product as it is, over the seeds in which every bug has to show."""
    prepare()
    run(["ninja", "-C", str(BUILD), "--quiet", "src/sim/tidemark-sim"])
    failed, done, took = simulate()
    print(done.stdout[-2000:])
    complete = f"sim: {SEEDS_MAX} seeds" in done.stdout
    print(f"without a bug: {'all well' if complete and not failed else 'NOT WELL'}, {took:.0f} s")
    return 0 if complete and not failed and done.returncode == 0 else 1


def hunt(name, purpose):
    """Runs seeds until one fails; whether one did."""
    failed, done, took = simulate()
    through = re.search(r"^sim: (\d+) seeds", done.stdout, re.MULTILINE)
    if failed is None and through is None:
        print(f"{name}: NO RESULT: the simulator was ended ({done.returncode}) after {took:.0f} s")
        return False
    if failed is None:
        print(f"{name}: NOT FOUND in {through[1]} seeds, {took:.0f} s ({purpose})")
        return False
    print(f"{name}: found by seed {failed[1]} of {SEEDS_MAX}, {took:.1f} s: {failed[2]}")
    print("totals: planted_bugs_found=1")
    return True


def main():
    names = sys.argv[1:]
    if names == ["--list"]:
        print("\n".join(name for name, *_ in BUGS))
        return 0
    if names == ["--control"]:
        return control()
    known = {name: (purpose, file, text, instead) for name, purpose, file, text, instead in BUGS}
    if not names or any(name not in known for name in names):
        sys.exit(__doc__.strip())
    missed = 0
    for name in names:
        purpose, file, text, instead = known[name]
        prepare()
        print("totals: planted_bugs=1")
        plant(name, file, text, instead)
        missed += not hunt(name, purpose)
    prepare()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

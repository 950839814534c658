#!/bin/sh
# Builds and runs the benchmarks. Each prints JSON lines: commit, machine, name, value, unit.
#
# Usage: tools/bench.sh [WORD]    only the benchmarks with WORD in their name
set -eu
cd "$(dirname "$0")/.."

word=${1:-}
tools/build.sh product
names=$(meson introspect --benchmarks build | python3 -c '
import json, sys
for test in json.load(sys.stdin):
    if sys.argv[1] in test["name"]:
        print(test["name"], *test["cmd"], sep="\t")' "$word")
[ -n "$names" ] || {
    echo "bench: there is no benchmark${word:+ with $word in its name}" >&2
    exit 1
}
ninja -C build --quiet meson-benchmark-prereq
printf '%s\n' "$names" | while IFS='	' read -r name command; do
    echo "bench: $name" >&2
    # shellcheck disable=SC2086 # the command's words are separated by tabs
    (IFS='	'; exec $command)
done

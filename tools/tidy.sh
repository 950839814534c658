#!/bin/sh
# clang-tidy on the files named, else on what differs from the last commit, else on all of src/.
set -eu
cd "$(dirname "$0")/.."

# Only the compile database is needed, but generated files must exist: build it.
tools/build.sh clang
if [ $# -gt 0 ]; then
    files=$(printf '%s\n' "$@")
else
    files=$({ git diff --name-only HEAD; git ls-files --others --exclude-standard; } 2>/dev/null |
        grep -E '^src/.*\.c$' | sort -u || true)
    [ -n "$files" ] || files=$(find src -name '*.c' | sort)
fi
printf '%s\n' "$files" | xargs -n 4 -P "$(nproc)" clang-tidy -p build-clang --quiet

#!/bin/sh
# Checks the layout of all C files, or with --write makes it so. With file names: only those.
set -eu
cd "$(dirname "$0")/.."

write=0
if [ "${1:-}" = --write ]; then
    write=1
    shift
fi
files=$(if [ $# -gt 0 ]; then
    printf '%s\n' "$@"
else
    find src include tests fuzz examples \( -name '*.c' -o -name '*.h' \) -print
fi | sort)
[ -n "$files" ] || exit 0

if [ "$write" = 1 ]; then
    printf '%s\n' "$files" | xargs clang-format -i
    exit
fi
# One line for each file is enough to know what to do.
printf '%s\n' "$files" | xargs -n 1 -P "$(nproc)" sh -c \
    'clang-format --dry-run -Werror "$1" >/dev/null 2>&1 || { echo "$1: not laid out; make fmt"; exit 1; }' sh

#!/bin/sh
# Fuzzes one decoder, beginning with the seeds in fuzz/corpus/NAME. What it learns stays in
# build-fuzz/corpus/NAME; an input that fails is written to fuzz/regressions/NAME, where `make test`
# replays it from then on.
#
# Usage: tools/fuzz.sh [--built] NAME [SECONDS]
#        tools/fuzz.sh --check
#   --built: the targets were built a moment ago
#   --check: only says whether there is a clang with libFuzzer; exit code 77 when there is none
set -eu
cd "$(dirname "$0")/.."

usage='usage: tools/fuzz.sh [--built] NAME [SECONDS]'
if [ "${1:-}" = --check ]; then
    echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' |
        clang -x c -fsanitize=fuzzer,address,undefined -o /dev/null - >/dev/null 2>&1 && exit 0
    echo "there is no clang with libFuzzer here (Debian: clang, libclang-rt-14-dev)"
    exit 77
fi
if [ "${1:-}" = --built ]; then
    shift
else
    tools/build.sh fuzz
fi
name=${1:?$usage}
seconds=${2:-60}
program=build-fuzz/fuzz/${name}_fuzz
[ -x "$program" ] || {
    echo "fuzz: no target is called $name; there are:" >&2
    find build-fuzz/fuzz -maxdepth 1 -type f -name '*_fuzz' -exec basename {} _fuzz \; | sort >&2
    exit 2
}
mkdir -p "build-fuzz/corpus/$name" "fuzz/corpus/$name" "fuzz/regressions/$name"
dictionary=''
[ ! -f "fuzz/dictionary/$name" ] || dictionary="-dict=fuzz/dictionary/$name"
log=build-fuzz/$name.log
code=0
"$program" -max_total_time="$seconds" -max_len=65536 -timeout=25 -rss_limit_mb=2048 \
    -print_final_stats=1 $dictionary -artifact_prefix="fuzz/regressions/$name/" \
    "build-fuzz/corpus/$name" "fuzz/corpus/$name" "fuzz/regressions/$name" >"$log" 2>&1 || code=$?
runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
rmdir "fuzz/regressions/$name" fuzz/regressions 2>/dev/null || true
if [ "$code" != 0 ]; then
    cat "$log"
    echo "fuzz: $name failed; repeat: $program fuzz/regressions/$name/FILE"
fi
echo "totals: fuzz_executions=${runs:-0}"
# No run proves nothing.
[ "$code" != 0 ] || [ "${runs:-0}" -gt 0 ] || code=1
exit "$code"

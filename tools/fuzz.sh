#!/bin/sh
# Fuzzes one decoder, beginning with the seeds in fuzz/corpus/NAME. What it learns stays in
# build-fuzz/corpus/NAME; an input that fails is written to fuzz/regression/NAME, where `make test`
# replays it from then on.
#
# Usage: tools/fuzz.sh NAME [SECONDS]
set -eu
cd "$(dirname "$0")/.."

name=${1:?usage: tools/fuzz.sh NAME [SECONDS]}
seconds=${2:-60}
tools/build.sh fuzz
program=build-fuzz/fuzz/${name}_fuzz
[ -x "$program" ] || {
    echo "fuzz: no target is called $name; there are:" >&2
    find build-fuzz/fuzz -maxdepth 1 -type f -name '*_fuzz' -exec basename {} _fuzz \; | sort >&2
    exit 2
}
mkdir -p "build-fuzz/corpus/$name" "fuzz/corpus/$name" "fuzz/regression/$name"
exec "$program" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=1024 \
    -artifact_prefix="fuzz/regression/$name/" \
    "build-fuzz/corpus/$name" "fuzz/corpus/$name" "fuzz/regression/$name"

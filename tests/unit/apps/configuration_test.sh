#!/bin/sh
# docs/guide/configuration.md is what `tidemark config --markdown` prints.
# Usage: configuration_test.sh TIDEMARK configuration.md
set -eu
"$1" config --markdown | diff -u "$2" - || {
    echo "configuration_test: run: $1 config --markdown >$2" >&2
    exit 1
}

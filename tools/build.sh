#!/bin/sh
# Configures, only when needed, and builds one of the build directories.
#
# Usage: tools/build.sh product|gcc|clang|plain|asan|tsan|hostile|sim|sim-asan|fuzz [ninja target ...]
#   product: build/, what users run; leaves build/tidemark and build/libtidemark.{a,so}
#   gcc, clang: with tests, warnings are errors
#   plain: by gcc without optimisation, to compare digests
#   asan, tsan: with tests, under AddressSanitizer + UBSan, or ThreadSanitizer
#   hostile: with faults on demand, under AddressSanitizer + UBSan, for tests/e2e
#   sim, sim-asan: the simulator, optimised, and under AddressSanitizer + UBSan
#   fuzz: the fuzz targets, by clang with libFuzzer
set -eu
cd "$(dirname "$0")/.."

flavour=${1:?usage: tools/build.sh product|gcc|clang|plain|asan|tsan|hostile|sim|sim-asan|fuzz [ninja target ...]}
shift
compiler=gcc
directory=build-$flavour
options=''
case $flavour in
product)
    directory=build
    options='-Dtests=disabled -Doptimization=3'
    ;;
gcc) options='-Dtests=enabled -Dwerror=true' ;;
clang)
    compiler=clang
    options='-Dtests=enabled -Dwerror=true'
    ;;
plain) options='-Dtests=disabled -Doptimization=0' ;;
asan) options='-Dtests=enabled -Db_sanitize=address,undefined' ;;
hostile) options='-Dtests=disabled -Dhostile=true -Db_sanitize=address,undefined' ;;
tsan) options='-Dtests=enabled -Db_sanitize=thread' ;;
sim | sim-asan)
    options='-Dtests=disabled -Doptimization=2'
    [ "$flavour" = sim ] || options="$options -Db_sanitize=address,undefined"
    [ $# -gt 0 ] || set -- src/sim/tidemark-sim
    ;;
fuzz)
    compiler=clang
    options='-Dtests=disabled -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false'
    ;;
*)
    echo "tools/build.sh: no build is called $flavour" >&2
    exit 2
    ;;
esac

# The stamp holds what the directory was configured with: other options, or a configuration that
# broke off half-way, and it is made anew.
stamp="$compiler $options"
if [ ! -f "$directory/build.ninja" ] || [ "$(cat "$directory/configured" 2>/dev/null)" != "$stamp" ]; then
    rm -rf "$directory"
    # shellcheck disable=SC2086 # the options are meant to be split
    CC=$compiler meson setup "$directory" $options >"$directory.log" 2>&1 || {
        cat "$directory.log" >&2
        rm -f "$directory.log"
        exit 1
    }
    rm -f "$directory.log"
    echo "$stamp" >"$directory/configured"
fi

# All errors at once, not only the first.
ninja -C "$directory" --quiet -k 0 "$@"

# Meson leaves what it builds deep in the directory; users look for it at the top.
find "$directory/src" "$directory/include" \
    \( -name tidemark -o -name libtidemark.a -o -name 'libtidemark.so*' \) \
    ! -type d ! -name '*.symbols' 2>/dev/null |
    while read -r found; do
        if [ "$(head -c 7 "$found")" = '!<thin>' ]; then
            echo "tools/build.sh: $found is a thin archive, nobody else can link it" >&2
            exit 1
        fi
        ln -fL "$found" "$directory/$(basename "$found")"
    done

#!/bin/sh
# Brings a Debian 12 machine to the point where Tidemark builds, or says what is missing.
#
# Usage: tools/setup.sh build|test|long|fuzz
#   build: what `make build` and `make run` need
#   test:  also what `make test` needs
#   long:  also what `make test-long` needs
#   fuzz:  also what `make fuzz` needs
#
# It asks for commands and headers, not for packages: whoever has them from somewhere else is left
# alone. Only when something is missing does it call apt-get, and only then does it need root.
set -eu

level=${1:-build}
case $level in
build | test | long | fuzz) ;;
*)
    echo "usage: tools/setup.sh build|test|long|fuzz" >&2
    exit 2
    ;;
esac

# missing: lines "what package", empty when all is there.
missing=''

need_command() { # command package
    command -v "$1" >/dev/null 2>&1 || missing="$missing$1 $2
"
}

# A header counts when a program that includes it also links, which a compiler alone can tell.
need_library() { # header package pkg-config-name linker-flag
    prelude='#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>'
    if command -v gcc >/dev/null 2>&1 &&
        printf '%s\n#include <%s>\nint main(void) { return 0; }\n' "$prelude" "$1" |
        gcc -x c -o /dev/null - $4 >/dev/null 2>&1 &&
        { [ -z "$3" ] || pkg-config --exists "$3" >/dev/null 2>&1; }; then
        return
    fi
    missing="$missing$1 $2
"
}

look() {
    missing=''
    need_command gcc gcc
    need_command ar binutils
    need_command ninja ninja-build
    need_command meson meson
    need_command pkg-config pkg-config
    need_command python3 python3
    need_library stdio.h libc6-dev '' ''
    need_library zlib.h zlib1g-dev zlib -lz
    need_library zstd.h libzstd-dev libzstd -lzstd
    need_library xxhash.h libxxhash-dev '' ''
    [ "$level" = build ] && return
    need_command clang clang
    need_command clang-format clang-format
    need_command curl curl
    need_command git git
    need_library cmocka.h libcmocka-dev cmocka -lcmocka
    echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' |
        clang -x c -fsanitize=fuzzer -o /dev/null - >/dev/null 2>&1 ||
        missing="${missing}libFuzzer libclang-rt-14-dev
"
    [ "$level" = test ] && return
    [ "$level" = long ] && return
    need_command clang-tidy clang-tidy
}

install_missing() {
    packages=$(printf '%s' "$missing" | awk '{ print $2 }' | sort -u | tr '\n' ' ')
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "setup: there is no apt-get here; please install: $packages" >&2
        exit 1
    fi
    if [ "$(id -u)" != 0 ]; then
        echo "setup: not root; please run: sudo apt-get install --no-install-recommends $packages" >&2
        exit 1
    fi
    echo "setup: installing $packages"
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # the list is meant to be split
    if ! { apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq update &&
        apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq -y \
            install --no-install-recommends $packages; } >"$log" 2>&1; then
        echo "setup: apt-get failed, its last words were:" >&2
        tail -n 20 "$log" >&2
        rm -f "$log"
        exit 1
    fi
    rm -f "$log"
}

check_meson() {
    version=$(meson --version 2>/dev/null || echo none)
    case $version in
    [1-9]*.*) ;;
    *)
        echo "setup: $(command -v meson) is version $version, 1.0 or newer is needed" >&2
        exit 1
        ;;
    esac
}

look
if [ -n "$missing" ]; then
    echo "setup: missing: $(printf '%s' "$missing" | awk '{ print $1 }' | tr '\n' ' ')"
    install_missing
    look
    if [ -n "$missing" ]; then
        echo "setup: still missing: $(printf '%s' "$missing" | awk '{ print $1 }' | tr '\n' ' ')" >&2
        exit 1
    fi
fi
# What only some tests use: without it they are skipped, visibly.
wish_command() {
    command -v "$1" >/dev/null 2>&1 && return
    echo "setup: trying to install $1"
    { [ "$(id -u)" = 0 ] && DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
        install --no-install-recommends "$1"; } >/dev/null 2>&1 ||
        echo "setup: there is no $1 here; its tests will be skipped" >&2
}

case $level in
test | long) wish_command strace ;;
esac
[ "$level" != long ] || wish_command valgrind
check_meson
echo "setup: everything for '$level' is here"

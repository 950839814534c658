#!/bin/sh
# The linker proves purity: base, model, lang and core may call nothing but each other and these few
# functions. No I/O, clock, randomness, locale or malloc, and no variable that outlives a call.
#
# Usage: tools/check_pure.sh libcore.a liblang.a libmodel.a libbase.a   (a build without sanitizers)
set -eu

[ $# -gt 0 ] || {
    echo "usage: tools/check_pure.sh ARCHIVE..." >&2
    exit 2
}
for archive in "$@"; do
    [ -s "$archive" ] || {
        echo "check_pure: there is no $archive" >&2
        exit 1
    }
done

allowed='memcpy|memmove|memset|memcmp|bcmp|check_failed'
# The compiler's own arithmetic on 128-bit integers, and its checked copies.
allowed="$allowed|__(u?divti3|u?modti3|u?divmodti4|popcountdi2|multi3|float(un)?tidf|fix(uns)?dfti)"
allowed="$allowed|__(memcpy|memmove|memset)_chk"
allowed="$allowed|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_"

symbols=$(nm --format=posix "$@")
defined=$(printf '%s\n' "$symbols" | awk 'NF > 1 && $2 !~ /^[Uwv]$/ { print $1 }' | sort -u)

# Without the core's two faces this would be a check of nothing.
for face in intake_apply shard_apply; do
    printf '%s\n' "$defined" | grep -qx "$face" || {
        echo "check_pure: $face is not in: $*" >&2
        exit 1
    }
done

leaks=$(printf '%s\n' "$symbols" | awk 'NF > 1 && $2 ~ /^[Uwv]$/ { print $1 }' | sort -u |
    grep -vxE "$allowed" | grep -vxF "$defined" || true)
[ -z "$leaks" ] || {
    echo "the pure part reaches outside itself:" >&2
    printf '%s\n' "$leaks" >&2
    exit 1
}

# B, C, D: variables that can be written (d and D in .data.rel.ro are constants with addresses,
# which nm tells apart only by section, so those are looked up in the section table).
writable=$(objdump -t "$@" 2>/dev/null |
    awk '$0 ~ /[ \t]O[ \t]/ && $0 ~ /[ \t]\.(bss|data|tbss|tdata)(\.[^ \t]*)?[ \t]/ &&
         $0 !~ /\.data\.rel\.ro/ { print $NF }' | sort -u)
[ -z "$writable" ] || {
    echo "the pure part keeps state of its own:" >&2
    printf '%s\n' "$writable" >&2
    exit 1
}

#!/bin/sh
# Makes the static library that users link: one object, in which only what the public header names is
# visible. So the names inside can't meet the names of the program that links it.
#
# Usage: tools/bundle_library.sh OUTPUT.a OBJCOPY AR INPUT.a COMPILER [ARGUMENT ...]
set -eu

output=$1
objcopy=$2
ar=$3
input=$4
shift 4

object=${output%.a}.bundle.o
"$@" -r -nostdlib -o "$object" -Wl,--whole-archive "$input" -Wl,--no-whole-archive
"$objcopy" --localize-hidden "$object"
rm -f "$output"
"$ar" rcsD "$output" "$object"
rm -f "$object"

#!/bin/bash
# Stands under the names by which builds look for a compiler and its tools, such as `aarch64-apple-darwin-gcc`.
name=${0##*/}
target=${name%-*}
case ${name##*-} in
ar | ranlib) exec "$COUNTERSIGN_ZIG" "${name##*-}" "$@" ;;
nm) exec nm "$@" ;;
esac
case $target in
aarch64-unknown-linux-gnu) zig=aarch64-linux-gnu.2.34 ;;
aarch64-apple-darwin) zig=aarch64-macos ;;
*) echo "tests/cross: $target is not known; add it to $0" >&2; exit 2 ;;
esac
# Builds name the target and Xcode's folder in words that this compiler does not know.
arguments=()
while [ $# -gt 0 ]; do
    case "$1" in
    --target=* | -mmacosx-version-min=*) ;;
    -arch | -isysroot | -target) shift ;;
    *) arguments+=("$1") ;;
    esac
    shift
done
exec "$COUNTERSIGN_ZIG" cc -target "$zig" "${arguments[@]}"

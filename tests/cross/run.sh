#!/bin/sh
# Type-checks all programs for Linux and macOS on arm64: `tests/cross/run.sh [TARGET...]`. Nothing is linked and nothing is run, so
# this shows that the sources fit those systems, and no more.
#
# Some crates are written in C, and their builds want a compiler for the target. It comes from PyPI, pinned: clang of the ziglang
# package, with headers of both systems.
set -eu
cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || set -- aarch64-unknown-linux-gnu aarch64-apple-darwin
place=$PWD/dist/cross
# A thousand calls: without Python between, they take half the time.
COUNTERSIGN_ZIG=$("$place/bin/python" -c 'import ziglang; print(ziglang.__path__[0] + "/zig")')
export COUNTERSIGN_ZIG ZIG_GLOBAL_CACHE_DIR="$place/cache" ZIG_LOCAL_CACHE_DIR="$place/cache"

tools=$place/tools
mkdir -p "$tools"
for target in "$@"; do
    for tool in gcc ar ranlib nm; do ln -sf "$PWD/tests/cross/tool.sh" "$tools/$target-$tool"; done
    variable=$(echo "$target" | tr - _)
    export "CC_$variable=$target-gcc" "AR_$variable=$target-ar" "RANLIB_$variable=$target-ranlib"
done
export PATH="$tools:$PATH"
# Builds for macOS ask Xcode for its folder otherwise. The compiler brings what it needs.
export SDKROOT="$place"
export CONFIG_SITE="$PWD/tests/cross/config.site"
# Built once.
export CARGO_INCREMENTAL=0

for target in "$@"; do
    # A library for tests, which counts the calls of a Linux process.
    case $target in *-apple-*) without="--exclude countersign-failpoint" ;; *) without= ;; esac
    # GMP refuses to be built for another system unless it is told. Programs that ship are built where they run.
    # shellcheck disable=SC2086 # a list of words
    cargo check --workspace --bins --lib --locked --target "$target" --features gmp-mpfr-sys/force-cross $without
    echo "cross: all programs fit $target"
done

#!/bin/bash
# clang of the ziglang package, for WebAssembly. Its own headers replace the stubs that the crate secp256k1-sys brings.
arguments=()
while [ $# -gt 0 ]; do
    case "$1" in
    --target=*) ;;
    -I) [ "$2" = wasm/wasm-sysroot ] || arguments+=(-I "$2"); shift ;;
    *) arguments+=("$1") ;;
    esac
    shift
done
exec "$COUNTERSIGN_ZIG" -m ziglang cc -target wasm32-wasi -g0 -fno-sanitize=undefined "${arguments[@]}"

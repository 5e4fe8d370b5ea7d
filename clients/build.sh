#!/bin/sh
# Builds countersign.wasm, the wheel and the npm package into dist/clients, and installs both packages into environments of
# their own there, with the libraries that judge them in the tests. Needs Rust with wasm32-wasip2, Python and Node.
#
# libsecp256k1 is written in C. Its compiler for WebAssembly comes from PyPI, pinned, so that the module has the same bytes
# wherever it is built.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
out=$root/dist/clients
mkdir -p "$out"

venv() { # folder, packages...
    place=$1
    shift
    stamp="$place/installed: $(echo "$@" | tr '/ ' '__')"
    [ -e "$stamp" ] && return
    rm -rf "$place"
    python3 -m venv "$place"
    "$place/bin/python" -m pip install --quiet "$@"
    touch "$stamp"
}

# Packages come while Rust compiles.
venv "$out/python" "httpx>=0.27,<1" "wasmtime>=36" cryptography==46.0.3 &
environment=$!
(cd clients/typescript && { [ -d node_modules/typescript ] || npm ci --silent --no-audit --no-fund --ignore-scripts; }) &
modules=$!
venv "$out/tools" ziglang==0.14.1 build==1.3.0 hatchling==1.27.0

# The module: without names, producers and paths of this machine.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export COUNTERSIGN_ZIG="$out/tools/bin/python"
CC_wasm32_wasip2="$root/clients/wasm/cc.sh" AR_wasm32_wasip2="$root/clients/wasm/ar.sh" \
    CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS="--remap-path-prefix=$cargo_home=cargo --remap-path-prefix=$root=." \
    cargo build --quiet --locked --profile plugin --target wasm32-wasip2 --target-dir target/clients -p countersign-wasm
python3 clients/wasm/strip.py target/clients/wasm32-wasip2/plugin/countersign_wasm.wasm "$out/countersign.wasm"
cp "$out/countersign.wasm" clients/python/src/countersign/countersign.wasm
cp "$out/countersign.wasm" clients/typescript/countersign.wasm
cp LICENSE clients/python/LICENSE
cp LICENSE clients/typescript/LICENSE

wait "$environment"
wait "$modules"
rm -f "$out"/*.whl "$out"/*.tgz
SOURCE_DATE_EPOCH=1767225600 "$out/tools/bin/python" -m build --wheel --no-isolation --outdir "$out" clients/python >/dev/null
(
    cd clients/typescript
    npm run --silent build
    npm pack --silent --pack-destination "$out" >/dev/null
)

# Clean environments, in which nothing is found but the packages and what they depend on.
wheel=$(echo "$out"/*.whl)
"$out/python/bin/python" -m pip install --quiet --no-deps --force-reinstall "$wheel"
mkdir -p "$out/node"
echo '{ "private": true, "type": "module" }' >"$out/node/package.json"
(cd "$out/node" && rm -rf node_modules/countersign package-lock.json &&
    npm install --silent --no-audit --no-fund --ignore-scripts "$(echo "$out"/*.tgz)")
cp clients/tests/end_to_end.mjs "$out/node/end_to_end.mjs"
ls -l "$out"/*.wasm "$out"/*.whl "$out"/*.tgz

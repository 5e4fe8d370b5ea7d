#!/bin/sh
# Builds programs and plugins as they ship, from the sources in the current folder, into dist/release. Their bytes depend on
# the sources and the compilers, not on folder or time: every path and every time that a compiler would write is replaced.
set -eu
programs="countersign countersign-coordinator countersign-node countersign-recover"
sources=$PWD
registry=${CARGO_HOME:-$HOME/.cargo}
rust=$(rustc --print sysroot)
commit=$(rustc -vV | sed -n 's/^commit-hash: //p')
target=$(rustc -vV | sed -n 's/^host: //p')
# rust-embed, in age, writes the times of files into the program, and this in their place. That of the commit would have all
# crates with C compiled again for each commit.
export SOURCE_DATE_EPOCH=1

paths="--remap-path-prefix=$sources=/usr/src/countersign --remap-path-prefix=$registry=/usr/share/cargo"
paths="$paths --remap-path-prefix=$rust/lib/rustlib/src/rust=/rustc/$commit"
# For C in crates. GMP's own build names files relative to itself, and would lose its optimisation with CFLAGS.
c_paths="-ffile-prefix-map=$sources=/usr/src/countersign -ffile-prefix-map=$registry=/usr/share/cargo"
export "CFLAGS_$(echo "$target" | tr - _)=$c_paths"

# The pages that `countersign console` serves, as `just console` leaves them.
export COUNTERSIGN_CONSOLE="$sources/dist/console"
[ -e "$COUNTERSIGN_CONSOLE/manifest.json" ] || { echo "build.sh: there are no pages in dist/console; run \`just console\` before" >&2; exit 1; }

CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS=$paths cargo plugins --locked # together with the flags of the alias
RUSTFLAGS=$paths cargo auditable build --release --locked \
    -p countersign-client -p countersign-coordinator -p countersign-node-cli -p countersign-recover --bins

out=dist/release
rm -rf "$out" && mkdir -p "$out/bin" "$out/plugins"
for program in $programs; do
    strip --strip-unneeded -o "$out/bin/$program" "target/release/$program"
    chmod 755 "$out/bin/$program"
done
for plugin in rules quorum jwt-callback fireblocks-callback webhook jwt-events; do
    install -m 644 "target/wasm32-wasip2/plugin/countersign_$(echo $plugin | tr - _).wasm" "$out/plugins/$plugin.wasm"
done
{
    echo "sources: ${COUNTERSIGN_COMMIT:-$(git rev-parse HEAD)}"
    rustc -vV | sed -n 's/^\(release\|commit-hash\|host\|LLVM version\): /rustc \1: /p'
    echo "cc: $(cc --version | head -n 1)"
    echo "ld: $(ld --version | head -n 1)"
    echo "libc: $(ldd --version | head -n 1)"
} > "$out/BUILD"

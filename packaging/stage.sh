#!/bin/sh
# Adds to dist/release what the programs say of themselves (man pages, completion scripts, example configurations), their
# lists of materials, and the licences of what they are linked with.
set -eu
out=dist/release
for program in countersign countersign-coordinator countersign-node countersign-recover; do
    "$out/bin/$program" man --out "$out/man/$program"
    mkdir -p "$out/completions" "$out/doc/$program"
    for shell in bash fish zsh; do
        "$out/bin/$program" completions $shell >"$out/completions/$program.$shell"
    done
    sed "s/@package@/$program/" packaging/deb/changelog >"$out/doc/$program/changelog"
    cp packaging/deb/copyright "$out/doc/$program/copyright"
    python3 packaging/sbom.py "$out/bin/$program" >"$out/doc/$program/$program.cdx.json"
    python3 packaging/licences.py "$out/doc/$program/$program.cdx.json" >"$out/doc/$program/licences.txt"
done
# The page of `countersign node` would have the name of that of the program `countersign-node`; countersign.1 names the command,
# and countersign-node-list.1 says the rest.
rm "$out/man/countersign/countersign-node.1"
mkdir -p "$out/etc"
"$out/bin/countersign-node" config example | python3 packaging/installed.py node >"$out/etc/node.yaml"
data=$(mktemp -d)
"$out/bin/countersign-coordinator" init --data "$data" >/dev/null 2>&1
python3 packaging/installed.py coordinator <"$data/coordinator.yaml" >"$out/etc/coordinator.yaml"
rm -r "$data"

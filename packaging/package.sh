#!/bin/sh
# Packs what build.sh has built, into dist/packages: Debian packages, a tar file, container images, lists of materials, and the
# checksums of all of them.
set -eu
cd "$(dirname "$0")/.."
release=dist/release
out=dist/packages
SOURCE_DATE_EPOCH=$(packaging/epoch.sh)
export SOURCE_DATE_EPOCH
packaging/stage.sh
rm -rf "$out" && mkdir -p "$out"
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)

for crate in countersign-client countersign-coordinator countersign-node-cli countersign-recover; do
    cargo deb --quiet --no-build --no-strip -p $crate --output "$out"
done

name=countersign-$version-$(uname -m)-linux-gnu
tree=$(mktemp -d)
chmod 755 "$tree"
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/$name/docs"
cp -r "$release/bin" "$release/plugins" "$release/man" "$release/completions" "$release/etc" "$release/BUILD" "$tree/$name"
cp -r packaging/systemd "$tree/$name/systemd"
cp docs/packages.md docs/rules.yaml docs/rules-start.yaml docs/rules.schema.json docs/quorum.yaml "$tree/$name/docs"
cp README.md SECURITY.md LICENSE "$tree/$name"
for program in "$release"/doc/*; do
    cp "$program"/*.cdx.json "$out"
    cp "$program/licences.txt" "$tree/$name/docs/$(basename "$program")-licences.txt"
done
tar --create --directory "$tree" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go-w \
    --format=gnu "$name" | gzip -9 --no-name >"$out/$name.tar.gz"

for program in countersign-coordinator countersign-node; do
    python3 packaging/oci.py $program "$out/$program-$version.oci.tar"
done
cp "$release/BUILD" "$out/BUILD"
sums=$(cd "$out" && sha256sum -- *)
echo "$sums" >"$out/SHA256SUMS"
ls -l "$out"

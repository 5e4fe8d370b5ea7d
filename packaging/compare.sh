#!/bin/sh
# Builds the last commit once more, from nothing and in a folder of another name, and compares it with dist/release and
# dist/packages byte by byte.
set -eu
cd "$(dirname "$0")/.."
git diff --quiet HEAD || { echo "compare.sh: the last commit is compared, and there are changes beside it; commit them" >&2; exit 1; }
here=$PWD
there=${1:-$PWD/target/another/place}
SOURCE_DATE_EPOCH=$(packaging/epoch.sh)
export SOURCE_DATE_EPOCH
rm -rf "$there" && mkdir -p "$there"
git archive HEAD | tar -x -C "$there"
# Says which commit this is, where there is no repository.
COUNTERSIGN_COMMIT=$(git rev-parse HEAD)
export COUNTERSIGN_COMMIT
pages() { clients/build.sh >/dev/null && (cd console && npm ci --silent --no-audit --no-fund --ignore-scripts && npm run --silent build >/dev/null); }
(cd "$there" && pages && packaging/build.sh && packaging/package.sh >/dev/null)
for folder in dist/release dist/packages; do
    (cd "$here/$folder" && find . -type f -exec sha256sum {} + | sort -k 2) >"$there/here.sums"
    (cd "$there/$folder" && find . -type f -exec sha256sum {} + | sort -k 2) >"$there/there.sums"
    diff "$there/here.sums" "$there/there.sums" || { echo "compare.sh: $folder differs; $there keeps the other one" >&2; exit 1; }
    echo "$folder: $(wc -l <"$there/here.sums") files are the same in both folders"
done
rm -rf "$there"

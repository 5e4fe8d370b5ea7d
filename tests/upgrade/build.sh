#!/bin/sh
# Builds the programs of an earlier release from its commit, in a folder of its own, and prints the folder of its sources.
#
#     tests/upgrade/build.sh COMMIT [FOLDER]
#
# Without FOLDER it is target/earlier/COMMIT. It takes about as long as a first build of this one.
set -eu
cd "$(dirname "$0")/../.."
commit=$(git rev-parse --verify --quiet "$1^{commit}") || {
    echo "build.sh: there is no commit $1; fetch it, or give another" >&2
    exit 1
}
folder=${2:-target/earlier/$commit}
test -e "$folder/.git" || git worktree add --quiet --detach "$folder" "$commit" >&2
cd "$folder"
test "$(git rev-parse HEAD)" = "$commit" || {
    echo "build.sh: $folder has another commit than $commit; give another folder" >&2
    exit 1
}
cargo build --quiet --locked --bins -p countersign-node-cli -p countersign-coordinator -p countersign-client >&2
cargo build --quiet --locked --profile plugin --target wasm32-wasip2 -p countersign-rules >&2
pwd

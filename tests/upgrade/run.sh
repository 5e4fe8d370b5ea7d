#!/bin/sh
# Carries out the runbook of docs/upgrade.md with the programs of an earlier release and those of this build: to this one, and back.
#
#     tests/upgrade/run.sh FOLDER      the folder with the earlier programs
#     just upgrade-test COMMIT         builds them first
set -eu
COUNTERSIGN_EARLIER=$(realpath "$1")
export COUNTERSIGN_EARLIER
cd "$(dirname "$0")/../.."
cargo build --quiet --workspace --bins
cargo test --quiet --workspace --features countersign-tests/earlier --test upgrade -- earlier:: --nocapture --test-threads 1

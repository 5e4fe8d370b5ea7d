#!/bin/sh
# Fuzzes targets by libFuzzer: `fuzz/run.sh SECONDS [--keep] [TARGET...]`, for so long each; without names, all of them.
#
# What was found lies in target/fuzz/<target>/: `crash-*` and the like, a log, and the corpus that grew. `--keep` writes what covers
# more than the kept corpus does into fuzz/corpus/<target>.txt. Ends with 1 if a target failed.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:?how many seconds for each target}
shift
keep=
[ "${1:-}" != --keep ] || { keep=yes; shift; }
all=$(sed -n 's/.*Target::new("\([a-z0-9_]*\)".*/\1/p; s/^ *"\([a-z0-9_]*\)",$/\1/p' fuzz/src/targets/mod.rs)
[ $# -gt 0 ] || eval "set -- $(echo $all)"

# The crates of this workspace with coverage, what others wrote as every other build has it.
program=$(RUSTC_WORKSPACE_WRAPPER=$PWD/fuzz/instrument.sh cargo build --workspace --example libfuzzer \
    --features countersign-fuzz/libfuzzer --message-format=json-render-diagnostics |
    sed -n 's/.*"executable":"\([^"]*\/libfuzzer[^"]*\)".*/\1/p')

failed=
for target in "$@"; do
    case " $(echo $all) " in *" $target "*) ;; *) echo "fuzz: $target is not a target; choose one of:" $all >&2; exit 2 ;; esac
    place=target/fuzz/$target
    mkdir -p "$place/corpus"
    options="-max_len=65536 -timeout=20 -rss_limit_mb=2048 -artifact_prefix=$place/"
    # The database reserves what a made-up page number says, up to 4 GiB, before it sees that the file is shorter.
    [ "$target" != journal_files ] || options="$options -rss_limit_mb=6144"
    # A panic in a library that is contained counts as memory if it is traced.
    RUST_BACKTRACE=0 COUNTERSIGN_FUZZ=$target COUNTERSIGN_FUZZ_CORPUS=$place/corpus \
        "$program" "$place/corpus" $options -max_total_time="$seconds" -print_final_stats=1 >"$place/log" 2>&1 ||
        { failed="$failed $target"; echo "fuzz: $target failed, see $place/log" >&2; }
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$place/log")
    reached=$(sed -n 's/.*cov: \([0-9]*\) ft: \([0-9]*\) corp: \([0-9]*\).*/\1 edges, \2 features, \3 inputs/p' "$place/log" | tail -1)
    echo "$target: ${runs:-0} executions, ${reached:-nothing reached}"
    if [ -n "$keep" ]; then
        rm -rf "$place/smallest" && mkdir -p "$place/smallest"
        COUNTERSIGN_FUZZ=$target "$program" -merge=1 $options "$place/smallest" "$place/corpus" >>"$place/log" 2>&1
        for input in "$place"/smallest/*; do
            # A text of a few kilobytes a line stays a text.
            [ "$(wc -c <"$input")" -gt 2048 ] || { od -An -v -tx1 "$input" | tr -d ' \n'; echo; }
        done | sort -u >"$place/kept"
        { grep '#' "fuzz/corpus/$target.txt" 2>/dev/null || true; cat "$place/kept"; } >"$place/text"
        mv "$place/text" "fuzz/corpus/$target.txt"
    fi
done
[ -z "$failed" ] || { echo "fuzz: failed:$failed" >&2; exit 1; }

#!/bin/sh
# Cargo's wrapper for the crates of this workspace (RUSTC_WORKSPACE_WRAPPER): adds the coverage that guides libFuzzer.
# Stable flags only. Dependencies are linked as built before; their generic code counts, since it is compiled with ours.
set -eu
case " $* " in
    # Code that runs while compiling has no fuzzer to report to.
    *" --crate-type proc-macro "* | *" build_script_build "* | *" - "* | *" -vV "*) exec "$@" ;;
esac
exec "$@" -Copt-level=2 -Ccodegen-units=1 --cfg fuzzing \
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares

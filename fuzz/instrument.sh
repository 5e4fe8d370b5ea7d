#!/bin/sh
# Cargo's wrapper for the crates of this workspace (RUSTC_WORKSPACE_WRAPPER): adds the coverage that libFuzzer is led by.
# Stable flags alone. What others wrote is linked as it was built before; their generic code counts, since it is compiled with ours.
set -eu
case " $* " in
    # What runs while compiling has no fuzzer to report to.
    *" --crate-type proc-macro "* | *" build_script_build "* | *" - "* | *" -vV "*) exec "$@" ;;
esac
exec "$@" -Copt-level=2 -Ccodegen-units=1 --cfg fuzzing \
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares

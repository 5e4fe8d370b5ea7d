# The one door to every task. `./run RECIPE` installs what a recipe needs first.

# What there is.
default:
    @just --list --unsorted

# Programs and plugins, as the demo and the tests use them.
build: plugins
    cargo build --workspace --bins

# The plugins that ship, into dist/plugins.
plugins:
    cargo plugins
    mkdir -p dist/plugins
    cp target/wasm32-wasip2/plugin/countersign_rules.wasm dist/plugins/rules.wasm
    cp target/wasm32-wasip2/plugin/countersign_jwt_callback.wasm dist/plugins/jwt-callback.wasm
    cp target/wasm32-wasip2/plugin/countersign_fireblocks_callback.wasm dist/plugins/fireblocks-callback.wasm
    cp target/wasm32-wasip2/plugin/countersign_webhook.wasm dist/plugins/webhook.wasm
    cp target/wasm32-wasip2/plugin/countersign_jwt_events.wasm dist/plugins/jwt-events.wasm

# Three nodes, a coordinator and an approval server on this machine: every scheme, every pair, approvals and refusals.
demo: build
    target/debug/countersign-demo

# All tests, then the demo. Built at once: cargo would compile the dependencies a second time for other features. What runs
# end to end waits more than it computes.
test: plugins models outsiders
    cargo build --workspace --all-targets
    cargo test --workspace --lib --bins --test '[!e]*'
    RUST_TEST_THREADS=3 cargo test --workspace --test 'e*'
    cargo test --workspace --doc
    target/debug/countersign-demo

# Models by others of the documents that plugins send, into dist/models. The tests read our documents with them.
models:
    test -x dist/models/bin/python || python3 -m venv dist/models
    dist/models/bin/python -c 'import cobo_waas2' 2>/dev/null || dist/models/bin/python -m pip install --quiet cobo-waas2==1.46.0

# Programs by others that judge our signatures, into dist/outsiders: a chain of the EVM, Bitcoin Core's rules, Solana's runtime.
outsiders:
    test -x dist/outsiders/bin/python || python3 -m venv dist/outsiders
    dist/outsiders/bin/python -c 'import pbk, solders' 2>/dev/null || dist/outsiders/bin/python -m pip install --quiet --only-binary :all: py-bitcoinkernel==0.1.0a5 solders==0.29.0
    test -d dist/outsiders/node_modules/@foundry-rs || npm install --silent --no-audit --no-fund --ignore-scripts --prefix dist/outsiders @foundry-rs/anvil@1.7.1

# Interruptions at length, of which the tests try some: each message kept back, a node killed at each step of its writing, and
# 200 times at random.
interruptions: plugins
    cargo build --workspace --all-targets
    COUNTERSIGN_INTERRUPTIONS=all COUNTERSIGN_KILLS=200 cargo test --workspace --test e2e -- --nocapture interrupted

# Every alteration of every field of every message, of which the tests try some. Takes an hour of processor time.
alterations:
    COUNTERSIGN_ALTERATIONS=all cargo test -p countersign-engine --test alterations

# Takes thirty defences out, one at a time, and checks that a test turns red each time. Takes an hour.
sabotage *names:
    tests/sabotage/run.py {{names}}

# Writes the tables of the documentation that come from the code.
pages:
    COUNTERSIGN_WRITE_PAGES=1 cargo test --workspace --test pages -- the_tables_are_those_of_the_code

# 1,000 flipped bits in each file of a node, and all those of the journal's header, of which the tests try some.
flips:
    COUNTERSIGN_FLIPS=1000 cargo test --workspace --test it --test damage -- --nocapture flipped

# Every fuzz target for so many seconds, or those that are named: `just fuzz 600 payload_psbt tasks`. Says executions and coverage;
# what was found lies in target/fuzz.
fuzz seconds="60" *targets:
    fuzz/run.sh {{seconds}} {{targets}}

# Everything but the tests that a change must pass.
check: fmt clippy deny docs purity

# Formatting, and what rustfmt does not look at.
fmt:
    cargo fmt --all --check
    python3 tests/style.py

# Lints, with warnings as errors.
clippy:
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy --target wasm32-wasip2 -p countersign-sdk -p countersign-rules -p countersign-jwt-callback -p countersign-fireblocks-callback -p countersign-webhook -p countersign-jwt-events -- -D warnings

# Banned crates and licences. Advisories need the network of rustsec.org: `cargo deny check advisories`.
deny:
    cargo deny --all-features check bans licenses sources

# The documentation of every public item.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

# The layers of ARCHITECTURE.md, checked against what cargo resolves.
purity:
    ./tests/purity.sh

# Ours against the bare call, as ratios in one run, in programs as they ship.
bench: plugins
    cargo build --release --bins -p countersign-node -p countersign-coordinator -p countersign-client -p countersign-tests
    cargo bench -p countersign-tests --bench ratios

# The programs as they ship.
release: plugins
    cargo build --release

# All development tasks. `./run RECIPE` first installs what the recipe needs.

# Lists the recipes.
default:
    @just --list --unsorted

# Builds the programs and plugins that the demo and the tests use.
build: plugins
    cargo build --workspace --bins

# Builds the plugins that ship, into dist/plugins.
plugins:
    cargo plugins
    mkdir -p dist/plugins
    cp target/wasm32-wasip2/plugin/countersign_rules.wasm dist/plugins/rules.wasm
    cp target/wasm32-wasip2/plugin/countersign_quorum.wasm dist/plugins/quorum.wasm
    cp target/wasm32-wasip2/plugin/countersign_jwt_callback.wasm dist/plugins/jwt-callback.wasm
    cp target/wasm32-wasip2/plugin/countersign_fireblocks_callback.wasm dist/plugins/fireblocks-callback.wasm
    cp target/wasm32-wasip2/plugin/countersign_webhook.wasm dist/plugins/webhook.wasm
    cp target/wasm32-wasip2/plugin/countersign_jwt_events.wasm dist/plugins/jwt-events.wasm

# Writes completion scripts and man pages of the programs into dist/manual.
manual: build
    mkdir -p dist/manual
    for program in countersign countersign-coordinator countersign-recover countersign-node; do \
        target/debug/$program man --out dist/manual/man1 && \
        for shell in bash fish zsh; do target/debug/$program completions $shell > dist/manual/$program.$shell || exit 1; done || exit 1; \
    done

# Builds what it runs and nothing else; the tests use the same builds.
# Runs three nodes, a coordinator and an approval server on this machine: every scheme, every pair, approvals and refusals.
demo:
    cargo guest -p countersign-rules -p countersign-jwt-callback
    cargo build --bins -p countersign-node-cli -p countersign-coordinator -p countersign-tests
    target/debug/countersign-demo

# Everything is built at once, since cargo would otherwise compile the dependencies a second time with other features. End-to-end
# tests run in three threads because they mostly wait.
# Runs all tests, then the demo.
test: plugins models outsiders clients console-test
    cargo build --workspace --all-targets
    cargo test --workspace --lib --bins --test '[!e]*'
    RUST_TEST_THREADS=3 cargo test --workspace --test 'e*'
    cargo test --workspace --doc
    clients/test.sh
    {{just_executable()}} examples
    target/debug/countersign-demo

# Runs the examples of the crates that serve on their own. `test` has built them.
examples:
    target/debug/examples/task
    target/debug/examples/check
    target/debug/examples/decode
    target/debug/examples/sign
    target/debug/examples/tunnel

# Installs third-party models of the documents that plugins send into dist/models. The tests parse our documents with them.
models:
    test -x dist/models/bin/python || python3 -m venv dist/models
    dist/models/bin/python -c 'import cobo_waas2' 2>/dev/null || dist/models/bin/python -m pip install --quiet cobo-waas2==1.46.0

# Installs third-party verifiers and users of our signatures into dist/outsiders: an EVM chain and its tools, Bitcoin Core's rules, Solana's runtime.
outsiders:
    test -x dist/outsiders/bin/python || python3 -m venv dist/outsiders
    dist/outsiders/bin/python -c 'import pbk, solders, web3' 2>/dev/null || dist/outsiders/bin/python -m pip install --quiet --only-binary :all: py-bitcoinkernel==0.1.0a5 solders==0.29.0 web3==7.16.0
    test -d dist/outsiders/node_modules/viem || npm install --silent --no-audit --no-fund --ignore-scripts --prefix dist/outsiders @foundry-rs/anvil@1.7.1 @foundry-rs/cast@1.7.1 ethers@6.17.0 viem@2.57.20

# Builds the packages for Python and TypeScript, and the WebAssembly module in both, into dist/clients. Installs them there for the tests.
clients:
    clients/build.sh

# Types, and every test of the packages for Python and TypeScript, with others' libraries as judges.
clients-test: clients
    clients/test.sh

# `COUNTERSIGN_CONSOLE=$PWD/dist/console cargo build -p countersign-client` embeds it.
# Builds the pages of the console into dist/console.
console: clients
    test -d console/node_modules/esbuild || npm ci --silent --no-audit --no-fund --ignore-scripts --prefix console
    cd console && npm run --silent types && npm run --silent build

# Needs Debian's package chromium for the second half, which is skipped without it, and fails if CI is set.
# Types and tests of the console: its parts, then all of it in Chromium with a virtual authenticator.
console-test: console
    cd console && npm test && npm run browser

# Each message withheld, a node killed at each step of its writing, and 200 random kills.
# Runs every interruption, of which the tests try a sample.
interruptions: plugins
    cargo build --workspace --all-targets
    COUNTERSIGN_INTERRUPTIONS=all COUNTERSIGN_KILLS=200 cargo test --workspace --test e2e -- --nocapture interrupted
    COUNTERSIGN_KILLS=200 cargo test --workspace --test program -- --nocapture after_any_number_of_kills

# Runs every alteration of every field of every message, of which the tests try a sample. Takes some hours of processor time.
alterations:
    COUNTERSIGN_ALTERATIONS=all cargo test -p countersign-engine --test alterations

# Verifies signatures of the engine dkls23 by two libraries, of which the tests make 300. A million take half a day.
signatures count="1000000":
    COUNTERSIGN_DKLS23_SIGNATURES={{count}} cargo test -p countersign-engine --test it many_signatures

# Requests are generated from the document by schemathesis, so many for each operation and in sequences that follow links.
# Holds a coordinator to its OpenAPI document.
contract examples="200":
    cargo build --workspace --bins
    tests/contract/run.sh {{examples}}

# Builds the programs of an earlier commit, and carries out the runbook of docs/upgrade.md with them and those of today, both ways.
upgrade-test commit: plugins
    tests/upgrade/run.sh "$(tests/upgrade/build.sh {{commit}})/target/debug"

# Removes the listed security checks one at a time, and verifies that a test fails each time. Takes an hour.
sabotage *names:
    tests/sabotage/run.py {{names}}

# Writes the documentation's generated tables, the reference of the HTTP API, and the types of the clients for Python and TypeScript.
pages:
    COUNTERSIGN_WRITE_PAGES=1 cargo test --workspace --test pages -- those_of_the_code

# Runs the alert rules of Prometheus in promtool, and holds tables, pages and dashboard of metrics to each other. `test` does, too.
metrics:
    cargo test --workspace --test metrics
    cargo test --workspace --test pages -- metric

# Flips 1,000 bits in each file of a node, and every bit of the journal's header, of which the tests try a sample.
flips:
    COUNTERSIGN_FLIPS=1000 cargo test --workspace --test it --test damage -- --nocapture flipped

# For example `just fuzz 600 payload_psbt tasks`. Prints executions and coverage; findings are written to target/fuzz.
# Runs every fuzz target, or the named ones, for the given number of seconds each.
fuzz seconds="60" *targets:
    fuzz/run.sh {{seconds}} {{targets}}

# All pre-merge checks except tests.
check: fmt clippy deny items purity units (packages "--no-verify")

# Checks formatting, and the style rules that rustfmt does not cover.
fmt:
    cargo fmt --all --check
    python3 tests/style.py

# Runs the lints, with warnings as errors.
clippy:
    cargo clippy --workspace --all-targets --features countersign-tests/earlier -- -D warnings
    cargo clippy --target wasm32-wasip2 -p countersign-sdk -p countersign-rules -p countersign-quorum -p countersign-jwt-callback -p countersign-fireblocks-callback -p countersign-webhook -p countersign-jwt-events -- -D warnings

# Checks for banned crates and licences. Advisories need access to rustsec.org: `cargo deny check advisories`.
deny:
    cargo deny --all-features check bans licenses sources

# Type-checks all programs for Linux and macOS on arm64. Nothing is linked or run there.
cross *targets:
    test -x dist/cross/bin/python || python3 -m venv dist/cross
    dist/cross/bin/python -c 'import ziglang' 2>/dev/null || dist/cross/bin/python -m pip install --quiet ziglang==0.14.1
    tests/cross/run.sh {{targets}}

# Builds the book with its search, and the documentation of every public item.
docs: book items

# Builds the book from docs/ into target/book. The tests check its links and command lines without mdBook.
book:
    mdbook build docs/book
    @echo "the book: target/book/index.html"

# Builds the documentation of every public item into target/doc. Warnings are errors.
items:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

# Checks the layers of ARCHITECTURE.md against what cargo resolves.
purity:
    ./tests/purity.sh
    python3 tests/sabotage/run.py --fit

# Packages the crates that serve on their own as for publication, and builds each package alone. Uploads nothing.
packages *flags:
    cargo publish --dry-run --allow-dirty {{flags}} -p countersign-strict -p countersign-protocol -p countersign-verify \
        -p countersign-payload -p countersign-engine -p countersign-link -p countersign-sdk

# Compares our code with the bare library calls, as ratios in one run, with release builds.
bench: plugins
    cargo build --release --bins -p countersign-node-cli -p countersign-coordinator -p countersign-client -p countersign-tests
    cargo bench -p countersign-tests --bench ratios

# Builds programs and plugins as they ship, into dist/release. The folder that it is done in leaves no trace in them.
programs: console
    packaging/build.sh

# Packs the programs into dist/packages: Debian packages, a tar file, container images, lists of materials and checksums.
package: programs
    packaging/package.sh

# Tests what `package` has made. As root, it also runs the images' programs in their root folders.
package-test: package
    test -x dist/packaging/bin/python || python3 -m venv dist/packaging
    dist/packaging/bin/python -c 'import cyclonedx, jsonschema' 2>/dev/null || dist/packaging/bin/python -m pip install --quiet 'cyclonedx-python-lib[json-validation]==11.12.0'
    python3 packaging/test.py

# Installs the packages in a Debian of its own, boots it, and lets two nodes sign under the units of the packages. Needs root.
package-boot suite="bookworm": package
    packaging/boot.sh {{suite}}

# Plays three parties with the packages, each in a Debian of its own: from nothing to a signed transaction, then a restored node. Needs root.
package-three suite="bookworm": package
    packaging/three.sh {{suite}}

# Checks with systemd's own judge that the units of the packages expose little. Needs no packages.
units:
    python3 packaging/test.py Units

# Builds the last commit in another folder as well, and compares every byte. Takes an hour of processor time.
release: package
    packaging/compare.sh

#!/bin/sh
# The layers of ARCHITECTURE.md, checked against what cargo resolves. Says which line is broken, and by whom.
set -eu
cd "$(dirname "$0")/.."
broken=0

# normal dependencies of a package, one name a line
deps() { cargo tree --locked -p "$1" -e normal --prefix none --format '{p}' | cut -d' ' -f1 | sort -u; }

never() { # package, reason, names...
    package=$1 reason=$2
    shift 2
    for name in "$@"; do
        if deps "$package" | grep -qx "$name"; then
            echo "purity: $package must not reach $name: $reason" >&2
            broken=1
        fi
    done
}

never countersign-protocol "it performs no I/O" tokio quinn wasmtime redb age mio reqwest countersign-engine
never countersign-engine "it performs no I/O" tokio quinn wasmtime redb age mio reqwest
never countersign-protocol "it knows no curve but that of its ids" p256 k256
never countersign-vote "it performs no I/O and holds nothing of a key" tokio quinn wasmtime redb age mio reqwest ring openssl-sys countersign-engine cggmp24 frost-core
never countersign-audit "it performs no I/O and holds nothing of a key" tokio quinn wasmtime redb age mio reqwest ring openssl-sys countersign-engine cggmp24 frost-core
never countersign-payload "it performs no I/O and signs nothing" tokio quinn wasmtime redb age mio reqwest ring openssl-sys countersign-engine cggmp24 frost-core
never countersign-requester "it performs no I/O and holds nothing of a key" tokio quinn wasmtime redb age mio reqwest ring openssl-sys countersign-engine countersign-client cggmp24 frost-core
never countersign-wasm "it is the requester's rules and nothing else" tokio quinn wasmtime redb age mio reqwest ring openssl-sys countersign-engine countersign-client cggmp24 frost-core
never countersign-coordinator "it holds nothing that signs" countersign-engine cggmp24 frost-core age wasmtime
never countersign-client "it holds nothing that signs" countersign-engine cggmp24 frost-core age wasmtime redb
never countersign-link "it stores nothing" redb age wasmtime countersign-engine
never countersign-store "it talks to nobody" tokio quinn wasmtime countersign-engine
never countersign-host "it knows no key" redb age quinn countersign-engine countersign-store
never countersign-metrics "it knows no service" quinn wasmtime redb age countersign-node countersign-coordinator countersign-store countersign-host countersign-protocol
never countersign-recover "it is offline, and no scheme is needed to rebuild a key" tokio quinn wasmtime redb age mio reqwest countersign-engine cggmp24 frost-core
never countersign-node-cli "the library of the second ECDSA engine is not audited" dkls23-core
for package in countersign-protocol countersign-audit countersign-engine countersign-verify countersign-vote countersign-payload countersign-link countersign-store countersign-host countersign-coordinator countersign-client countersign-requester countersign-wasm; do
    never "$package" "only a node writes recovery files, and no service rebuilds a key" countersign-recover
done

# one direct user each
only() { # dependency, allowed packages...
    dependency=$1
    shift
    users=$(grep -lE "^$dependency(\.workspace)? *=" */Cargo.toml plugins/*/Cargo.toml | grep -vE '^(tests|fuzz)/' || true)
    for user in $users; do
        case " $* " in *" $user "*) ;; *) echo "purity: $user must not name $dependency; go through: $*" >&2; broken=1 ;; esac
    done
}

only wasmtime host/Cargo.toml
only landlock system/Cargo.toml
only seccompiler system/Cargo.toml
only quinn link/Cargo.toml
only rustls link/Cargo.toml host/Cargo.toml client/Cargo.toml door/Cargo.toml
only age store/Cargo.toml
only redb store/Cargo.toml coordinator/Cargo.toml
only alloy-consensus payload/Cargo.toml
only bitcoin payload/Cargo.toml
only cggmp24 engine/Cargo.toml
only countersign-recover node/Cargo.toml node-cli/Cargo.toml
only frost-core engine/Cargo.toml
only dkls23-core engine/Cargo.toml
only p256 vote/Cargo.toml

# one list of schemes, one driver, one belief in passkeys
one() { # pattern, place (several: a line each, sorted), folders...
    pattern=$1 place=$2
    shift 2
    found=$(grep -rlE "$pattern" --include='*.rs' --exclude='*tests.rs' "$@" | while read -r file; do
        # Everything below the line that opens a file's tests is not compiled into a program.
        if PATTERN="$pattern" awk '/^mod tests \{/ { exit } $0 ~ ENVIRON["PATTERN"] { found = 1 } END { exit !found }' "$file"; then
            echo "$file"
        fi
    done | LC_ALL=C sort)
    [ "$found" = "$place" ] || { echo "purity: '$pattern' belongs into $place alone, found in: $found" >&2; broken=1; }
}

one 'impl Passkeys for' vote/src/order.rs protocol/src vote/src node/src node-cli/src coordinator/src requester/src client/src clients/wasm/src
one 'enum Scheme( |$)' protocol/src/scheme.rs protocol/src engine/src verify/src node/src node-cli/src coordinator/src client/src
one 'engine\.step\(\)' node/src/session/worker.rs node/src coordinator/src client/src
one 'Section::Share' 'node/src/vault.rs
node/src/vault/shares.rs' node/src node-cli/src
one 'Approved::new\(' node/src/risk/mod.rs node/src
# one place that says that a run of the second ECDSA engine is counted
one 'Counted::on_disk\(' '' engine/src node/src node-cli/src recover/src
one 'journal\.commit\(' node/src/task/commit.rs node/src

# one place that knows the operating system
sources=$(ls -d ./*/src | sed 's,^\./,,' | grep -v '^tests/')
# shellcheck disable=SC2086 # a list of words
one 'target_os' system/src/lib.rs $sources
# shellcheck disable=SC2086 # a list of words
one '"/proc/|libc::(prctl|syscall)|landlock::|seccompiler::' 'system/src/linux/confine.rs
system/src/linux/locks.rs
system/src/linux/mod.rs' $sources

# no clock and no I/O in the pure crates, and no fixture outside tests
if grep -nE 'SystemTime|Instant::now|std::(fs|net|thread|env)|println!' protocol/src audit/src engine/src payload/src vote/src requester/src clients/wasm/src -r | grep -v 'tests.rs:' | grep -v '^[^:]*:[0-9]*: *//'; then
    echo "purity: protocol, audit, engine, payload, vote, requester and clients/wasm read no clock and perform no I/O" >&2
    broken=1
fi
for file in $(grep -rl 'fixtures/primes' --include='*.rs' node/src engine/src coordinator/src client/src); do
    # Everything below the line that opens a file's tests is not compiled into a program.
    if awk '/cfg\(test\)/ { exit } /fixtures\/primes/ { found = 1 } END { exit !found }' "$file"; then
        echo "purity: $file: fixture primes belong to tests alone" >&2
        broken=1
    fi
done
[ "$broken" = 0 ] && echo "purity: the layers hold"
exit "$broken"

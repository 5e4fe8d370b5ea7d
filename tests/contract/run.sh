#!/bin/sh
# Holds a running coordinator to its own OpenAPI document, by requests that schemathesis makes from it.
#
# The coordinator has a wallet, a task that is done, one that waits, a webhook and an API key, so that every operation can
# succeed (hooks.py). An id of the right form may have a wrong checksum, so a document cannot say exactly which are taken:
# requests that fit it may be refused with 400.
#
#     tests/contract/run.sh            200 examples an operation
#     tests/contract/run.sh 1000       so many
set -eu
cd "$(dirname "$0")/../.."
examples=${1:-200}
python=dist/contract/bin/python
"$python" -c "import schemathesis" 2>/dev/null || { python3 -m venv dist/contract && "$python" -m pip install --quiet schemathesis==4.32.5; }
program=target/debug/countersign-coordinator
dir=$(mktemp -d)
waiting=
trap 'kill $server $waiting 2>/dev/null || true; rm -r "$dir"' EXIT
server=
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$program" init --data "$dir" >"$dir/id" 2>/dev/null
"$program" api-key new contract --scope read,vote,create,admin --json >"$dir/made"
chmod 600 "$dir/made"
target/debug/countersign approver new --out "$dir/approver.key" >"$dir/approver" 2>/dev/null
python3 tests/contract/seed.py configure "$dir" "$port"
"$program" serve --config "$dir/coordinator.yaml" 2>"$dir/log" &
server=$!
until curl --silent --fail "http://127.0.0.1:$port/live" >/dev/null; do sleep 0.1; done
target/debug/countersign requester new --out "$dir/requester.key" >/dev/null 2>&1
# Its nodes never come, so it waits for as long as it lives.
target/debug/countersign --config "$dir/profile.yaml" --timeout 86400 wallet create waiting --scheme ed25519 \
    --threshold 2 --nodes a,b,c >/dev/null 2>&1 &
waiting=$!
# One more, on which somebody has voted.
target/debug/countersign --config "$dir/profile.yaml" --timeout 80000 wallet create voted --scheme ed25519 \
    --threshold 2 --nodes a,b,c --collect 1 >/dev/null 2>&1 &
waiting="$waiting $!"
python3 tests/contract/seed.py vote "$dir" "$port"
python3 tests/contract/seed.py fill "$dir" "$port"
# The key is in a file that this process alone can read, not among the arguments.
SEEDS="$dir/seeds.json" SCHEMATHESIS_HOOKS=tests.contract.hooks PYTHONPATH=. "$python" -m schemathesis.cli \
    --config-file "$dir/schemathesis.toml" run "http://127.0.0.1:$port/v1/openapi.json" \
    --exclude-checks positive_data_acceptance --max-examples "$examples" --phases examples,coverage,fuzzing,stateful \
    --request-timeout 45 --workers 2 --no-color
python3 tests/contract/seed.py judge "$dir" "$port"

#!/bin/sh
# Holds a running coordinator to its own OpenAPI document, by requests that schemathesis makes from it.
#
# An id of the right form may have a wrong checksum, so a document cannot say exactly which are taken: requests that fit it
# may be refused with 400.
#
#     tests/contract/run.sh            200 examples an operation
#     tests/contract/run.sh 1000       so many
set -eu
cd "$(dirname "$0")/../.."
examples=${1:-200}
tool=dist/contract/bin/st
test -x "$tool" || { python3 -m venv dist/contract && dist/contract/bin/python -m pip install --quiet schemathesis==4.32.5; }
mkdir -p dist
program=target/debug/countersign-coordinator
dir=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
key_of() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]] if sys.argv[1] == "key" else json.dumps(json.load(sys.stdin)["entry"]))' "$1"; }
"$program" init --data "$dir" >"$dir/id" 2>/dev/null
"$program" api-key new contract --scope read,create,admin --json >"$dir/made"
chmod 600 "$dir/made"
printf 'data: .\nlisten_http: 127.0.0.1:%s\nlisten_quic: 127.0.0.1:0\napi_keys:\n  - %s\n' "$port" "$(key_of entry <"$dir/made")" >"$dir/coordinator.yaml"
"$program" serve --config "$dir/coordinator.yaml" 2>"$dir/log" &
server=$!
trap 'kill $server; rm -r "$dir"' EXIT
until curl --silent --fail "http://127.0.0.1:$port/live" >/dev/null; do sleep 0.1; done
# The key is in a file that this process alone can read, not among the arguments.
printf '[headers]\nAuthorization = "Bearer %s"\n' "$(key_of key <"$dir/made")" >"$dir/schemathesis.toml"
SCHEMATHESIS_HOOKS=tests.contract.hooks PYTHONPATH=. "$tool" --config-file "$dir/schemathesis.toml" run "http://127.0.0.1:$port/v1/openapi.json" \
    --exclude-checks positive_data_acceptance --max-examples "$examples" --phases examples,coverage,fuzzing,stateful --request-timeout 45 --workers 2 --no-color

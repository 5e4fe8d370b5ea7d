#!/bin/sh
# Types and tests of the packages for Python and TypeScript. `just clients` comes before it.
set -eu
cd "$(dirname "$0")/.."
place=$PWD/dist/clients/judges

[ -x "$place/bin/python" ] || python3 -m venv "$place"
"$place/bin/python" -c 'import pytest, mypy, eth_account, embit, solders, httpx, wasmtime' 2>/dev/null ||
    "$place/bin/python" -m pip install --quiet pytest==9.0.2 mypy==1.19.1 "httpx>=0.27,<1" "wasmtime>=36" cryptography==46.0.3 \
        eth-account==0.13.7 embit==0.8.0 solders==0.29.0
"$place/bin/python" -m pip install --quiet --no-deps --force-reinstall dist/clients/*.whl
python3 clients/generate.py --check
(cd clients/python && "$place/bin/python" -m mypy && "$place/bin/python" -m pytest -q)
(cd clients/typescript && npm test)

#!/bin/sh
# Plays three parties that start from nothing: each installs dist/packages in a Debian of its own, boots it with its systemd, and
# types what docs/joining.md says. Ends with a signed transaction that another library verifies, and a node that came back from
# its backup. Needs root and a network for Debian's and Python's packages; changes nothing outside dist.
#
#     packaging/three.sh bookworm
set -eu
cd "$(dirname "$0")/.."
suite=${1:-bookworm}
[ "$(id -u)" = 0 ] || { echo "three.sh: root is needed for containers; run it with sudo" >&2; exit 1; }
packaging/debian.sh "$suite"
test -x dist/three/bin/python || python3 -m venv dist/three
dist/three/bin/python -c 'import bip32, eth_account, pexpect' 2>/dev/null ||
    dist/three/bin/python -m pip install --quiet --only-binary :all: bip32==5.0.0 eth-account==0.14.0 pexpect==4.9.0
# Mounts and a network of its own, so that nothing of the containers is left outside.
exec unshare --mount --net --propagation private dist/three/bin/python packaging/three.py "dist/boot/$suite"

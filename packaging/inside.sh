#!/bin/sh
# What boot.sh runs in the container: an operator's way from the packages to signatures.
set -eu
step() { echo "== $*"; }
die() {
    echo "inside.sh: $*" >&2
    journalctl --no-pager -u countersign-node -u countersign-bob -u countersign-coordinator -n 60 >&2
    exit 1
}
as() { user=$1 && shift && runuser -u "$user" -- "$@"; }
wait_for() { # seconds, words, command...
    seconds=$1 words=$2
    shift 2
    for _ in $(seq "$seconds"); do "$@" >/dev/null 2>&1 && return 0; sleep 1; done
    die "$words did not happen within $seconds s"
}
is() { [ "$2" = "$3" ] || die "$1: $2, not $3"; }
order() { countersign --config profile.yaml "$@" >"$work/said" 2>&1 || { cat "$work/said" >&2; die "countersign $*"; }; }
work=$(mktemp -d)
node=/etc/countersign-node/node.yaml
coordinator=/etc/countersign-coordinator/coordinator.yaml

step "$(systemctl --version | head -n 1): install"
export DEBIAN_FRONTEND=noninteractive
apt-get install --yes -qq /packages/*.deb >"$work/apt" 2>&1 || { cat "$work/apt" >&2; exit 1; }
is "mode of the data" "$(stat -c '%a %U' /var/lib/countersign-node)" "700 countersign-node"
is "mode of the configuration's folder" "$(stat -c '%a %U %G' /etc/countersign-node)" "750 root countersign-node"
is "mode of the configuration" "$(stat -c '%a %U' $node)" "644 root"
is "the service" "$(systemctl is-enabled countersign-node || true)" disabled
systemctl start countersign-node # Does nothing before `init`.
is "the service" "$(systemctl is-active countersign-node || true)" inactive

step "a coordinator"
id=$(as countersign-coordinator countersign-coordinator init --data /var/lib/countersign-coordinator 2>/dev/null)

step "two nodes: the package's, and one under a copy of its unit"
useradd --system --no-create-home countersign-bob
for place in /etc /var/lib; do
    cp -a $place/countersign-node $place/countersign-bob
    chown -R --from=countersign-node countersign-bob $place/countersign-bob
    chgrp -R countersign-bob $place/countersign-bob
done
sed -i 's|/var/lib/countersign-node/|/var/lib/countersign-bob/|' /etc/countersign-bob/node.yaml
sed 's#=countersign-node$#=countersign-bob#; s#/etc/countersign-node/#/etc/countersign-bob/#; s#/lib/countersign-node/#/lib/countersign-bob/#' \
    /lib/systemd/system/countersign-node.service >/etc/systemd/system/countersign-bob.service
passphrase=$(head -c 24 /dev/urandom | base64)
for name in node bob; do
    umask 077
    printf '%s\n' "$passphrase" >/run/passphrase
    chown countersign-$name /run/passphrase
    as countersign-$name countersign-node init --config /etc/countersign-$name/node.yaml --key-file /run/passphrase >/dev/null
    umask 022
done
systemd-creds encrypt --name=countersign-passphrase /run/passphrase /etc/credstore.encrypted/countersign-passphrase 2>/dev/null
rm /run/passphrase
id_of() { as "countersign-$1" countersign-node info --config "/etc/countersign-$1/node.yaml" | grep -o 'csn1[a-z0-9]*' | head -n 1; }
alice=$(id_of node)
bob=$(id_of bob)

step "a requester, and who knows whom"
mkdir "$work/desk"
cd "$work/desk"
requester=$(countersign requester new --out requester.key | grep -o 'csr1[a-z0-9]*' | head -n 1)
cat >profile.yaml <<END
coordinator: http://127.0.0.1:7480
coordinator_id: $id
requester_key_file: requester.key
wallet_book: wallets.json
nodes: { alice: $alice, bob: $bob }
END
chmod 600 profile.yaml
countersign-coordinator node add alice "$alice" --config $coordinator >/dev/null
countersign-coordinator node add bob "$bob" --config $coordinator >/dev/null
sed -i "s|^api_keys:.*|api_keys:\n  - { name: desk, requester: $requester, scopes: [read, create] }|" $coordinator
countersign-coordinator check --config $coordinator >/dev/null
for name in node bob; do
    file=/etc/countersign-$name/node.yaml
    cat >/etc/countersign-$name/rules.yaml <<END
enable: true
key_gen: { allow_list: [{ threshold: 2, node_ids: [$alice, $bob] }] }
key_sign: { reject_all: false }
END
    peer=$([ $name = node ] && echo "$bob" || echo "$alice")
    countersign-node roster add peer "$peer" --config $file >/dev/null
    countersign-node requester add desk "$requester" --config $file >/dev/null
    sed -i "s|^#coordinator:|coordinator: { address: '127.0.0.1:7443', id: $id }\n#coordinator:|" $file
    sed -i "s|^  plugins:\$|  plugins:\n  - { name: rules, file: /usr/lib/countersign-node/plugins/rules.wasm, config_file: rules.yaml, grants: { state_bytes: 1048576 } }|" $file
    as countersign-$name countersign-node config check --config $file >"$work/check" 2>&1 || { cat "$work/check" >&2; die "config check"; }
done

step "start"
systemctl daemon-reload
systemctl enable --quiet --now countersign-coordinator countersign-node countersign-bob
online() { [ "$(countersign --config profile.yaml node list | grep -c online)" = 2 ]; }
wait_for 60 "that both nodes are online" online
pid=$(systemctl show --value --property MainPID countersign-node)
is "system calls are filtered" "$(sed -n 's/^Seccomp:\t//p' /proc/"$pid"/status)" 2
is "no capabilities" "$(sed -n 's/^CapEff:\t//p' /proc/"$pid"/status)" 0000000000000000
is "no new privileges" "$(sed -n 's/^NoNewPrivs:\t//p' /proc/"$pid"/status)" 1
! tr '\0' '\n' <"/proc/$pid/environ" | grep -qF "$passphrase" || die "the passphrase is in the environment"
! tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qF "$passphrase" || die "the passphrase is an argument"
! journalctl --no-pager | grep -qF "$passphrase" || die "the passphrase is in the journal"
! nsenter -t "$pid" -m touch /etc/countersign-node/x 2>/dev/null || die "the service's /etc can be written"

step "a wallet and a signature of each kind"
for scheme in ed25519 ecdsa-secp256k1; do
    order --timeout 300 wallet create $scheme --scheme $scheme --threshold 2 --nodes alice,bob
    order --timeout 60 sign $scheme --path m/0/7 --message "pay 3 to bob"
done

step "reload, restart, stop"
systemctl reload countersign-node countersign-coordinator || die "reload"
systemctl restart countersign-node
wait_for 60 "that both nodes are online again" online
order --timeout 60 sign ed25519 --path m/0/7 --message again
! journalctl --no-pager -u countersign-node -u countersign-bob -u countersign-coordinator | grep -E ' (ERROR|panicked)|Operation not permitted' || die "an error is in the journal"
! journalctl --no-pager -u countersign-node | grep "compiled in a process with limits, but without" || die "plugins are compiled without confinement"

step "update"
cp -a $node "$work/node.yaml"
pid=$(systemctl show --value --property MainPID countersign-node)
apt-get install --yes -qq --reinstall /packages/countersign-node_*.deb >"$work/apt" 2>&1 || { cat "$work/apt" >&2; exit 1; }
[ "$(systemctl show --value --property MainPID countersign-node)" != "$pid" ] || die "the updated node was not restarted"
cmp $node "$work/node.yaml" || die "an update changed the configuration"
wait_for 60 "that both nodes are online after an update" online
systemctl stop countersign-node countersign-bob countersign-coordinator
is "an orderly end" "$(systemctl show --value --property ExecMainStatus countersign-node)" 0

step "removal keeps what wallets need"
apt-get purge --yes -qq countersign-node countersign-coordinator >/dev/null 2>&1
[ -e /var/lib/countersign-node/secrets.redb.age ] || die "purging the package removed key shares"
echo "all is well"

#!/bin/sh
# Installs dist/packages in a Debian of its own, boots it with its systemd, and runs inside.sh there: two nodes and a
# coordinator under the units of the packages, a wallet and signatures of them. Needs root; changes nothing outside dist/boot.
#
#     packaging/boot.sh bookworm    systemd 252
#     packaging/boot.sh trixie      systemd 257, which hands credentials over in another way
set -eu
cd "$(dirname "$0")/.."
suite=${1:-bookworm}
[ "$(id -u)" = 0 ] || { echo "boot.sh: root is needed for a container; run it with sudo" >&2; exit 1; }
debian=$PWD/dist/boot/$suite
packaging/debian.sh "$suite"
work=$(mktemp -d)
export suite debian work
# Mounts and control groups of its own, so that nothing of the container is left outside.
exec unshare --mount --propagation private sh -eu <<'END'
finish() {
    if [ -n "${nspawn:-}" ]; then kill -KILL "$nspawn" 2>/dev/null || true; fi
    rm -rf "$work/upper" "$work/work"
}
trap finish EXIT
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=$debian,upperdir=$work/upper,workdir=$work/work" "$work/root"
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
group=/sys/fs/cgroup/countersign-boot-$$
mkdir "$group"
echo $$ >"$group/cgroup.procs"
# The container's own filter of system calls is older than Landlock.
landlock="landlock_create_ruleset landlock_add_rule landlock_restrict_self"
UNIFIED_CGROUP_HIERARCHY=yes systemd-nspawn --quiet --register=no --keep-unit --directory="$work/root" --hostname=boot --boot \
    --system-call-filter="$landlock" --console=passive --bind-ro="$PWD/dist/packages:/packages" --bind-ro="$PWD/packaging/inside.sh:/inside.sh" </dev/null >"$work/console" 2>&1 &
nspawn=$!
init=
for _ in $(seq 100); do
    init=$(cat /proc/$nspawn/task/$nspawn/children | cut -d' ' -f1)
    [ -n "$init" ] && nsenter -t "$init" -a systemctl is-system-running --wait >/dev/null 2>&1 && break
    sleep 0.3
done
status=0
nsenter -t "$init" -a sh /inside.sh || status=$?
nsenter -t "$init" -a systemctl poweroff --force 2>/dev/null || true
wait "$nspawn" 2>/dev/null || true
nspawn=
echo $$ >/sys/fs/cgroup/cgroup.procs
for _ in 1 2 3; do find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break || sleep 1; done
exit $status
END

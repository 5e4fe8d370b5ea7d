#!/bin/sh
# Makes dist/boot/SUITE: a Debian that boots, for boot.sh and three.sh. Needs root and a mirror.
set -eu
cd "$(dirname "$0")/.."
suite=$1
debian=$PWD/dist/boot/$suite
[ -e "$debian.done" ] && exit 0
mkdir -p "$debian"
debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,ca-certificates,sudo "$suite" "$debian" >"$debian.log"
touch "$debian.done"

#!/bin/sh
# The time that everything in a package bears, in seconds since 1970: that of the last commit, or SOURCE_DATE_EPOCH.
set -eu
[ -n "${SOURCE_DATE_EPOCH:-}" ] || SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) || {
    echo "epoch.sh: these sources are no repository; set SOURCE_DATE_EPOCH to the time of the release" >&2
    exit 1
}
echo "$SOURCE_DATE_EPOCH"

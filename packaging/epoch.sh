#!/bin/sh
# The time that everything in a package bears, in seconds since 1970: that of the last commit, or SOURCE_DATE_EPOCH.
set -eu
echo "${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"

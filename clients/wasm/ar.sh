#!/bin/sh
exec "$COUNTERSIGN_ZIG" -m ziglang ar "$@"

#!/usr/bin/env python3
"""Turns a program's example configuration, on standard input, into the one that its package installs: the same text with the
places of a package in it. A text to replace that is not there once is an error, so the example cannot change unnoticed."""

import sys

CHANGES = {
    "node": [
        (
            "Paths are relative to the folder of this file. Nobody but you may be able to write to the file: mode 600.",
            "Paths are relative to the folder of this file. Root alone may be able to write to it; the node's user reads it.",
        ),
        ("#  plugin_dir: plugins\n", "  plugin_dir: /var/lib/countersign-node/plugins\n"),
        ("#    file: plugins/rules.wasm\n", "#    file: /usr/lib/countersign-node/plugins/rules.wasm\n"),
        ("#db:\n", "db:\n"),
        ("#  path: db/secrets.redb.age\n", "  path: /var/lib/countersign-node/secrets.redb.age\n"),
    ],
    "coordinator": [("data: .\n", "data: /var/lib/countersign-coordinator\n")],
}


def main():
    text = sys.stdin.read()
    for old, new in CHANGES[sys.argv[1]]:
        if text.count(old) != 1:
            sys.exit(f"installed.py: the example has {text.count(old)} times {old!r}; correct CHANGES")
        text = text.replace(old, new)
    sys.stdout.write(text)


main()

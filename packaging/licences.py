#!/usr/bin/env python3
"""Prints the licences and notices of the crates in a list of materials, as their authors wrote them: each text once, below the
names of all crates that have it."""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAMES = re.compile(r"(?i)(licen[cs]e|copying|copyright|notice|unlicense)")
LARGEST = 1 << 20


def folders():
    words = ["cargo", "metadata", "--locked", "--format-version", "1"]
    said = json.loads(subprocess.run(words, cwd=ROOT, check=True, capture_output=True).stdout)
    return {(crate["name"], crate["version"]): pathlib.Path(crate["manifest_path"]).parent for crate in said["packages"]}


def texts(folder):
    """The licences of a crate, and of a library in C two folders below it."""
    for pattern in ("*", "*/*", "*/*/*"):
        for path in sorted(folder.glob(pattern)):
            if NAMES.match(path.name) and path.suffix in ("", ".md", ".txt") and path.is_file() and path.stat().st_size < LARGEST:
                yield "\n".join(line.rstrip() for line in path.read_text(errors="replace").strip().splitlines())


def main():
    parts = json.loads(pathlib.Path(sys.argv[1]).read_text())["components"]
    places = folders()
    users, lonely = {}, []
    for part in parts:
        name = f"{part['name']} {part['version']}"
        place = places[part["name"], part["version"]]
        if place.is_relative_to(ROOT):
            continue
        found = dict.fromkeys(texts(place))
        for text in found:
            users.setdefault(text, []).append(name)
        if not found:
            licence = part.get("licenses", [{"expression": "see its repository"}])[0]["expression"]
            lonely.append(f"{name}: {licence}")
    for text, names in sorted(users.items(), key=lambda entry: entry[1]):
        print("=" * 78, ", ".join(names), "=" * 78, text, "", sep="\n")
    print("=" * 78, "Crates that bring no text of their licence along:", *lonely, sep="\n")


main()

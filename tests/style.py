#!/usr/bin/env python3
"""The part of our style that rustfmt and clippy do not check. Prints each place that breaks it.

* Comments end at column 100.
* Imports stand in three groups: the standard library, other crates, this crate.
* Constants of a module stand above its first type, function or implementation.
* One `let` binds one value: no tuple is built to be taken apart on the same line.
"""

import re
import subprocess
import sys

WIDTH = 100
VISIBILITY = r"(?:pub(?:\([^)]*\))? )?"
COMMENT = re.compile(r"\s*//")
# What cannot be wrapped: tables, code and its output, a word that is longer than the line.
UNBREAKABLE = re.compile(r"\s*//[/!]?(\s*\||\s*\[[^]]+\]: |\s{5}|\s*\S+$)")
FENCE = re.compile(r"\s*//[/!]\s*```")
USE = re.compile(rf"(\s*){VISIBILITY}use (?:::)?(\w+)")
CONSTANT = re.compile(rf"{VISIBILITY}(?:const|static) [A-Z_]")
ITEM = re.compile(
    rf"{VISIBILITY}(?:(?:const|async|unsafe|extern \"C\") )*(?:fn|struct|enum|union|impl|trait|type)\b"
)
TUPLE = re.compile(r"^[ \t]*let \([^()=]*\)(?:: \([^()=]*\))? = \(", re.MULTILINE)
ROOTS = {"std": 0, "core": 0, "alloc": 0, "crate": 2, "super": 2, "self": 2}


def long_comments(lines):
    code = False
    for number, line in enumerate(lines, 1):
        if FENCE.match(line):
            code = not code
        elif COMMENT.match(line) and len(line) > WIDTH and not code and not UNBREAKABLE.match(line):
            yield number, f"a comment of {len(line)} columns; wrap it at {WIDTH}"
        code = code and bool(COMMENT.match(line))


def mixed_imports(lines):
    modules = set(re.findall(rf"^\s*{VISIBILITY}mod (\w+);", "\n".join(lines), re.MULTILINE))
    last = None  # indentation, group and whether an empty line came after it
    inside = False
    for number, line in enumerate(lines, 1):
        if inside:
            inside = ";" not in line
            continue
        use = USE.match(line)
        if use:
            indent, root = use.groups()
            group = 2 if root in modules else ROOTS.get(root, 1)
            if last and last[0] == indent:
                if group < last[1]:
                    yield number, "imports in another order than std, other crates, this crate"
                elif (group > last[1]) != last[2]:
                    yield number, "one empty line between the groups of imports, none within"
            last = (indent, group, False)
            inside = ";" not in line
        elif line == "" and last:
            last = (last[0], last[1], True)
        elif not re.match(r"\s*(#\[|//)", line):
            last = None


def low_constants(lines):
    macros = re.findall(r"macro_rules! (\w+)", "\n".join(lines))
    item = False
    for number, line in enumerate(lines, 1):
        if CONSTANT.match(line):
            made_by_macro = any(f"{macro}!" in line for macro in macros)
            if item and not made_by_macro and "#[cfg(test)]" not in lines[number - 2]:
                yield number, "a constant below the first item; move it to the top"
        elif ITEM.match(line):
            item = True


def tuple_lets(lines):
    text = "\n".join(lines)
    for found in TUPLE.finditer(text):
        depth = 1
        end = found.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        if text[end : end + 1] == ";":
            yield text.count("\n", 0, found.start()) + 1, "two values bound by one `let`; write two"


def main():
    listed = subprocess.run(["git", "ls-files", "*.rs"], capture_output=True, text=True, check=True)
    broken = 0
    for name in listed.stdout.split():
        with open(name, encoding="utf-8") as file:
            lines = file.read().split("\n")
        for check in (long_comments, mixed_imports, low_constants, tuple_lets):
            for number, what in check(lines):
                print(f"{name}:{number}: {what}")
                broken += 1
    sys.exit(1 if broken else 0)


main()

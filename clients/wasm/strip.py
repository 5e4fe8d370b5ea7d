#!/usr/bin/env python3
"""Copies a WebAssembly module without its custom sections: names, producers, descriptions of components.

    strip.py FROM TO
"""

import sys


def number(content, at):
    """A number in LEB128, and the place after it."""
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def stripped(content):
    yield content[:8]
    at = 8
    while at < len(content):
        length, begin = number(content, at + 1)
        if content[at] != 0:
            yield content[at : begin + length]
        at = begin + length


source, target = sys.argv[1:]
with open(source, "rb") as file:
    module = file.read()
with open(target, "wb") as file:
    file.write(b"".join(stripped(module)))

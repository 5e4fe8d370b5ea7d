"""Reads the documents that our plugins send with the models of the incumbent's SDK (PyPI `cobo-waas2`).

Standard input has one JSON object a line: {"name", "model", "document"}. Each document must be taken by its model, without an
unknown value of an enumeration, and come back with the same members; those that only we send are named in `OURS`.
The last line of the output is the number of documents.
"""

import importlib
import json
import sys

# What we add for readers of our own; models of others pass over it.
OURS = {"claims", "countersign"}
# "Unknown" in the published list of protocols, for which the models have no word. Ours are not on the list.
UNKNOWN_PROTOCOL = ("tss_protocol", 0)


def model(name):
    return getattr(importlib.import_module("cobo_waas2.models"), name)


def differences(sent, read, at):
    """Members that the model lost, changed, or has no word for."""
    if isinstance(sent, dict):
        if not isinstance(read, dict):
            return [f"{at}: {read!r} in place of an object"]
        found = []
        for name, value in sent.items():
            if name in OURS or (name, value) == UNKNOWN_PROTOCOL:
                continue
            if name not in read and value is not None:
                found.append(f"{at}.{name}: the model knows no such member")
            elif value is not None:
                found += differences(value, read[name], f"{at}.{name}")
        return found
    if isinstance(sent, list):
        if not isinstance(read, list) or len(read) != len(sent):
            return [f"{at}: {read!r} in place of {sent!r}"]
        return [text for index, pair in enumerate(zip(sent, read)) for text in differences(*pair, f"{at}[{index}]")]
    return [] if sent == read else [f"{at}: {read!r} in place of {sent!r}"]


def check(line):
    case = json.loads(line)
    sent = case["document"]
    try:
        taken = model(case["model"]).from_json(json.dumps(sent))
    except Exception as error:  # whatever it is, the document is not taken
        return [f"{case['name']}: {case['model']} refuses it: {error}"]
    read = json.loads(taken.to_json())
    return [f"{case['name']}: {text}" for text in differences(sent, read, case["model"])]


def main():
    lines = [line for line in sys.stdin if line.strip()]
    problems = [problem for line in lines for problem in check(line)]
    if problems:
        sys.exit("\n".join(problems))
    print(len(lines))


main()

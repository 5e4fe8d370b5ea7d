#!/usr/bin/env python3
"""Takes one defence out at a time and runs the test that must turn red without it.

    tests/sabotage/run.py            all removals of removals.txt
    tests/sabotage/run.py verify     those with "verify" in their name
    tests/sabotage/run.py --list     their names
    tests/sabotage/run.py --fit      runs nothing; checks that each still fits the source

Works in a copy of HEAD under target/sabotage, so nothing here is changed. Exit code 1: a removal left
its test green, did not compile, or no longer fits the source.
"""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "sabotage"
TREE = WORK / "tree"
ENTRY = re.compile(
    r"name: (?P<name>.*)\nfile: (?P<file>.*)\nold: (?P<old>(?:.|\n)*?)\nnew: (?P<new>(?:.|\n)*?)"
    r"\ntest: (?P<test>.*)"
)


def removals():
    """The entries of removals.txt, divided by empty lines."""
    text = (ROOT / "tests/sabotage/removals.txt").read_text(encoding="utf-8")
    for block in re.split(r"\n\s*\n", text.strip()):
        if block.startswith("#"):
            continue
        entry = ENTRY.fullmatch(block)
        if not entry:
            sys.exit(f"removals.txt: not name, file, old, new and test in:\n{block}")
        yield entry.groupdict()


def misfit(entry, root):
    """Why the entry does not fit the source under `root`; None if it does."""
    path = root / entry["file"]
    found = path.read_text(encoding="utf-8").count(entry["old"]) if path.exists() else 0
    if found != 1:
        return f"`{entry['old']}` is {found} times in {entry['file']}"
    package, *_, test = entry["test"].split(" ")
    name = test.split("::")[-1]
    short = package.removeprefix("countersign-")
    folders = [root / short, root / "plugins" / short, root / "clients" / short]
    sources = (source for folder in folders for source in folder.rglob("*.rs"))
    if not any(f"fn {name}(" in source.read_text(encoding="utf-8") for source in sources):
        return f"{package} has no test `{name}`"
    return None


def run_test(test):
    """The exit code and output of `PACKAGE TARGET NAME`, such as `countersign-verify --lib a::b`."""
    package, *target, name = test.split(" ")
    command = ["cargo", "test", "--quiet", "-p", package, *target, "--", "--exact", name]
    done = subprocess.run(
        command,
        cwd=TREE,
        env={**os.environ, "CARGO_TARGET_DIR": str(WORK / "build")},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def remove(entry):
    """Runs the entry's test without its defence. An error says why that shows nothing."""
    if error := misfit(entry, TREE):
        return error
    path = TREE / entry["file"]
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace(entry["old"], entry["new"]), encoding="utf-8")
    code, output = run_test(entry["test"])
    path.write_text(source, encoding="utf-8")
    name = entry["test"].split(" ")[-1]
    if f"test {name} ... FAILED" in output or f"{name} --- FAILED" in output:
        return None
    if re.search(rf"failures:\n(.|\n)*    {re.escape(name)}\n", output):
        return None
    if "error: could not compile" in output:
        return "it does not compile:\n" + "\n".join(output.split("\n")[:20])
    return f"{name} stayed green" if code == 0 else "\n".join(output.split("\n")[-20:])


def prepare():
    """A clean copy of HEAD; what was built before stays."""
    git = ["git", "-C", str(ROOT)]
    if TREE.exists():
        subprocess.run([*git, "-C", str(TREE), "checkout", "-q", "--force", "--detach", head()])
    else:
        WORK.mkdir(parents=True, exist_ok=True)
        subprocess.run([*git, "worktree", "prune"], check=True)
        subprocess.run([*git, "worktree", "add", "-q", "--detach", str(TREE), "HEAD"], check=True)


def head():
    shown = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    return shown.stdout.strip()


def main():
    wanted = sys.argv[1:]
    entries = list(removals())
    if wanted == ["--list"]:
        return print("\n".join(entry["name"] for entry in entries))
    if wanted == ["--fit"]:
        errors = [f"{e['name']}: {error}" for e in entries if (error := misfit(e, ROOT))]
        sys.exit("\n".join(errors) or None)
    entries = [e for e in entries if not wanted or any(word in e["name"] for word in wanted)]
    prepare()
    print(f"{len(entries)} removals; each test must be green before and red after", flush=True)
    for test in sorted({entry["test"] for entry in entries}):
        code, output = run_test(test)
        if code != 0 or "1 passed" not in output:
            sys.exit(f"{test} is not green to begin with:\n{output[-2000:]}")
    wrong = 0
    for number, entry in enumerate(entries, 1):
        error = remove(entry)
        print(f"[{number:2}/{len(entries)}] {entry['name']}: {error or 'red'}", flush=True)
        wrong += error is not None
    print("every removal turns its test red" if not wrong else f"{wrong} removals show nothing")
    sys.exit(1 if wrong else 0)


main()

"""Builds __NAME__.wasm: `python3 build.py`. Tools go into .venv beside this file."""

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS = HERE / ".venv"


def run(*command):
    subprocess.run(command, cwd=HERE, check=True)


if not TOOLS.exists():
    venv.create(TOOLS, with_pip=True)
run(TOOLS / "bin/pip", "install", "--quiet", "--requirement", "requirements.txt")
run(
    TOOLS / "bin/componentize-py", "--wit-path", "wit", "--world", "pure-plugin",
    "componentize", "--stub-wasi", "policy", "--output", "__NAME__.wasm",
)
print(f"built {HERE / '__NAME__.wasm'}", file=sys.stderr)

"""The compiled module on disk, so that a user's first process compiles and the others load.

What is loaded is run. It is taken only from a folder and a file that belong to this user and that nobody else can read or
write, and only if it is whole. Whoever could change it there can change this user's programs as well. Anything else, a
folder that cannot be made included, means compiling again.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import wasmtime

_HASH = 32
_LARGEST = 256 << 20


def module(engine: wasmtime.Engine, wasm: bytes) -> wasmtime.Module:
    """The compiled module: loaded, or compiled and kept."""
    name = f"{hashlib.sha256(wasm).hexdigest()[:32]}-wasmtime-{version('wasmtime')}"
    try:
        with _folder() as folder:
            kept = _read(folder, name)
            if kept is not None:
                return wasmtime.Module.deserialize(engine, kept)
    except (OSError, RuntimeError, wasmtime.WasmtimeError):
        pass
    made = wasmtime.Module(engine, wasm)
    try:
        with _folder() as folder:
            _write(folder, name, bytes(made.serialize()))
    except (OSError, RuntimeError, wasmtime.WasmtimeError):
        pass
    return made


@contextmanager
def _folder() -> Iterator[int]:
    """The folder, held open, so that nobody can put another one in its place."""
    told = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(told) if os.path.isabs(told) else Path.home() / ".cache"
    path = base / "countersign"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not _is_private(os.fstat(descriptor)):
            raise OSError("it is not this user's alone")
        yield descriptor
    finally:
        os.close(descriptor)


def _is_private(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077


def _read(folder: int, name: str) -> bytes | None:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or not _is_private(found) or found.st_size > _LARGEST:
            return None
        content = file.read(_LARGEST)
    told, compiled = content[:_HASH], content[_HASH:]
    return compiled if hashlib.sha256(compiled).digest() == told else None


def _write(folder: int, name: str, compiled: bytes) -> None:
    fresh = f"{name}.{secrets.token_hex(8)}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(hashlib.sha256(compiled).digest() + compiled)
        os.rename(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(fresh, dir_fd=folder)
        raise

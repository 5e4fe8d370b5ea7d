"""Reads files that decide whom to trust, and files with secrets, only if nobody else could have written or read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from .errors import FileError

_MAX_SECRET = 1024
_LARGEST = 1 << 30


def read_secret(path: Path, advice: str) -> str:
    """Reads a small file that only its owner can read."""
    with _opened(path, advice) as descriptor:
        if stat.S_IMODE(os.fstat(descriptor.fileno()).st_mode) & 0o077:
            raise FileError(
                "file",
                f"{path}: others can read this secret; run `chmod 600` on it, and make a new one if it may have leaked",
            )
        return descriptor.read(_MAX_SECRET).decode(errors="replace")


def read_own(path: Path, advice: str) -> str:
    """Reads a text that nobody but its owner and root can write, nor the folder that it lies in."""
    with _opened(path, advice) as descriptor:
        _check_custody(path, os.fstat(descriptor.fileno()))
        _check_custody(path.parent, path.parent.stat())
        content = descriptor.read(_LARGEST)
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise FileError("file", f"{path}: it is not UTF-8 text; {advice}") from None


class _opened:
    def __init__(self, path: Path, advice: str) -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise FileError("file", f"{path}: {error.strerror}; {advice}") from None
        self._file = os.fdopen(descriptor, "rb")
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            self._file.close()
            raise FileError("file", f"{path}: it is not a regular file; {advice}")

    def __enter__(self) -> BinaryIO:
        return self._file

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _check_custody(path: Path, found: os.stat_result) -> None:
    sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    if found.st_mode & 0o022 and not sticky:
        raise FileError(
            "file",
            f"{path} may be written by more than its owner, so somebody else could change it; look at its contents, "
            f"then run `chmod go-w {path}`",
        )
    if found.st_uid not in (0, os.geteuid()):
        raise FileError(
            "file",
            f"{path} belongs to user {found.st_uid}, but must belong to root or to the user that runs this program; "
            "look at its contents, then change its owner with `chown`",
        )

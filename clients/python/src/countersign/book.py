"""The wallet book: every wallet that this client believes, in its newest generation, with the reason.

It exposes a coordinator that changes its story, and is the only place where names of wallets are looked up. The file is
the one that `countersign` uses, with the same lock, so both may use it at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from . import _files
from .errors import FileError

Recorded = dict[str, Any]


class WalletBook(Protocol):
    """A place for the book."""

    def read(self) -> str:
        """The text of the book; empty if there is none yet."""

    def change(self, decide: Callable[[str], Recorded]) -> Recorded:
        """Holds the book, has ``decide`` read its text, and writes what the answer says under ``write``."""


class MemoryBook:
    """A book that is forgotten with the process: a coordinator that later contradicts itself is not noticed."""

    def __init__(self, text: str = "") -> None:
        self._text = text
        self._lock = threading.Lock()

    def read(self) -> str:
        return self._text

    def change(self, decide: Callable[[str], Recorded]) -> Recorded:
        with self._lock:
            recorded = decide(self._text)
            write = recorded["write"]
            if write != "nothing":
                self._text = self._text + write["append"] if "append" in write else write["whole"]
            return recorded


class FileBook:
    """A book in a file, which need not exist yet."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def read(self) -> str:
        if not self._path.exists():
            return ""
        return _files.read_own(self._path, "restore the wallet book from a backup, or correct its directory")

    def change(self, decide: Callable[[str], Recorded]) -> Recorded:
        try:
            with self._held():
                recorded = decide(self.read())
                write = recorded["write"]
                if write == "nothing":
                    return recorded
                if "append" in write:
                    self._append(write["append"])
                else:
                    self._rewrite(write["whole"])
                return recorded
        except OSError as error:
            raise FileError(
                "file",
                f"{self._path}: {error.strerror}; restore the wallet book from a backup, or correct its directory",
            ) from None

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        with open(self._path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _append(self, text: str) -> None:
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def _rewrite(self, text: str) -> None:
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self._path)

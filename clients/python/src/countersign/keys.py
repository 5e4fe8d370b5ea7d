"""The requester's key, whose holder may order tasks, and an approver's, whose holder votes on them."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any, cast

from . import _core, _files
from .errors import FileError
from .schema import Submission, Vote


class RequesterKey:
    """Signs orders and requests. Its text form is one line, ``csr-secret1…``. It prints its id only."""

    __slots__ = ("_text", "id")

    def __init__(self, text: str) -> None:
        self._text = text
        #: The public half (``csr1…``), which nodes list under ``requesters``.
        self.id: str = _core.call("requester.id", {"key": text})["requester"]

    @classmethod
    def load(cls, path: str | Path) -> RequesterKey:
        """Reads a key. A file that others can read is refused."""
        path = Path(path)
        advice = "make one with `RequesterKey.create`, or correct the profile"
        return cls(_files.read_secret(path, advice))

    @classmethod
    def create(cls, path: str | Path) -> RequesterKey:
        """Makes a new key in a new file of mode 0600. An existing file is left alone."""
        made = _core.call("requester.new", {"seed": secrets.token_hex(32)})
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FileError(
                "file", f"{path}: {error.strerror}; choose a new file in a directory that you may write"
            ) from None
        with os.fdopen(file, "w") as stream:
            stream.write(made["key"] + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        return cls(made["key"])

    def __repr__(self) -> str:
        return f"RequesterKey({self.id}, ..)"

    def __reduce__(self) -> Any:
        raise TypeError("a requester key is not copied; load it from its file")

    def sign(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Makes an order of these parts and signs its exact bytes."""
        return dict(_core.call("order.sign", parts | {"key": self._text}))

    def sign_request(self, parts: dict[str, Any]) -> dict[str, str]:
        """The headers that prove a request of these parts to a coordinator."""
        return dict(_core.call("request.sign", parts | {"key": self._text}))


class ApproverKey:
    """Votes on tasks. Its text form is one line, ``csv-secret1…``, and ``countersign approver new`` makes one. It prints
    its id only."""

    __slots__ = ("_text", "id")

    def __init__(self, text: str) -> None:
        self._text = text
        #: The public half (``csv1…``), which operators list under ``approvers``.
        self.id: str = _core.call("vote.approver", {"key": text})["approver"]

    @classmethod
    def load(cls, path: str | Path) -> ApproverKey:
        """Reads a key. A file that others can read is refused."""
        return cls(_files.read_secret(Path(path), "make one with `countersign approver new`, or correct the profile"))

    def __repr__(self) -> str:
        return f"ApproverKey({self.id}, ..)"

    def __reduce__(self) -> Any:
        raise TypeError("an approver's key is not copied; load it from its file")

    def vote(self, order: Submission, choice: str, time: int, pages: dict[str, Any] | None = None) -> Vote:
        """Votes on an order whose requester signed it; if that is a passkey, on one of these pages."""
        ballot = {"order": {"task": order["task"], "signature": order["signature"]}, "choice": choice, "time": time}
        return cast(Vote, _core.call("vote.sign", ballot | {"key": self._text, "passkeys": pages}))

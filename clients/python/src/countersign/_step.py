"""The steps of which flows are made. A flow yields them, and whoever runs it performs them and sends the answers back."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from ._api import Request

T = TypeVar("T")


@dataclass(frozen=True)
class Sleep:
    """A pause of so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Open:
    """Opens the flow's stream, in place of the one before."""

    request: Request


@dataclass(frozen=True)
class Read:
    """The next bytes of the stream; none if it has ended. ``until``: the deadline by ``time.monotonic``."""

    until: float | None = None


@dataclass(frozen=True)
class Close:
    """Closes the stream."""


@dataclass(frozen=True)
class Tell:
    """Something for the caller of an iterator."""

    value: Any


@dataclass(frozen=True)
class Done:
    """The result of a flow, told by whoever runs it."""

    value: Any


Step = Request | Sleep | Open | Read | Close | Tell
Flow = Generator[Step, Any, T]

"""Server-sent events, put together from the pieces in which they arrive."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ._api import unreadable

#: Size limit of one event in bytes.
MAX_FRAME = 1 << 20
#: A carriage return at the end of what has arrived may be the first half of an end.
_END = re.compile(rb"\r\n|\n|\r(?=[^\n])")


@dataclass(frozen=True)
class Frame:
    """One event of a stream. ``data`` is empty if it only moves the cursor."""

    id: str | None
    data: bytes


class Frames:
    """The reader of one stream."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self._size = 0
        self._id: str | None = None
        self._data: list[bytes] = []

    def push(self, chunk: bytes) -> list[Frame]:
        """The events that this piece completes."""
        self._unread += chunk
        found = []
        begin = 0
        for end in _END.finditer(bytes(self._unread)):
            frame = self._line(bytes(self._unread[begin : end.start()]))
            begin = end.end()
            if frame is not None:
                found.append(frame)
        del self._unread[:begin]
        if len(self._unread) > MAX_FRAME:
            raise _too_long()
        return found

    def _line(self, line: bytes) -> Frame | None:
        if not line:
            return self._whole()
        self._size += len(line)
        if self._size > MAX_FRAME:
            raise _too_long()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("ascii", "replace")
        return None

    def _whole(self) -> Frame | None:
        id, data = self._id, self._data
        self._size, self._id, self._data = 0, None, []
        return Frame(id, b"\n".join(data)) if data or id is not None else None


def _too_long() -> Exception:
    return unreadable(f"an event is longer than {MAX_FRAME} bytes")

"""The events behind a cursor, through lost connections: by streams, or by pages where no stream comes through."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import cast

from . import _api
from ._sse import Frames
from ._step import Close, Flow, Open, Read, Sleep
from .errors import AnswerError, ApiError, CursorGone, Unauthorized, Unavailable, Unreachable, UsageError
from .schema import Event, EventPage

#: The first and the longest pause while the coordinator is away, in seconds.
AWAY = 0.5
LONGEST = 15.0
#: Time for which pages are read before a stream is tried again.
PAGES = 60.0
#: Limit of the wait for a page.
WAIT = 25
#: A task is looked at after so many seconds without an event of it, should the feed withhold one.
LOOK = 60.0
#: ``after`` for the oldest event that the coordinator keeps.
OLDEST = "oldest"
#: An empty page that comes sooner than this, in seconds, was not waited for.
SOON = 5.0
#: Size limit of a cursor in characters, and the number of those that are remembered, to notice one that comes again.
MAX_CURSOR = 256
REMEMBERED = 4096


class Feed:
    """A reader of the feed. Its methods are flows.

    ``after``: a cursor, ``now``, or ``oldest``. ``pages``: read pages if a stream is refused; otherwise ``refused`` says so. ``patience``: the time for which a
    coordinator may be away, in seconds. One that was never there is waited for only if ``expected``.
    """

    def __init__(
        self,
        selected: Mapping[str, str],
        after: str = "now",
        *,
        pages: bool = True,
        expected: bool = False,
        patience: float | None = None,
    ) -> None:
        if not isinstance(after, str):
            raise UsageError("usage", "`after` says where to begin; give `now`, `oldest`, or the cursor of an event")
        self._selected = selected
        self._after = after
        self._may_page = pages
        self._patience = patience
        self._expected = expected
        #: The cursor of the last event, once there is one.
        self._last: str | None = None
        self._frames: Frames | None = None
        self._fresh = False
        self._paged_until: float | None = None
        self._failures = 0
        #: Number of empty pages in a row that were not waited for.
        self._hasty = 0
        self._told: dict[str, None] = {}
        self._away_since: float | None = None
        self._ready: deque[Event] = deque()
        self._look_at = 0.0
        #: No stream comes through, and there is no use in asking again.
        self.refused = False

    def next(self) -> Flow[Event | None]:
        """Waits for the next event. ``None``: there was none for a while; ask again."""
        if self._ready:
            return self._ready.popleft()
        try:
            if self._frames is not None:
                yield from self._read(self._frames)
            elif self._paged_until is not None or (self._last is None and self._after == OLDEST):
                yield from self._page()
            else:
                yield from self._connect()
        except (Unreachable, Unavailable) as error:
            yield from self._lost(error)
        return self._ready.popleft() if self._ready else None

    def concerns(self, id: str, revision: int) -> Flow[bool]:
        """Waits for news. True if a task is worth looking at: an event tells of a later revision, or one may have been
        missed."""
        event = yield from self.next()
        now = time.monotonic()
        told = event is not None and _is_about(event, id, revision)
        if told or (now >= self._look_at and not self.refused):
            self._look_at = now + LOOK
            return True
        return False

    def stop(self) -> Flow[None]:
        """Closes the stream."""
        if self._frames is not None:
            self._frames = None
            yield Close()

    def _connect(self) -> Flow[None]:
        try:
            yield Open(_api.stream(self._selected, self._after, self._last))
        except (ApiError, AnswerError) as error:
            if isinstance(error, Unavailable) and error.status != 429:
                raise
            if not self._may_page:
                self.refused = True
            elif isinstance(error, (Unauthorized, CursorGone)) or isinstance(error, ApiError) and error.status == 400:
                raise
            else:
                self._paged_until = time.monotonic() + PAGES
            return
        self._frames = Frames()
        self._fresh = self._expected = True
        # Something may have happened before it was open.
        self._look_at = 0.0

    def _read(self, frames: Frames) -> Flow[None]:
        chunk = yield Read()
        if not chunk:
            raise Unreachable("", "the stream has ended", True)
        for frame in frames.push(chunk):
            if frame.data:
                event = _api.parse(frame.data, "an event")
                _api.check(event, "Event")
                self._tell(cast(Event, event))
            elif frame.id is not None:
                self._last = _cursor(frame.id)
        # A stream that ends after its first piece again and again is a failure each time.
        if not self._fresh or self._ready:
            self._alive()
        self._fresh = False

    def _page(self) -> Flow[None]:
        oldest = self._last is None and self._after == OLDEST
        asked = None if oldest else self._last or self._after
        begun = time.monotonic()
        page = cast(EventPage, (yield _api.events(self._selected, asked, None if oldest else WAIT)))
        for event in page["events"]:
            self._tell(event)
        if page["events"] and page["next"] == asked:
            raise _stuck()
        self._last = _cursor(page["next"])
        self._alive()
        if self._paged_until is not None and time.monotonic() >= self._paged_until:
            self._paged_until = None
        waited = oldest or page["events"] or time.monotonic() - begun >= SOON
        self._hasty = 0 if waited else min(self._hasty + 1, 10)
        if self._hasty:
            yield Sleep(min(AWAY * 2 ** (self._hasty - 1), LONGEST))

    def _tell(self, event: Event) -> None:
        """Makes an event ready, if it is a new one."""
        cursor = _cursor(event["cursor"])
        if cursor in self._told:
            raise _stuck()
        self._told[cursor] = None
        if len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]
        self._last = cursor
        self._ready.append(event)

    def _alive(self) -> None:
        self._failures, self._away_since, self._expected = 0, None, True

    def _lost(self, error: Unreachable | Unavailable) -> Flow[None]:
        yield from self.stop()
        now = time.monotonic()
        self._away_since = now if self._away_since is None else self._away_since
        tired = self._patience is not None and now - self._away_since >= self._patience
        if tired or not (self._expected or self._last):
            raise error
        pause = _api.asked_pause(error, min(AWAY * 2**self._failures, LONGEST))
        self._failures = min(self._failures + 1, 10)
        yield Sleep(pause)


def _cursor(text: str) -> str:
    if len(text) > MAX_CURSOR:
        raise AnswerError("answer", "the coordinator's cursor is too long; check the URL, and compare the versions")
    return text


def _stuck() -> AnswerError:
    return AnswerError("answer", "the coordinator tells the same event again and again; check the URL, and ask its operator")


def _is_about(event: Event, id: str, revision: int) -> bool:
    told = event["data"].get("task")
    return told is not None and told["id"] == id and told["revision"] > revision

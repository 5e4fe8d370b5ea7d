"""Events by streams and pages, through lost connections; and tasks that are followed by them."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
from coordinator import carried_out
from stream import Feed, event, frame, problem, wait_for
from test_client import SIGNING, WALLET
from test_forgeries import TABLE, profile

from countersign import (
    AnswerError,
    AsyncClient,
    Cancelled,
    Client,
    CursorGone,
    Event,
    MemoryBook,
    Payload,
    Pending,
    RequesterKey,
    Signed,
    Unauthorized,
    UnknownState,
    Unreachable,
    _api,
    _feed,
)
from countersign._sse import MAX_FRAME, Frames

BEGIN = b"id: 10\n\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_feed, "AWAY", 0.01)


def sync_events(url: str, count: int, **options: Any) -> list[Event]:
    with Client(profile(url), api_key="key") as client:
        return list(islice(client.events(**options), count))


def async_events(url: str, count: int, **options: Any) -> list[Event]:
    async def run() -> list[Event]:
        found: list[Event] = []
        async with AsyncClient(profile(url), api_key="key") as client:
            async for one in client.events(**options):
                found.append(one)
                if len(found) == count:
                    return found
        return found

    return asyncio.run(run())


Read = Callable[..., list[Event]]


@pytest.fixture(params=[sync_events, async_events])
def read(request: pytest.FixtureRequest) -> Iterator[Read]:
    yield request.param


def cursors(events: list[Event]) -> list[str]:
    return [one["cursor"] for one in events]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_frames_are_put_together_from_any_pieces(end: bytes) -> None:
    lines = [b": still here", b"", b"id: 7", b"event: a", b"data: one", b"data:two", b"", b"id: 8", b"", b"data: \xc3\xbc", b"", b"data"]
    whole = end.join(lines) + b"\n"
    for size in range(1, len(whole)):
        frames, found = Frames(), []
        for begin in range(0, len(whole), size):
            found += frames.push(whole[begin : begin + size])
        assert [(one.id, one.data) for one in found] == [("7", b"one\ntwo"), ("8", b""), (None, b"\xc3\xbc")], size


def test_events_go_on_behind_the_last_one_when_the_connection_is_lost(read: Read) -> None:
    feed = Feed([BEGIN, frame(event(11))], [frame(event(12)), frame(event(13))[:20]], [b": alive\n\n", frame(event(13))])
    with feed.serve() as url:
        assert cursors(read(url, 3, wallet=WALLET, type=["task.completed", "task.failed"])) == ["11", "12", "13"]
    asked = feed.asked_for("/v1/events")
    assert [last for _, last in asked] == [None, "11", "12"]
    assert asked[0][0] == {"after": "now", "wallet": WALLET, "type": "task.completed,task.failed"}
    assert "after" not in asked[1][0] and asked[1][0]["wallet"] == WALLET


def test_a_stream_that_is_lost_before_its_first_event_goes_on_at_its_beginning(read: Read) -> None:
    feed = Feed([BEGIN], [frame(event(11))])
    with feed.serve() as url:
        assert cursors(read(url, 1)) == ["11"]
    assert [last for _, last in feed.asked_for("/v1/events")] == [None, "10"]


def test_a_coordinator_that_restarts_is_waited_for(read: Read) -> None:
    first, second = Feed([BEGIN, frame(event(11))], hold=False), Feed([frame(event(12))])
    with first.serve() as url:
        port = int(url.rsplit(":", 1)[1])
        found: list[Event] = []
        reader = threading.Thread(target=lambda: found.extend(read(url, 2)))
        reader.start()
        wait_for(lambda: len(first.asked) >= 1)
    time.sleep(0.1)
    with second.serve(port):
        reader.join(20)
    assert cursors(found) == ["11", "12"]
    assert second.asked[0][2] == "11"


def test_a_silent_connection_is_dead(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    monkeypatch.setattr(_api, "_PATIENT", httpx.Timeout(10, read=0.2))
    over = threading.Event()

    def silent() -> Iterator[bytes]:
        yield BEGIN + frame(event(11))
        over.wait(20)

    feed = Feed(silent, [frame(event(12))])
    with feed.serve() as url:
        assert cursors(read(url, 2)) == ["11", "12"]
        over.set()


def test_a_cursor_that_is_gone_is_an_error_with_its_code(read: Read) -> None:
    for streams in [(problem(410, "cursor-gone"),), ([BEGIN, frame(event(11))], problem(410, "cursor-gone"))]:
        with Feed(*streams).serve() as url, pytest.raises(CursorGone) as gone:
            read(url, 2, after="3")
        assert gone.value.code == "cursor-gone"


def test_a_key_that_was_revoked_ends_the_events(read: Read) -> None:
    with Feed([BEGIN, frame(event(11))], problem(401, "unauthorised")).serve() as url, pytest.raises(Unauthorized):
        read(url, 2)


def test_pages_are_read_where_no_stream_comes_through(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_feed, "PAGES", 0.0)
    for refusal in [problem(429, "too-many-streams"), problem(406, "no"), (200, b"<html>"), (200, {"events": [], "next": "1"})]:
        page = lambda query: (200, {"events": [event(int(query["after"]) + 1)], "next": str(int(query["after"]) + 1)})
        feed = Feed(refusal, refusal, [frame(event(8))], answers={"/v1/events": page})
        with feed.serve() as url:
            assert cursors(read(url, 3, after="5")) == ["6", "7", "8"]
        assert [last for query, last in feed.asked_for("/v1/events") if "wait" not in query] == [None, "6", "7"]


def test_a_coordinator_that_was_never_there_is_an_error_and_so_is_one_that_stays_away(read: Read) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable):
            read(f"http://127.0.0.1:{unused.getsockname()[1]}", 1)
    with Feed([BEGIN, frame(event(11))], *[[]] * 50).serve() as url, pytest.raises(Unreachable):
        read(url, 2, patience=0.05)


@pytest.mark.parametrize(
    "bad",
    [
        b"data: " + b"x" * (MAX_FRAME + 1),
        b"data: xxxxxxxxxxxxxxxx\n" * (MAX_FRAME // 16),
        b": comment\n" * (MAX_FRAME // 8),
        b"data: {}\n\n",
        b"data: []\n\n",
        b"data: nothing\n\n",
        b"data: " + b"[" * 5000 + b"]" * 5000 + b"\n\n",
        b'data: {"id": "e", "cursor": 5, "type": "t", "at": 1, "data": {}}\n\n',
        b'data: {"id": "e", "cursor": "5", "type": "t", "at": 1, "data": {"task": {"id": 5}}}\n\n',
    ],
    ids=lambda bad: str(bad[:24]),
)
def test_a_stream_of_something_else_is_an_error_and_bounded(read: Read, bad: bytes) -> None:
    with Feed([BEGIN, bad]).serve() as url, pytest.raises(AnswerError):
        read(url, 1)


def test_an_event_of_a_later_version_is_passed_on_as_it_is(read: Read) -> None:
    told = event(11, "moon.rose", moon={"phase": 3}) | {"colour": "blue"}
    with Feed([BEGIN, frame(told)]).serve() as url:
        assert read(url, 1) == [told]


class Order:
    """A coordinator at which an order passes through states, each told by an event."""

    def __init__(self, states: list[str], stream: bool, kept: Any = None, feed: type[Feed] = Feed) -> None:
        self.states = states
        self.stream = stream
        self.view: dict[str, Any] = {}
        self.shown = 0
        self.feed = feed(self.run if stream else problem(429, "too-many-streams"), answers={"POST": self.take})
        self.kept = SIGNING["result"] if kept is None else kept

    def take(self, body: dict[str, Any]) -> dict[str, Any]:
        self.view = carried_out(body, None) | {"state": "waiting", "revision": 0}
        self.feed.answers[f"/v1/tasks/{self.view['id']}"] = self.show
        return self.view

    def show(self, query: dict[str, str]) -> tuple[int, Any]:
        if not self.stream and "wait" in query:
            self.change()
        view = dict(self.view)
        self.shown = view["revision"]
        return 200, view

    def change(self) -> None:
        if self.states:
            state = self.states.pop(0)
            result = self.kept if state == "completed" else None
            self.view |= {"state": state, "revision": self.view["revision"] + 1, "result": result}

    def run(self) -> Iterator[bytes]:
        yield BEGIN
        # Of another task, and of none: neither is a reason to look.
        yield frame(event(11, "task.failed", task=summary(self.view) | {"id": "ff" * 16, "revision": 9}))
        yield frame(event(12, "wallet.created"))
        while self.states:
            self.change()
            yield frame(event(20 + self.view["revision"], "task.x", task=summary(self.view)))
            wait_for(lambda: self.shown == self.view["revision"])

    def looks(self) -> list[Any]:
        return self.feed.asked_for(f"/v1/tasks/{self.view['id']}")


def summary(view: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in view.items() if name not in ("task", "signature", "nodes", "result", "events")}


def asking(url: str) -> Client:
    key = RequesterKey(TABLE["requester_key"])
    return Client(profile(url), api_key="key", requester_key=key, book=MemoryBook(SIGNING["book"]))


@pytest.mark.parametrize("stream", [True, False])
def test_a_signature_is_followed_by_the_stream_and_polled_for_if_that_is_refused(stream: bool) -> None:
    order = Order(["approving", "running", "completed"], stream)
    states: list[str] = []
    with order.feed.serve() as url, asking(url) as client:
        signed = client.sign(WALLET, Payload.message("pay"), progress=lambda task: states.append(task.state))
    assert isinstance(signed, Signed)
    assert states == ["waiting", "approving", "running", "completed"]
    waits = ["wait" in query for query, _ in order.looks()]
    # The stream is looked past once, when it opens.
    assert (all(waits), any(waits)) == (not stream, not stream) and len(waits) in (3, 4)
    assert order.feed.asked_for("/v1/events") == [({"after": "now", "wallet": WALLET}, None)]


@pytest.mark.parametrize("stream", [True, False])
def test_a_task_is_followed_to_its_end(stream: bool) -> None:
    order = Order(["approving", "dreaming", "completed"], stream)
    with order.feed.serve() as url, asking(url) as client:
        task = client.submit(WALLET, Payload.message("pay"))
        seen = list(client.follow(task.id))
    # A word of a later version is neither an end nor a success.
    assert [(one.state, one.is_final) for one in seen] == [
        ("waiting", False),
        ("approving", False),
        ("unknown", False),
        ("completed", True),
    ]
    assert seen[2].view["state"] == "dreaming"


def test_a_task_in_an_unknown_state_is_pending_whatever_result_it_has() -> None:
    order = Order([], False)
    with order.feed.serve() as url, asking(url) as client:
        task = client.submit(WALLET, Payload.message("pay"))
        order.view |= {"state": "done", "revision": 5, "result": SIGNING["result"]}
        with pytest.raises(Pending):
            client.result(task.id, timeout=0)


def test_a_task_that_has_ended_in_an_unknown_state_is_an_error_of_its_own_at_once() -> None:
    order = Order([], False)
    with order.feed.serve() as url, asking(url) as client:
        task = client.submit(WALLET, Payload.message("pay"))
        order.view |= {"state": "d\x1bne", "revision": 5, "ended": 9, "result": SIGNING["result"]}
        followed = client.follow(task.id)
        last = next(followed)
        assert (last.state, last.is_final) == ("unknown", True)
        with pytest.raises(UnknownState) as ended:
            next(followed)
        assert (ended.value.code, ended.value.task) == ("unknown-state", task.id)
        assert "`d?ne`" in ended.value.message
        with pytest.raises(UnknownState):
            client.result(task.id, timeout=60)


def test_a_cancelled_order_says_so() -> None:
    order = Order(["cancelled"], False)
    with order.feed.serve() as url, asking(url) as client, pytest.raises(Cancelled):
        client.sign(WALLET, Payload.message("pay"))


def test_closing_the_iterator_closes_the_connection() -> None:
    closed = threading.Event()

    def endless() -> Iterator[bytes]:
        yield BEGIN + frame(event(11))
        try:
            for _ in range(2000):
                time.sleep(0.01)
                yield b": still here\n\n"
        finally:
            closed.set()

    with Feed(endless).serve() as url, Client(profile(url), api_key="key") as client:
        events = client.events()
        next(events)
        events.close()  # type: ignore[attr-defined]
        assert closed.wait(10)

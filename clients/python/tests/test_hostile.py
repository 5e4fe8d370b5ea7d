"""What a hostile coordinator, or somebody in front of it, can send: nothing of it holds the client, steers a terminal or
is taken for more than somebody's word."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from coordinator import coordinator
from stream import Feed, event, frame, problem
from test_client import SIGNING, WALLET, client
from test_forgeries import TABLE, profile

from countersign import (
    AnswerError,
    ApiError,
    AsyncClient,
    Cancelled,
    Client,
    CountersignError,
    Expired,
    Failed,
    MemoryBook,
    Payload,
    Pending,
    Rejected,
    RequesterKey,
    Standing,
    TaskError,
    Unreachable,
    UsageError,
    _api,
    _feed,
    _flow,
    _start,
    _text,
)
from countersign._step import Open, Sleep

HIDDEN = "a\x1b[2Jb\u202ec\u200bd\r\n\x7f\udc80"
DESCRIPTOR = json.loads(SIGNING["book"].splitlines()[1])["wallet"]

Nodes = Callable[[str], Any]


def sync_nodes(url: str) -> Any:
    with Client(profile(url), api_key="key") as asking:
        return asking.nodes()


def async_nodes(url: str) -> Any:
    async def ask() -> Any:
        async with AsyncClient(profile(url), api_key="key") as asking:
            return await asking.nodes()

    return asyncio.run(ask())


@pytest.fixture(params=[sync_nodes, async_nodes])
def nodes(request: pytest.FixtureRequest) -> Iterator[Nodes]:
    yield request.param


# Pages


def wallet_view(**members: Any) -> dict[str, Any]:
    told = DESCRIPTOR | members
    return {
        "id": told["key"],
        "name": told["name"],
        "task": told["task"],
        "generation": 0,
        "extended_public_key": "xpub",
        "announcement": told,
    }


def listed(pages: dict[str | None, str | None], **members: Any) -> Feed:
    view = wallet_view(**members)
    return Feed(answers={"/v1/wallets": lambda query: (200, {"wallets": [view], "next": pages[query.get("cursor")]})})


def test_lists_are_read_to_their_end() -> None:
    feed = listed({None: "a", "a": "b", "b": None})
    with feed.serve() as url, Client(profile(url), api_key="key") as asking:
        assert [one.standing for one in asking.wallets()] == [Standing.REFUSED] * 3
    assert [query.get("cursor") for query, _ in feed.asked_for("/v1/wallets")] == [None, "a", "b"]


@pytest.mark.parametrize("pages", [{None: "a", "a": "a"}, {None: "a", "a": "b", "b": "a"}])
def test_a_list_whose_cursor_comes_again_is_not_followed(pages: dict[str | None, str | None]) -> None:
    feed = listed(pages)
    with feed.serve() as url, Client(profile(url), api_key="key") as asking, pytest.raises(AnswerError, match="leads nowhere"):
        asking.wallets()
    assert len(feed.asked_for("/v1/wallets")) == len(pages)


def test_a_list_that_goes_on_with_nothing_on_its_pages_is_not_followed() -> None:
    count = iter(range(10**6))
    feed = Feed(answers={"/v1/wallets": lambda _: (200, {"wallets": [], "next": str(next(count))})})
    with feed.serve() as url, Client(profile(url), api_key="key") as asking, pytest.raises(AnswerError, match="leads nowhere"):
        asking.wallets()
    assert len(feed.asked_for("/v1/wallets")) == 1


def test_a_list_has_a_bounded_number_of_pages_and_a_page_of_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_flow, "PAGES", 5)
    count = iter(range(10**6))
    feed = Feed(answers={"/v1/wallets": lambda _: (200, {"wallets": [wallet_view()], "next": str(next(count))})})
    with feed.serve() as url, Client(profile(url), api_key="key") as asking:
        with pytest.raises(AnswerError, match="leads nowhere"):
            asking.wallets()
        assert len(feed.asked_for("/v1/wallets")) == 5
        feed.answers["/v1/wallets"] = 200, {"wallets": [wallet_view()] * 201}
        with pytest.raises(AnswerError, match="leads nowhere"):
            asking.wallets()


def test_a_page_that_leads_to_itself_is_refused() -> None:
    answers = {"/v1/tasks": (200, {"tasks": [], "next": "7"}), "/v1/webhooks/x/deliveries": (200, {"deliveries": [], "next": "7"})}
    with Feed(answers=answers).serve() as url, Client(profile(url), api_key="key") as asking:
        for read in (asking.tasks, lambda **page: asking.deliveries("x", **page)):
            read(cursor="6")
            with pytest.raises(AnswerError, match="leads nowhere"):
                read(cursor="7")


# Texts


def test_the_texts_of_a_refusal_steer_nothing() -> None:
    refused = {"code": "x\x1b[31m", "detail": HIDDEN}
    with Feed(answers={"/v1/nodes": (500, refused, {})}).serve() as url, Client(profile(url), api_key="key") as asking:
        with pytest.raises(ApiError) as error:
            asking.nodes()
    assert error.value.code == "unknown"
    assert error.value.message == "the coordinator refused: a [2Jb c d   \ufffd"
    assert str(error.value) == f"{error.value.message} [unknown]"


@pytest.mark.parametrize("code", ["", "x" * 65, "A", "a b", "a\n", "ä", "\u202ea"])
def test_a_code_that_is_none_is_not_shown(code: str) -> None:
    assert (TaskError("00", code, "no").code, ApiError(400, code, "no").code) == ("unknown", "unknown")
    assert TaskError("00", "rules:daily-limit.2", "no").code == "rules:daily-limit.2"


def test_the_texts_of_an_end_steer_nothing() -> None:
    reason = {"code": "limit\n", "message": HIDDEN, "nodes": [HIDDEN], "plugin": HIDDEN}
    with coordinator({}, None, {"state": "rejected", "reason": reason}) as url, client(url) as asking:
        with pytest.raises(Rejected) as refused:
            asking.sign(WALLET, Payload.message("pay"))
    told = [refused.value.message, refused.value.nodes[0], str(refused.value.plugin), str(refused.value), refused.value.code]
    assert all(text.isprintable() for text in told), told


def test_the_exact_text_of_an_order_stays_as_it_is_and_nobody_signs_an_id_of_that_name() -> None:
    given = {"task": "{\n}", "signature": "\n", "deep": [{"task": "\n", "signature": ""}]}
    assert _text.told(given) == {"task": "{\n}", "signature": " ", "deep": [{"task": " ", "signature": ""}]}
    told = _text.told({"task": HIDDEN, "deep": {"task": HIDDEN}})
    assert all(one["task"].isprintable() for one in (told, told["deep"]))


def test_names_steer_nothing_and_what_people_write_stays() -> None:
    names = [HIDDEN, "płacę", "支払い"]
    told = {"nodes": [{"id": "csn1", "name": name, "online": True, HIDDEN: HIDDEN} for name in names]}
    with Feed(answers={"/v1/nodes": (200, told)}).serve() as url, Client(profile(url), api_key="key") as asking:
        seen = asking.nodes()
    plain = "a [2Jb c d   \ufffd"
    assert [node["name"] for node in seen] == [plain, "płacę", "支払い"]
    assert all(node[plain] == plain for node in seen)  # type: ignore[literal-required]
    feed = listed({None: None}, name=HIDDEN)
    with feed.serve() as url, Client(profile(url), api_key="key") as asking:
        assert [one.wallet.name for one in asking.wallets()] == [plain]


def test_events_steer_nothing() -> None:
    with Feed([frame(event(11, task={"x": HIDDEN} | told_task()))]).serve() as url, Client(profile(url), api_key="key") as asking:
        seen: Any = next(asking.events())
    assert seen["data"]["task"]["x"] == "a [2Jb c d   \ufffd"


def told_task() -> dict[str, Any]:
    return {
        "id": "00",
        "sequence": 1,
        "revision": 1,
        "state": "completed",
        "operation": "KeySign",
        "requester": "csr1",
        "wallet": "csk1",
        "submitted": 1,
        "not_after": 1,
    }


def test_the_exact_text_of_an_order_stays_as_it_is() -> None:
    told = _api.parse(json.dumps({"task": "{\n}", "signature": "", "name": "{\n}"}).encode(), "a test")
    assert told == {"task": "{\n}", "signature": "", "name": "{ }"}


def test_no_error_steers_anything() -> None:
    for error in (CountersignError("usage", HIDDEN, [HIDDEN]), Unreachable(HIDDEN, HIDDEN, True)):
        assert all(text.isprintable() for text in (str(error), error.message, *error.details, *error.args))


def test_a_wallet_whose_key_is_none_is_an_error_of_this_package() -> None:
    with listed({None: None}, root_public_key="zz").serve() as url, Client(profile(url), api_key="key") as asking:
        with pytest.raises(AnswerError):
            asking.wallets()


# Ends


@pytest.mark.parametrize(
    "state, kind", [("rejected", Rejected), ("failed", Failed), ("expired", Expired), ("cancelled", Cancelled)]
)
@pytest.mark.parametrize("reason", [None, {"code": "limit", "message": "no; send a new task", "nodes": []}])
def test_an_end_is_the_coordinators_word_and_says_until_when_the_order_may_be_signed(
    state: str, kind: type[TaskError], reason: Any
) -> None:
    with coordinator({}, None, {"state": state, "reason": reason}) as url, client(url) as asking:
        before = time.time()
        with pytest.raises(kind) as ended:
            asking.sign(WALLET, Payload.message("pay"), timeout=300)
    not_after = ended.value.not_after
    assert not_after is not None and before + 299 < not_after.timestamp() < time.time() + 301
    shown = not_after.strftime("%Y-%m-%d %H:%M:%SZ")
    assert f"only the coordinator says so, and the order may have been signed, or be signed until {shown}" in str(ended.value)
    assert "send no new order before then" in str(ended.value)


# Time


@contextmanager
def dripping(head: bytes, piece: bytes) -> Iterator[str]:
    """Answers each request with the head, then with a piece every 50 ms, for 20 s."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer(connection: socket.socket) -> None:
            with connection:
                try:
                    connection.recv(65536)
                    connection.sendall(head)
                    for _ in range(400):
                        connection.sendall(piece)
                        if over.wait(0.05):
                            return
                    if b"\r\n\r\n" not in head:
                        connection.sendall(b"\r\ncontent-length: 12\r\n\r\n" + b'{"nodes":[]}')
                except OSError:
                    return

        def accept() -> None:
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()


HEADS = [b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\ncontent-length: 412\r\n\r\n" + b'{"nodes":[]}']


@pytest.mark.parametrize("head", HEADS, ids=["in its head", "in its body"])
def test_an_answer_that_drips_does_not_outlast_the_limit(nodes: Nodes, head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_api, "REQUEST", 0.5)
    with dripping(head, b" ") as url, pytest.raises(Unreachable) as late:
        nodes(url)
    assert late.value.sent


@pytest.mark.parametrize("head", HEADS, ids=["in its head", "in its body"])
def test_an_answer_that_drips_does_not_outlast_the_timeout_of_an_order(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_start, "LEAST", 0.2)
    monkeypatch.setattr(_flow, "REPORT", 0.2)
    with dripping(head, b" ") as url, client(url) as asking:
        with pytest.raises(Pending):
            asking.sign(WALLET, Payload.message("pay"), timeout=0.2)
        with pytest.raises(Unreachable):
            asking.result("00" * 16, timeout=0)


# Events


def test_pages_that_come_at_once_and_empty_are_asked_for_ever_more_slowly() -> None:
    feed = _feed.Feed({}, "5")
    pauses: list[float] = []
    for _ in range(8):
        flow = feed.next()
        step = next(flow)
        try:
            while True:
                if isinstance(step, Open):
                    step = flow.throw(ApiError(406, "no", "no"))
                elif isinstance(step, Sleep):
                    pauses.append(step.seconds)
                    step = flow.send(None)
                else:
                    step = flow.send({"events": [], "next": "5"})
        except StopIteration:
            pass
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


def events(url: str, **options: Any) -> list[str]:
    with Client(profile(url), api_key="key") as asking:
        return [one["cursor"] for one in islice(asking.events(patience=0.05, **options), 5)]


def test_an_event_that_comes_again_ends_the_events() -> None:
    eleven, twelve = frame(event(11)), frame(event(12))
    for streams in ([[eleven, eleven]], [[eleven, twelve, eleven]], [[eleven], [eleven]]):
        with Feed(*streams, hold=False).serve() as url, pytest.raises(AnswerError, match="again and again"):
            events(url)
    numbers = iter(range(6, 10**6))
    refused = problem(406, "no")
    for number in (lambda: 6, lambda: next(numbers)):
        endless = lambda _: (200, {"events": [event(number())], "next": "5"})
        with Feed(refused, answers={"/v1/events": endless}).serve() as url, pytest.raises(AnswerError, match="again and again"):
            events(url, after="5")
    long = lambda _: (200, {"events": [], "next": "5" * 1000})
    with Feed(refused, answers={"/v1/events": long}).serve() as url, pytest.raises(AnswerError, match="too long"):
        events(url, after="5")


def test_events_begin_where_the_caller_says() -> None:
    page = lambda query: (200, {"events": [event(3), event(4)], "next": "4"})
    feed = Feed([frame(event(number)) for number in (5, 6, 7)], answers={"/v1/events": page})
    with feed.serve() as url:
        assert events(url, after="oldest") == ["3", "4", "5", "6", "7"]
    assert feed.asked_for("/v1/events") == [({}, None), ({}, "4")]
    with pytest.raises(UsageError, match="`oldest`"):
        events("http://127.0.0.1:1", after=None)


# Encodings


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP", "identity, gzip"])
def test_an_answer_that_is_compressed_is_refused_unread(nodes: Nodes, encoding: str) -> None:
    bomb = gzip.compress(b'{"nodes":[]}' + b" " * (1 << 20))
    for status in (200, 500):
        with Feed(answers={"/v1/nodes": (status, bomb, {"content-encoding": encoding})}).serve() as url:
            with pytest.raises(AnswerError, match="compressed"):
                nodes(url)


def test_a_stream_that_is_compressed_is_refused() -> None:
    packed = 200, gzip.compress(frame(event(11))), {"content-encoding": "gzip", "content-type": "text/event-stream"}
    page = 200, {"events": [event(12)], "next": "12"}
    with Feed(packed, answers={"/v1/events": page}).serve() as url, Client(profile(url), api_key="key") as asking:
        assert next(asking.events())["cursor"] == "12"

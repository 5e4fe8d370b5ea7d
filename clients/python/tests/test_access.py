"""Requests that are signed by the requester's key, and pauses that a coordinator asks for."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from embit import bech32
from signed import COORDINATOR, EXAMPLE, KEY, PUBLIC, SignedFeed
from stream import Feed, event, frame, problem
from test_client import SIGNING, WALLET
from test_events import BEGIN, Order
from test_forgeries import profile

from countersign import (
    AsyncClient,
    Client,
    MemoryBook,
    Payload,
    Profile,
    RequesterKey,
    Signed,
    Unauthorized,
    Unavailable,
    UsageError,
    _api,
    _feed,
)
from countersign._flow import Remarks
from countersign._start import started
from countersign._step import Flow, Sleep


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_feed, "AWAY", 0.01)


def settings(url: str, coordinator: str | None = COORDINATOR) -> Any:
    known = profile(url)
    own = Profile(url, known.nodes, known.trusted_requesters, coordinator_id=coordinator)
    return {"profile": own, "requester_key": RequesterKey(KEY), "book": MemoryBook(SIGNING["book"])}


def example() -> tuple[dict[str, str], str, str]:
    """The headers, the body and the signed text of the page's example."""
    request, text = re.findall(r"```\w+\n(.*?)\n```", EXAMPLE, re.DOTALL)
    head, body = request.split("\n\n")
    return dict(line.lower().split(": ") for line in head.splitlines()[1:] if "REQUESTER" not in line), body, text


def test_the_example_of_the_page_is_signed_byte_for_byte() -> None:
    headers, body, text = example()
    parts = {
        "coordinator": COORDINATOR,
        "method": "POST",
        "path": "/v1/tasks",
        "body": body,
        "time": int(headers["countersign-time"]),
        "nonce": headers["countersign-nonce"],
    }
    assert len(headers) == 5 and len(text) == 217
    assert RequesterKey(KEY).sign_request(parts) == headers
    PUBLIC.verify(bytes.fromhex(headers["countersign-signature"]), text.encode())


@pytest.mark.parametrize(
    "wrong",
    [
        *[{"nonce": "0" * 15}, {"nonce": "0" * 65}, {"nonce": "0" * 16 + "\n"}, {"time": -1}],
        *[{"method": "GET\n"}, {"path": "/a\n/b"}, {"path": "/ü"}, {"query": "a b"}],
        *[{"coordinator": "csc1"}, {"coordinator": None}],
    ],
)
def test_what_is_no_request_is_not_signed(wrong: dict[str, Any]) -> None:
    parts = {"coordinator": COORDINATOR, "method": "GET", "path": "/v1/tasks", "time": 1, "nonce": "0" * 16}
    key = RequesterKey(KEY)
    assert key.sign_request(parts)
    with pytest.raises(UsageError) as refused:
        key.sign_request(parts | wrong)
    assert "csr-secret" not in str(refused.value)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_orders_streams_and_long_polls_are_signed_each_with_a_nonce_of_its_own(stream: bool, asynchronous: bool) -> None:
    order = Order(["approving", "running", "completed"], stream, feed=SignedFeed)
    feed: Any = order.feed

    async def run(url: str) -> Signed:
        async with AsyncClient(**settings(url)) as client:
            return await client.sign(WALLET, Payload.message("pay"), note="Grüße")

    with feed.serve() as url:
        if asynchronous:
            signed = asyncio.run(run(url))
        else:
            with Client(**settings(url)) as client:
                signed = client.sign(WALLET, Payload.message("pay"), note="Grüße")
    assert signed.task == order.view["id"]
    assert any("wait" in query for _, query, _ in feed.asked) is not stream
    # The order itself is not among those that were asked for.
    assert len(feed.nonces) == len(feed.asked) + 1


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_stream_that_is_opened_again_is_signed_again(asynchronous: bool) -> None:
    feed = SignedFeed([BEGIN, frame(event(11))], [frame(event(12))], problem(406, "no"))
    page = {"events": [event(13)], "next": "13"}
    feed.answers["/v1/events"] = lambda query: (200, page)
    kinds = ["task.completed", "task.failed"]

    async def run(url: str) -> list[str]:
        found: list[str] = []
        async with AsyncClient(**settings(url)) as client:
            async for one in client.events(wallet=WALLET, type=kinds):
                found.append(one["cursor"])
                if len(found) == 3:
                    break
        return found

    with feed.serve() as url:
        if asynchronous:
            found = asyncio.run(run(url))
        else:
            with Client(**settings(url)) as client:
                found = [one["cursor"] for one in islice(client.events(wallet=WALLET, type=kinds), 3)]
    assert found == ["11", "12", "13"]
    assert len(feed.nonces) == len(feed.asked) == 4


ALTERED: dict[str, Any] = {
    "method": "PUT",
    "path": "/v1/nodes",
    "query": "limit=51",
    "body": "{}",
    "time": 1_764_453_908_123,
    "nonce": "0" * 32,
    "coordinator": bech32.bech32_encode(bech32.Encoding.BECH32M, "csc", bech32.convertbits(PUBLIC.public_bytes_raw(), 8, 5)),
}


@pytest.mark.parametrize("field", ALTERED)
def test_a_signature_over_anything_else_is_refused(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = RequesterKey.sign_request
    monkeypatch.setattr(RequesterKey, "sign_request", lambda key, parts: genuine(key, parts | {field: ALTERED[field]}))
    feed = SignedFeed(answers={"/v1/tasks": (200, {"tasks": []})})
    with feed.serve() as url, Client(**settings(url)) as client, pytest.raises(Unauthorized) as refused:
        client.tasks()
        client.tasks()
    codes = {"time": "request-time", "nonce": "request-repeated", "body": "request-body"}
    assert refused.value.code == codes.get(field, "unauthorised")


def test_a_profile_without_an_api_key_signs_and_says_what_it_lacks(tmp_path: Path) -> None:
    feed = SignedFeed(answers={"/v1/tasks": (200, {"tasks": []})})
    (tmp_path / "requester.key").write_text(KEY + "\n")
    (tmp_path / "requester.key").chmod(0o600)
    path = tmp_path / "profile.yaml"

    def written(url: str, *lines: str) -> Path:
        path.write_text("\n".join([f"coordinator: {url}", *lines, ""]))
        return path

    key, id = "requester_key_file: requester.key", f"coordinator_id: {COORDINATOR}"
    with feed.serve() as url:
        with Client(written(url, key, id)) as client:
            assert client.tasks() == ([], None)
        with pytest.raises(UsageError, match="add its `coordinator_id`"):
            Client(written(url, key))
        with pytest.raises(UsageError, match="name `requester_key_file`"):
            Client(written(url, id))
        # An API key is used if there is one.
        with Client(written(url, key, id), api_key="key") as client, pytest.raises(Unauthorized):
            client.tasks()
    assert len(feed.nonces) == 1


def test_nothing_of_a_key_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    feed = SignedFeed(answers={"/v1/tasks": (200, {"tasks": []})})
    with feed.serve() as url, Client(**settings(url)) as client:
        client.tasks()
        with Client(profile(url), api_key="csapi_hidden") as other, pytest.raises(Unauthorized) as refused:
            other.tasks()
        shown = [client, client._transport, client._transport._access, vars(client._transport)]
        shown += [other._transport._access, vars(other._transport), refused.value]
    assert caplog.records, "the library below logs"
    for text in [caplog.text, *map(repr, shown)]:
        assert KEY not in text and "csapi_hidden" not in text


@pytest.mark.parametrize("key", ["", "csapi_ü", "csapi_1\ncsapi_2", "csapi_1 "])
def test_an_api_key_that_no_header_holds_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(UsageError, match="no header can hold") as refused:
        Client(profile("http://127.0.0.1:1"), api_key=key)
    assert "csapi" not in str(refused.value)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_coordinator_that_has_just_started_is_asked_again_with_a_new_signature(asynchronous: bool) -> None:
    feed = SignedFeed(answers={"/v1/tasks": (200, {"tasks": []})})
    feed.first = [problem(503, "just-started", retry_after="0") for _ in range(2)]

    async def run(url: str) -> Any:
        async with AsyncClient(**settings(url)) as client:
            return await client.tasks()

    with feed.serve() as url:
        if asynchronous:
            found = asyncio.run(run(url))
        else:
            with Client(**settings(url)) as client:
                found = client.tasks()
    assert found == ([], None)
    assert len(feed.nonces) == 3


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        *[("7", 7), ("0", 0), ("31", 30), ("9" * 400, 30)],
        *[(bad, None) for bad in ("-1", "1.5", "", "٣", "Wed, 21 Oct 2026 07:28:00 GMT", None)],
    ],
)
def test_a_pause_has_seconds_and_a_bound(told: str | None, seconds: float | None) -> None:
    body = json.dumps(problem(503, "store")[1]).encode()
    for status in (429, 503):
        with pytest.raises(Unavailable) as refused:
            _api.read(status, body, None, told)
        assert refused.value.retry_after == seconds


def pauses(flow: Flow[Any], answers: list[Any]) -> list[float]:
    """The pauses of a flow whose steps have these answers, of which errors are thrown."""
    found: list[float] = []
    answer: Any = None
    try:
        while True:
            step = flow.throw(answer) if isinstance(answer, Exception) else flow.send(answer)
            answer = None
            if isinstance(step, Sleep):
                found.append(step.seconds)
            elif answers:
                answer = answers.pop(0)
            else:
                flow.close()
                return found
    except StopIteration:
        return found


def test_pauses_are_as_long_as_the_coordinator_asks() -> None:
    starting = [Unavailable(503, "just-started", "no", seconds) for seconds in (4.0, None)]
    assert pauses(started(one_request()), [*starting, {}]) == [4.0, 1.0]
    feed = _feed.Feed({}, expected=True)
    for told in (20.0, None):
        lost = [Unavailable(503, "store", "no", told)]
        assert pauses(feed.next(), lost) == [told or 0.02]
    with Client(**settings("http://127.0.0.1:1")) as client:
        operation = {"sign": {"wallet": WALLET, "path": "m", "payload": Payload.message("pay").document()}}
        order = client._flows.order(operation, Remarks(), 60)
        refused = [Unavailable(503, "store", "no", 9.0), Unavailable(429, "too-many-requests", "no", 30.0)]
        assert pauses(client._flows._hand_in(order, time.monotonic() + 60), refused) == [9.0, 30.0]


def one_request() -> Flow[Any]:
    return (yield _api.request("listTasks"))

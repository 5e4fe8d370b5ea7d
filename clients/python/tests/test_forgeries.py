"""Every forgery of the table is refused with its code, and every true answer is believed, by both clients."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from coordinator import coordinator

from countersign import AsyncClient, Client, CountersignError, MemoryBook, Payload, Profile, RequesterKey

TABLE = json.loads((Path(__file__).parents[2] / "tests" / "forgeries.json").read_text())


def profile(url: str) -> Profile:
    told = TABLE["profile"]
    return Profile(coordinator=url, nodes=told["nodes"], trusted_requesters=told["trusted_requesters"])


def act(client: Any, action: dict[str, Any]) -> Any:
    """The call of the action; awaitable if the client is."""
    match action:
        case {"wallet": id}:
            return client.wallet(id)
        case {"newest_wallet": id}:
            return client.newest_wallet(id)
        case {"task": id}:
            return client.task(id)
        case {"sign": order}:
            return client.sign(order["wallet"], Payload.message(bytes.fromhex(order["payload"]["bytes"])), order["path"])
    raise AssertionError(action)


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: str(case["name"]))
def test_what_the_table_says_is_said(case: dict[str, Any]) -> None:
    book = MemoryBook(case["book"] or "")
    with coordinator(case["answers"], case["result"]) as url:
        key = RequesterKey(TABLE["requester_key"])
        assert key.id == TABLE["requester"]
        with Client(profile(url), api_key="key", requester_key=key, book=book) as client:
            try:
                act(client, case["action"])
                said = "ok"
            except CountersignError as error:
                said = error.code
                assert book.read() == (case["book"] or ""), "nothing was written"
    assert said == case["expect"]


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: str(case["name"]))
def test_the_asynchronous_client_says_the_same(case: dict[str, Any]) -> None:
    async def ask(url: str) -> str:
        key = RequesterKey(TABLE["requester_key"])
        book = MemoryBook(case["book"] or "")
        async with AsyncClient(profile(url), api_key="key", requester_key=key, book=book) as client:
            try:
                await act(client, case["action"])
                return "ok"
            except CountersignError as error:
                return error.code

    with coordinator(case["answers"], case["result"]) as url:
        assert asyncio.run(ask(url)) == case["expect"]


def test_the_table_has_forgeries_and_true_answers() -> None:
    forged = [case for case in TABLE["cases"] if case["expect"] != "ok"]
    assert len(forged) >= 20
    assert len(TABLE["cases"]) - len(forged) >= 4

"""Votes: collected by orders, made by keys and passkeys, read and counted. Python's cryptography votes and judges, by
docs/quorum.md."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from embit import bech32
from test_client import SIGNING, WALLET
from test_forgeries import TABLE, profile

import countersign._core as core
from countersign import (
    ApiError,
    ApproverKey,
    AsyncClient,
    Client,
    Collect,
    Examined,
    MemoryBook,
    Passkeys,
    Payload,
    Pending,
    Profile,
    RequesterKey,
    Untrustworthy,
    UsageError,
    VoteError,
    Votes,
    VoteUnknown,
)

PAGES = Passkeys("treasury.example", ("https://console.treasury.example",))
#: The coordinator tells of the wallet what the book has of it.
OURS = next(case for case in TABLE["cases"] if case["name"] == "a_wallet_of_ours")["answers"]
#: The number of points of P-256.
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
Alter = Callable[[dict[str, Any]], dict[str, Any]]


class Coordinator:
    """Collects votes on every order, and never has enough. ``alter`` changes its lists of votes."""

    def __init__(self) -> None:
        self.views: dict[str, Any] = {}
        self.votes: list[dict[str, Any]] = []
        self.alter: Alter = lambda told: told
        #: What the next votes are answered with: nothing, or a refusal with this code.
        self.answers: list[str | None] = []

    def view(self, body: dict[str, Any]) -> dict[str, Any]:
        task = json.loads(body["task"])
        return {
            "id": task["id"], "sequence": 1, "revision": 1, "state": "pending", "operation": "KeySign",
            "requester": task["requester"], "wallet": WALLET, "submitted": task["created"],
            "not_after": task["not_after"], "reason": None, "task": body["task"], "signature": body["signature"],
            "nodes": [], "result": None, "events": [],
        }  # fmt: skip

    def list(self, id: str) -> dict[str, Any]:
        digest = labelled(b"countersign/1 task", self.views[id]["task"].encode()).hex()
        return self.alter({"task": id, "hash": digest, "votes": self.votes, "missing": ["erin"], "later": True})

    def answer(self, path: str, body: bytes) -> Any:
        if not body:
            return self.list(path.split("/")[3]) if path.endswith("/votes") else self.views[path.split("/")[3]]
        document = json.loads(body)
        if path.endswith("/votes"):
            self.votes.append({"name": "ann", "received": 1, "vote": document})
            return self.list(path.split("/")[3])
        view = self.view(document)
        self.views[view["id"]] = view
        return view


@contextmanager
def voting() -> Iterator[tuple[Coordinator, str]]:
    coordinator = Coordinator()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            path = self.path.split("?")[0]
            known = path.startswith("/v1/tasks")
            status, told = (200, coordinator.answer(path, body)) if known else (200, OURS[path])
            if body and path.endswith("/votes") and coordinator.answers:
                code = coordinator.answers.pop(0)
                if code is None:
                    self.close_connection = True
                    return
                status, told = 429 if code == "rate-limited" else 409, {"error": {"code": code, "message": "no"}}
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield coordinator, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def client(url: str, passkeys: Passkeys | None = None, approvers: Any = None) -> Client:
    plain = profile(url)
    known = Profile(url, plain.nodes, plain.trusted_requesters, passkeys=passkeys, approvers=approvers)
    key = RequesterKey(TABLE["requester_key"])
    return Client(known, api_key="key", requester_key=key, book=MemoryBook(SIGNING["book"]))


def collect(hours: float = 1) -> Collect:
    return Collect(votes=2, until=datetime.now(timezone.utc) + timedelta(hours=hours))


def labelled(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


def signed_bytes(hash: str, choice: str, key: bytes, at: int) -> bytes:
    said = bytes([{"approve": 1, "reject": 2}[choice]])
    return labelled(b"countersign/1 vote", bytes.fromhex(hash), said, key, at.to_bytes(8, "big"))


def id_of(key: bytes) -> str:
    five = bech32.convertbits(key, 8, 5)
    return str(bech32.bech32_encode(bech32.Encoding.BECH32M, "csv", five))


def ed25519_vote(seed: int, hash: str, choice: str = "approve", ahead: int = 0) -> dict[str, Any]:
    private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    key = b"\x01" + private.public_key().public_bytes_raw()
    at = int(time.time() * 1000) + ahead
    signature = private.sign(signed_bytes(hash, choice, key, at)).hex()
    return {"version": 1, "task": hash, "choice": choice, "approver": id_of(key), "time": at, "signature": signature}


class Authenticator:
    """A passkey in software."""

    def __init__(self, high_s: bool) -> None:
        self.high_s = high_s
        self.private = ec.generate_private_key(ec.SECP256R1())
        form = serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
        self.id = id_of(b"\x02" + self.private.public_key().public_bytes(*form))

    def answer(self, challenge: str) -> dict[str, str]:
        text = base64.urlsafe_b64encode(bytes.fromhex(challenge)).rstrip(b"=").decode()
        data = json.dumps({"type": "webauthn.get", "challenge": text, "origin": PAGES.origins[0]}).encode()
        told = hashlib.sha256(PAGES.rp_id.encode()).digest() + b"\x05" + bytes(4)
        made = self.private.sign(told + hashlib.sha256(data).digest(), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(made)
        s = max(s, N - s) if self.high_s else min(s, N - s)
        signature = encode_dss_signature(r, s)
        return {"client_data": data.hex(), "authenticator_data": told.hex(), "signature": signature.hex()}

    def vote(self, examined: Examined, choice: str = "approve") -> dict[str, Any]:
        asked = {"order": examined.order, "approver": self.id, "choice": choice, "time": int(time.time() * 1000)}
        message = core.call("vote.message", asked)
        pages = {"rp_id": PAGES.rp_id, "origins": list(PAGES.origins)}
        answer = self.answer(message["challenge"])
        vote: dict[str, Any] = core.call("vote.from_assertion", answer | {"ballot": message["ballot"], "passkeys": pages})
        return vote


def test_an_order_says_in_its_signed_bytes_that_it_collects_votes() -> None:
    until = int(time.time() * 1000) + 3_600_000
    with voting() as (coordinator, url), client(url) as one:
        task = one.submit(WALLET, Payload.message("pay"), collect=Collect(2, until))
        plain = one.submit(WALLET, Payload.message("pay"))
    ordered = json.loads(coordinator.views[task.id]["task"])
    assert ordered["collect"] == {"votes": 2, "until": until}
    assert ordered["not_after"] == until + 120_000
    assert (task.state, task.is_final) == ("pending", False)
    assert "collect" not in json.loads(coordinator.views[plain.id]["task"])


@pytest.mark.parametrize(
    "asked",
    [
        Collect(0, datetime.now(timezone.utc) + timedelta(hours=1)),
        Collect(2, datetime.now(timezone.utc) - timedelta(hours=1)),
        Collect(2, datetime.now(timezone.utc) + timedelta(days=8)),
        Collect(2, datetime.now()),
    ],
)
def test_votes_that_cannot_be_collected_are_refused_before_anything_is_sent(asked: Collect) -> None:
    with voting() as (coordinator, url), client(url) as one:
        with pytest.raises(UsageError):
            one.submit(WALLET, Payload.message("pay"), collect=asked)
    assert not coordinator.views


def test_every_kind_of_order_collects_votes_and_the_wait_ends_as_the_caller_says() -> None:
    nodes = list(TABLE["profile"]["nodes"])[:3]
    acts: list[Callable[[Client], Any]] = [
        lambda one: one.sign(WALLET, Payload.message("pay"), collect=collect(), timeout=0.1),
        lambda one: one.check_up(WALLET, collect=collect(), timeout=0.1),
        lambda one: one.reshare(WALLET, nodes=nodes, threshold=2, collect=collect(), timeout=0.1),
        lambda one: one.create_wallet("new", scheme="taproot", nodes=nodes, threshold=2, collect=collect(), timeout=0.1),
    ]
    with voting() as (coordinator, url), client(url) as one, pytest.MonkeyPatch.context() as patch:
        patch.setattr("countersign._flow.REPORT", 0.0)
        for act in acts:
            with pytest.raises(Pending):
                act(one)
    orders = [json.loads(view["task"]) for view in coordinator.views.values()]
    assert [order["collect"]["votes"] for order in orders] == [2] * len(acts)
    assert len({next(iter(order["operation"])) for order in orders}) == len(acts)


def test_without_a_limit_the_wait_goes_on_after_the_end_of_the_votes() -> None:
    asked: list[float] = []
    with voting() as (_, url), client(url) as one, pytest.MonkeyPatch.context() as patch:

        def carry_out(order: Any, until: float, progress: Any) -> Any:
            asked.append(until - time.monotonic())
            raise Pending("x")

        patch.setattr(one._flows, "_carry_out", carry_out)
        for timeout in (None, 60.0):
            with pytest.raises(Pending):
                one.sign(WALLET, Payload.message("pay"), collect=collect(2), timeout=timeout)
    assert 7200 + 100 < asked[0] < 7200 + 130
    assert asked[1] < 70


def counted(votes: list[tuple[str, Any]], approvers: Any = None, alter: Alter | None = None) -> Votes:
    """The count of votes that are made for an order. Each is a vote, or a function of the hash."""
    with voting() as (coordinator, url), client(url, approvers=approvers) as one:
        task = one.submit(WALLET, Payload.message("pay"), collect=collect())
        hash = one.examine(task.id).hash
        made = [(name, vote(hash) if callable(vote) else vote) for name, vote in votes]
        coordinator.votes = [{"name": name, "received": 1, "vote": vote} for name, vote in made]
        coordinator.alter = alter or coordinator.alter
        count = one.votes(task.id)
        assert count is not None
        return count


def test_forged_votes_are_shown_and_not_counted() -> None:
    def stolen(hash: str) -> dict[str, Any]:
        return ed25519_vote(1, hash) | {"approver": ed25519_vote(2, hash)["approver"]}

    count = counted(
        [
            ("ann", lambda hash: ed25519_vote(1, hash)),
            ("bob", stolen),
            ("cyd", lambda hash: ed25519_vote(3, hash) | {"choice": "reject"}),
            ("dan", ed25519_vote(4, "ab" * 32)),
            ("eve", lambda hash: ed25519_vote(5, hash, ahead=60_000)),
            ("fay", {"version": 2}),
            ("gil", lambda hash: ed25519_vote(6, hash, "reject")),
        ]
    )
    assert [one.finding for one in count.votes] == [
        "genuine", "forged", "forged", "forged", "early", "unreadable", "genuine",
    ]  # fmt: skip
    assert [one.is_genuine for one in count.votes].count(True) == 2
    assert (count.needed, count.approved, count.rejected, count.missing) == (2, 1, 1, ("erin",))
    assert all((one.problem is None) == one.is_genuine for one in count.votes)


def test_a_person_of_the_profile_counts_once_and_nobody_else_does() -> None:
    votes: list[tuple[str, Any]] = [
        ("x", lambda hash: ed25519_vote(1, hash, "reject", ahead=-5)),
        ("y", lambda hash: ed25519_vote(1, hash)),
        ("z", lambda hash: ed25519_vote(2, hash, ahead=-1)),
        ("ann", lambda hash: ed25519_vote(3, hash)),
    ]
    ids = [ed25519_vote(seed, "ab" * 32)["approver"] for seed in (1, 2)]
    count = counted(votes, approvers={"ann": tuple(ids)})
    assert (count.approved, count.rejected) == (1, 0)
    assert [one.name for one in count.votes] == ["ann", "ann", "ann", None]
    assert count.votes[3].finding == "unlisted"
    assert counted(votes).approved == 3, "each key counts under names of the coordinator"


def test_a_list_of_another_task_is_no_answer() -> None:
    for altered in ({"task": "0b" * 16}, {"hash": "ab" * 32}, {"votes": None}):
        with pytest.raises(Exception) as told:
            counted([], alter=lambda list, altered=altered: list | altered)  # type: ignore[misc]
        assert getattr(told.value, "code") == "answer"


def test_an_order_without_votes_has_no_count_and_is_not_voted_on() -> None:
    with voting() as (_, url), client(url) as one:
        task = one.submit(WALLET, Payload.message("pay"))
        assert one.votes(task.id) is None
        with pytest.raises(VoteError) as told:
            one.examine(task.id)
    assert told.value.code == "vote-not-asked"


@pytest.mark.parametrize("high_s", [False, True])
def test_a_passkeys_answer_becomes_a_vote_that_counts(high_s: bool) -> None:
    passkey = Authenticator(high_s)
    with voting() as (_, url), client(url, PAGES) as one, client(url) as without_pages:
        task = one.submit(WALLET, Payload.message("pay"), collect=collect())
        examined = one.examine(task.id)
        assert examined.decoded and examined.decoded.lines[0] == "message: pay"
        vote = passkey.vote(examined)
        _, s = decode_dss_signature(bytes.fromhex(vote["passkey"]["signature"]))
        assert s <= N // 2
        count = one.submit_vote(examined, vote)  # type: ignore[arg-type]
        unknown = without_pages.votes(task.id)
    assert (count.approved, count.votes[0].finding) == (1, "genuine")
    assert unknown and (unknown.approved, unknown.votes[0].finding) == (0, "passkey")


def test_an_approvers_key_votes_on_what_was_examined() -> None:
    seed = bytes([9]) * 32
    five = bech32.convertbits(seed, 8, 5)
    key = ApproverKey(bech32.bech32_encode(bech32.Encoding.BECH32M, "csv-secret", five))
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    assert key.id == id_of(b"\x01" + public.public_bytes_raw())
    assert "csv-secret" not in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)
    with voting() as (coordinator, url), client(url) as one:
        task = one.submit(WALLET, Payload.message("pay"), collect=collect())
        count = one.vote(one.examine(task.id), key, "reject")
        (sent,) = (told["vote"] for told in coordinator.votes)
        # Another device of hers is ahead.
        ahead = ed25519_vote(9, sent["task"], ahead=20_000)
        coordinator.votes.append({"name": "ann", "received": 1, "vote": ahead})
        again = one.vote(one.examine(task.id), key, "reject")
        last = coordinator.votes[-1]["vote"]
        coordinator.votes.append({"name": "ann", "received": 1, "vote": ed25519_vote(9, sent["task"], "reject", 90_000)})
        with pytest.raises(VoteError) as clock:
            one.vote(one.examine(task.id), key, "approve")
        coordinator.alter = lambda told: told | {"votes": []}
        with pytest.raises(Untrustworthy) as told:
            one.vote(one.examine(task.id), key, "approve")
    assert (count.approved, count.rejected) == (0, 1)
    assert (again.approved, again.rejected, last["time"]) == (0, 1, ahead["time"] + 1)
    assert clock.value.code == "vote-clock"
    message = signed_bytes(sent["task"], "reject", b"\x01" + public.public_bytes_raw(), sent["time"])
    public.verify(bytes.fromhex(sent["signature"]), message)
    assert told.value.code == "vote-not-listed"


def test_a_vote_that_does_not_count_or_that_nobody_needs_is_not_told_as_lost() -> None:
    with voting() as (coordinator, url), client(url) as one:
        task = one.submit(WALLET, Payload.message("pay"), collect=collect())
        examined = one.examine(task.id)
        newer = {"name": "ann", "received": 1, "vote": ed25519_vote(9, examined.hash, ahead=20_000)}
        coordinator.votes = [newer]
        with pytest.raises(VoteError) as told:
            one.submit_vote(examined, ed25519_vote(9, examined.hash, "reject"))  # type: ignore[arg-type]
        assert told.value.code == "vote-not-newest"
        # A coordinator does not take the same answer twice within a minute.
        said = {"name": "ann", "received": 1, "vote": ed25519_vote(9, examined.hash, ahead=-1000)}
        coordinator.alter = lambda told: told | {"votes": [said]}
        count = one.submit_vote(examined, ed25519_vote(9, examined.hash))  # type: ignore[arg-type]
    assert count.approved == 1


def test_a_vote_whose_answer_was_lost_is_handed_in_again_and_not_called_lost_if_it_may_count() -> None:
    with voting() as (coordinator, url), client(url) as one:
        task = one.submit(WALLET, Payload.message("pay"), collect=collect())
        examined = one.examine(task.id)
        vote = ed25519_vote(9, examined.hash)
        coordinator.answers = [None]
        assert one.submit_vote(examined, vote).approved == 1  # type: ignore[arg-type]
        assert [told["vote"] for told in coordinator.votes] == [vote, vote]
        # A limit of requests passes.
        coordinator.answers = [None, "rate-limited"]
        assert one.submit_vote(examined, ed25519_vote(6, examined.hash)).approved == 2  # type: ignore[arg-type]
        assert len(coordinator.votes) == 5
        coordinator.answers = [None, "task-not-pending"]
        with pytest.raises(VoteUnknown) as told:
            one.submit_vote(examined, ed25519_vote(8, examined.hash))  # type: ignore[arg-type]
        coordinator.answers = ["vote-time"]
        with pytest.raises(ApiError) as refused:
            one.submit_vote(examined, ed25519_vote(7, examined.hash))  # type: ignore[arg-type]
    assert (told.value.code, refused.value.code) == ("vote-unknown", "vote-time")


def test_a_task_of_a_stranger_or_that_is_not_pending_is_not_voted_on() -> None:
    with voting() as (coordinator, url), client(url) as one:
        task = one.submit(WALLET, Payload.message("pay"), collect=collect())
        known = one.profile.trusted_requesters
        assert known, "otherwise everybody may order"
        stranger = Client(Profile(url, one.profile.nodes, known), api_key="key", book=MemoryBook(SIGNING["book"]))
        with pytest.raises(Untrustworthy) as told:
            stranger.examine(task.id)
        assert told.value.code == "vote-stranger"
        coordinator.views[task.id]["state"] = "running"
        with pytest.raises(VoteError) as ended:
            one.examine(task.id)
        assert ended.value.code == "vote-not-pending"


def test_the_asynchronous_client_does_the_same() -> None:
    async def vote(url: str) -> Votes | None:
        key = RequesterKey(TABLE["requester_key"])
        book = MemoryBook(SIGNING["book"])
        async with AsyncClient(profile(url), api_key="key", requester_key=key, book=book) as one:
            task = await one.submit(WALLET, Payload.message("pay"), collect=collect())
            await one.submit_vote(await one.examine(task.id), ed25519_vote(1, (await one.examine(task.id)).hash))  # type: ignore[arg-type]
            return await one.votes(task.id)

    with voting() as (_, url):
        count = asyncio.run(vote(url))
    assert count and count.approved == 1

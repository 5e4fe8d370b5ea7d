"""What a client does, without any input or output: each flow yields requests and pauses, and receives the answers.

The synchronous and the asynchronous client run the same flows.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from . import _api, _core
from ._api import Order, Request, TaskView
from .book import Recorded, WalletBook
from .errors import (
    AnswerError,
    CountersignError,
    Expired,
    Failed,
    InvalidResult,
    NotFound,
    Pending,
    Rejected,
    Unavailable,
    Unreachable,
    UsageError,
)
from .keys import RequesterKey
from .models import (
    Address,
    CheckUp,
    Decoded,
    Finished,
    Input,
    InputSignature,
    Introduction,
    Listed,
    Node,
    Signed,
    Standing,
    Task,
    Wallet,
)
from .payloads import Payload
from .profile import Profile

#: Default lifetime of an order for a wallet, in seconds: the first one of a committee may wait for prime numbers.
WALLET = 3600.0
#: Default lifetime of an order for a signature.
SIGNATURE = 120.0
#: Additional time for each further signature of the same order.
FURTHER = 5.0
#: Time for the coordinator to report the end of an expired order.
REPORT = 5.0
#: Limit of one long poll.
LONG_POLL = 25
#: Pause between two attempts while the coordinator is away.
AWAY = 0.5

T = TypeVar("T")
Progress = Callable[[Task], None]


@dataclass(frozen=True)
class Sleep:
    """A pause of so many seconds."""

    seconds: float


Step = Request | Sleep
Flow = Generator[Step, Any, T]


@dataclass(frozen=True)
class Remarks:
    """The requester's remarks on an order, for nodes' plugins and people."""

    note: str | None = None
    claims: Mapping[str, str] | None = None


class Flows:
    """The flows of one requester at one coordinator."""

    def __init__(self, profile: Profile, key: RequesterKey | None, book: WalletBook) -> None:
        self.profile = profile
        self.key = key
        self.book = book
        self._known = profile.known(key.id if key else None)
        self._chains = profile.chains()

    # Wallets

    def create_wallet(
        self,
        name: str,
        scheme: str,
        nodes: Sequence[str],
        threshold: int,
        remarks: Remarks,
        timeout: float | None,
        progress: Progress | None,
    ) -> Flow[Wallet]:
        operation = {
            "create-wallet": {
                "name": name,
                "scheme": scheme,
                "nodes": [self.profile.node(node) for node in nodes],
                "threshold": threshold,
            }
        }
        order = self.order(operation, remarks, timeout or WALLET)
        return cast(Wallet, (yield from self._carry_out(order, timeout or WALLET, progress)))

    def reshare(
        self,
        wallet: str,
        nodes: Sequence[str],
        threshold: int,
        dealers: Sequence[str] | None,
        remarks: Remarks,
        timeout: float | None,
        progress: Progress | None,
    ) -> Flow[Wallet]:
        known = yield from self.newest_wallet(wallet)
        operation = {
            "reshare": {
                "from": known.descriptor,
                "nodes": [self.profile.node(node) for node in nodes],
                "threshold": threshold,
                "dealers": None if dealers is None else [self.profile.node(node) for node in dealers],
            }
        }
        order = self.order(operation, remarks, timeout or WALLET)
        return cast(Wallet, (yield from self._carry_out(order, timeout or WALLET, progress)))

    def check_up(
        self,
        wallet: str,
        nodes: Sequence[str] | None,
        remarks: Remarks,
        timeout: float | None,
        progress: Progress | None,
    ) -> Flow[CheckUp]:
        known = yield from self.newest_wallet(wallet)
        asked = known.nodes if nodes is None else tuple(self.profile.node(node) for node in nodes)
        operation = {"check-up": {"wallet": known.id, "nodes": list(asked)}}
        order = self.order(operation, remarks, timeout or SIGNATURE)
        return cast(CheckUp, (yield from self._carry_out(order, timeout or SIGNATURE, progress)))

    def wallet(self, wallet: str) -> Flow[Wallet]:
        """A believed wallet: from the book, or, at first sight, if the profile has its members and its requester."""
        id = self.id_of(wallet)
        entry = self._entry(id)
        if entry is not None and entry["belief"] is not None:
            return Wallet.of_descriptor(entry["wallet"])
        return (yield from self._meet(id))

    def newest_wallet(self, wallet: str) -> Flow[Wallet]:
        """A believed wallet in the newest generation, followed from the book's to the coordinator's."""
        id = self.id_of(wallet)
        entry = self._entry(id)
        if entry is None or entry["belief"] is None:
            return (yield from self._meet(id))
        told = yield from self._told(id)
        return (yield from self._follow_wallet(entry, told))

    def wallets(self) -> Flow[list[Listed]]:
        """Every wallet that the coordinator knows or the book has."""
        book = {entry["wallet"]["key"]: entry for entry in self._book_wallets()}
        listed = []
        for view in _api.member((yield _api.wallets()), "wallets", list):
            told = _announcement(view)
            entry = book.pop(told["key"], None)
            listed.append((yield from self._list(told, entry)))
        listed += [Listed(Wallet.of_descriptor(entry["wallet"]), Standing.UNTOLD) for entry in book.values()]
        return listed

    def introduce(self, id: str) -> Flow[Introduction]:
        introduced = yield from self._introduced(id, (yield from self._told(id)))
        shown = _core.call("wallet.introduce", {"introduced": introduced, "known": self._known})
        return Introduction(
            Wallet.of_descriptor(shown["wallet"]), tuple(shown["lines"]), tuple(shown["doubts"]), shown["fingerprint"]
        )

    def trust(self, id: str, fingerprint: str, reason: str) -> Flow[Wallet]:
        introduced = yield from self._introduced(id, (yield from self._told(id)))
        word = {"introduced": introduced, "fingerprint": fingerprint, "reason": reason, "now": _now()}
        return self._record("wallet.trust", word)

    def id_of(self, wallet: str) -> str:
        """The id of the wallet with this id, or with this name in the book. A coordinator's names lead nowhere."""
        if wallet.startswith("csk1"):
            return wallet
        match _core.call("book.named", {"book": self.book.read(), "name": wallet}):
            case [id]:
                return str(id)
            case []:
                raise UsageError(
                    "usage",
                    f"no wallet in the wallet book has the name `{wallet}`, and names are looked up nowhere else; give "
                    "the id (csk1…) once, as whoever made the wallet tells it",
                )
            case _:
                raise UsageError("usage", f"several wallets have the name `{wallet}`; use the id (csk1…)")

    def address(self, wallet: str, path: str, script_root: bytes | None) -> Flow[Address]:
        known = yield from self.wallet(wallet)
        root = None if script_root is None else script_root.hex()
        child = _core.call(
            "wallet.child",
            {"wallet": known.descriptor, "path": path, "chains": self._chains, "script_root": root},
        )
        return Address(path, bytes.fromhex(child["public_key"]), child["addresses"])

    # Signatures

    def decode(self, wallet: str, payload: Payload, path: str) -> Flow[Decoded]:
        known = yield from self.wallet(wallet)
        return self._decode(known, payload, path)

    def order_signature(
        self,
        wallet: str,
        payload: Payload,
        path: str,
        signers: Sequence[str] | None,
        remarks: Remarks,
        timeout: float | None,
    ) -> Flow[tuple[Order, float]]:
        known = yield from self.wallet(wallet)
        inputs = self._decode(known, payload, path).inputs
        operation = {
            "sign": {
                "wallet": known.id,
                "path": path,
                "payload": payload.document(),
                "signers": None if signers is None else [self.profile.node(node) for node in signers],
            }
        }
        life = timeout or SIGNATURE + FURTHER * (len(inputs) - 1)
        return self.order(operation, remarks, life), life

    def sign(
        self,
        wallet: str,
        payload: Payload,
        path: str,
        signers: Sequence[str] | None,
        remarks: Remarks,
        timeout: float | None,
        progress: Progress | None,
    ) -> Flow[Signed]:
        order, life = yield from self.order_signature(wallet, payload, path, signers, remarks, timeout)
        return cast(Signed, (yield from self._carry_out(order, life, progress)))

    def submit_signature(
        self,
        wallet: str,
        payload: Payload,
        path: str,
        signers: Sequence[str] | None,
        remarks: Remarks,
        timeout: float | None,
    ) -> Flow[Task]:
        order, life = yield from self.order_signature(wallet, payload, path, signers, remarks, timeout)
        return Task.of_view((yield from self._hand_in(order, time.monotonic() + life)))

    def finish(self, signed: Signed, transaction: bool) -> Flow[Finished]:
        view = yield from self._view(signed.task)
        task = self._own(view)
        sign = task["operation"]["key-sign"]
        known = yield from self.wallet(sign["key"])
        finished = _core.call(
            "payload.finish",
            {
                "wallet": known.descriptor,
                "path": sign["path"],
                "payload": sign["payload"],
                "chains": self._chains,
                "signed": signed.document,
                "form": "transaction" if transaction else "psbt",
            },
        )
        return Finished(bytes.fromhex(finished["bytes"]), finished["missing"])

    # Tasks

    def task(self, id: str) -> Flow[Task]:
        return Task.of_view((yield from self._view(id)))

    def tasks(self, limit: int, before: int | None) -> Flow[tuple[list[_api.TaskSummary], int | None]]:
        page = yield _api.tasks(limit, before)
        return _api.member(page, "tasks", list), page.get("next")

    def nodes(self) -> Flow[list[Node]]:
        listing = yield _api.nodes()
        return [
            Node(_api.member(node, "id", str), _api.member(node, "name", str), _api.member(node, "online", bool))
            for node in _api.member(listing, "nodes", list)
        ]

    def next(self, task: Task) -> Flow[Task]:
        """The task after its next change, or as it is after a while. Not verified again before it has ended."""
        try:
            view = yield _api.task(task.id, LONG_POLL, task.revision)
        except (Unreachable, Unavailable):
            yield Sleep(AWAY)
            return task
        return Task.of_view(_about(task.id, view))

    def result(self, id: str, timeout: float | None, progress: Progress | None) -> Flow[Wallet | Signed | CheckUp]:
        """The verified result of an order of one's own, whoever sent it and whenever."""
        view = yield from self._view(id)
        order = Order(task=view["task"], signature=view["signature"])
        self._own(view)
        until = time.monotonic() + (WALLET if timeout is None else timeout)
        view = yield from self._follow(view, until, progress)
        return (yield from self._judge(order, view))

    # Parts of them

    def order(self, operation: dict[str, Any], remarks: Remarks, life: float) -> Order:
        if self.key is None:
            raise UsageError(
                "usage", "there is no requester key; name one under `requester_key_file` in the profile, or pass it"
            )
        parts = {
            "id": secrets.token_hex(16),
            "now": _now(),
            "life_ms": max(1, int(life * 1000)),
            "note": remarks.note,
            "claims": dict(remarks.claims or {}),
            "operation": operation,
        }
        signed = self.key.sign(parts)
        return Order(task=signed["task"], signature=signed["signature"])

    def _carry_out(self, order: Order, life: float, progress: Progress | None) -> Flow[Wallet | Signed | CheckUp]:
        until = time.monotonic() + life + REPORT
        view = yield from self._hand_in(order, until)
        view = yield from self._follow(view, until, progress)
        return (yield from self._judge(order, view))

    def _hand_in(self, order: Order, until: float) -> Flow[TaskView]:
        """Once the order may have arrived, submits the same bytes again until it is known whether it did: a second
        order in its place might be carried out twice."""
        id = _core.call("order.read", dict(order))["id"]
        arrived = False
        while True:
            try:
                return _about(id, (yield _api.submit(order)))
            except (Unreachable, Unavailable) as error:
                arrived = arrived or _may_have_arrived(error)
                if not arrived:
                    raise
            if time.monotonic() >= until:
                raise Pending(id)
            yield Sleep(AWAY)

    def _follow(self, view: TaskView, until: float, progress: Progress | None) -> Flow[TaskView]:
        """Polls until the task ends. A coordinator that is away for a moment is asked again until the time is over."""
        id = view["id"]
        if progress:
            progress(Task.of_view(view))
        while view["state"] not in _api.FINAL:
            left = until - time.monotonic()
            if left <= 0:
                raise Pending(id)
            wait = max(1, min(int(left), LONG_POLL))
            try:
                view = _about(id, (yield _api.task(id, wait, view["revision"])))
            except (Unreachable, Unavailable):
                yield Sleep(min(AWAY, left))
                continue
            if progress:
                progress(Task.of_view(view))
        return view

    def _judge(self, order: Order, view: TaskView) -> Flow[Wallet | Signed | CheckUp]:
        """The result of an order, verified against the exact bytes that this requester signed."""
        self._raise_end(view)
        task = _core.call("order.read", dict(order))
        result = view.get("result")
        if not isinstance(result, dict) or len(result) != 1:
            raise self._nothing()
        ((kind, claim),) = result.items()
        own = {"own": self._known["own"], "order": order}
        match next(iter(task["operation"])), kind:
            case "key-gen", "created":
                return self._record("wallet.created", own | {"made": claim, "now": _now()})
            case "key-reshare", "reshared":
                return self._record("wallet.reshared", own | {"made": claim, "now": _now()})
            case "key-sign", "signed":
                wallet = yield from self.wallet(task["wallet"])
                document = own | {"wallet": wallet.descriptor, "signed": claim, "chains": self._chains}
                return _signed(_core.call("result.signed", document))
            case "key-share-sign", "intact":
                wallet = yield from self.newest_wallet(task["wallet"])
                proofs = _core.call("result.intact", own | {"wallet": wallet.descriptor, "intact": claim})
                return CheckUp(task["id"], wallet, tuple(proof["node"] for proof in proofs))
            case _:
                raise self._nothing()

    def _raise_end(self, view: TaskView) -> None:
        if view["state"] == "completed":
            return
        types = {"rejected": Rejected, "failed": Failed, "expired": Expired}
        reason = view.get("reason")
        if reason is None:
            raise Failed(view["id"], "unknown", "the coordinator gives no reason; see its log")
        message = reason["message"]
        for name, id in self.profile.nodes.items():
            message = message.replace(id, name)
        raise types[view["state"]](view["id"], reason["code"], message, reason["nodes"], reason.get("plugin"))

    def _nothing(self) -> InvalidResult:
        return InvalidResult(
            "invalid-result",
            "the result is not of the kind that was ordered; do not use it, and do not trust this coordinator",
        )

    def _view(self, id: str) -> Flow[TaskView]:
        """A task whose order is verified, and whose summary is of that order."""
        view = _api.task_view((yield _api.task(id)))
        _core.call("order.told", {"id": id, "view": view})
        return view

    def _own(self, view: TaskView) -> dict[str, Any]:
        task = cast(dict[str, Any], _core.call("order.read", {"task": view["task"], "signature": view["signature"]}))
        if task["requester"] != self._known["own"]:
            raise UsageError("usage", "the task is another requester's; only its own requester judges its result")
        return task

    def _decode(self, wallet: Wallet, payload: Payload, path: str) -> Decoded:
        decoded = _core.call(
            "payload.decode",
            {"wallet": wallet.descriptor, "path": path, "payload": payload.document(), "chains": self._chains},
        )
        inputs = tuple(
            Input(one["path"], bytes.fromhex(one["public_key"]), bytes.fromhex(one["signed_bytes"]))
            for one in decoded["inputs"]
        )
        return Decoded(inputs, decoded["blind"], decoded["intent"], tuple(decoded["lines"]))

    def _entry(self, id: str) -> dict[str, Any] | None:
        return cast("dict[str, Any] | None", _core.call("book.wallet", {"book": self.book.read(), "id": id}))

    def _book_wallets(self) -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", _core.call("book.wallets", {"book": self.book.read()}))

    def _told(self, id: str) -> Flow[_api.Descriptor]:
        told = _announcement((yield _api.wallet(id)))
        if told["key"] != id:
            raise AnswerError("answer", "the coordinator's answer is about another wallet; check the URL")
        return told

    def _meet(self, id: str) -> Flow[Wallet]:
        """The first sight of a wallet, or of one that has no reason in the book."""
        introduced = yield from self._introduced(id, (yield from self._told(id)))
        return self._record("wallet.meet", {"introduced": introduced, "known": self._known, "now": _now()})

    def _introduced(self, id: str, told: _api.Descriptor) -> Flow[dict[str, Any]]:
        all = [told] if told["generation"] == 0 else (yield from self._generations(id))
        order = yield from self._order_of(all[0]) if all and all[0]["generation"] == 0 else _none()
        return {"id": id, "told": told, "generations": all, "order": order}

    def _generations(self, id: str) -> Flow[list[_api.Descriptor]]:
        all = _api.member((yield _api.generations(id)), "generations", list)
        return [_api.descriptor(one) for one in all]

    def _order_of(self, first: _api.Descriptor) -> Flow[Order | None]:
        """The order that created a wallet. A new coordinator has none."""
        try:
            view = yield _api.task(first["task"])
        except NotFound:
            return None
        return Order(task=_api.member(view, "task", str), signature=_api.member(view, "signature", str))

    def _follow_wallet(self, entry: dict[str, Any], told: _api.Descriptor) -> Flow[Wallet]:
        newer = told["generation"] > entry["wallet"]["generation"]
        all = (yield from self._generations(told["key"])) if newer else []
        return self._record("wallet.follow", {"told": told, "generations": all})

    def _list(self, told: _api.Descriptor, entry: dict[str, Any] | None) -> Flow[Listed]:
        shown = told if entry is None else entry["wallet"]
        try:
            if entry is not None and entry["belief"] is not None:
                return Listed((yield from self._follow_wallet(entry, told)), Standing.BELIEVED)
            introduced = yield from self._introduced(told["key"], told)
            document = {"introduced": introduced, "known": self._known, "now": _now(), "book": self.book.read()}
            _core.call("wallet.meet", document)
            return Listed(Wallet.of_descriptor(told), Standing.NEW)
        except (Unreachable, Unavailable):
            raise
        except CountersignError as error:
            return Listed(Wallet.of_descriptor(shown), Standing.REFUSED, error)

    def _record(self, name: str, document: dict[str, Any]) -> Wallet:
        def decide(book: str) -> Recorded:
            return cast(Recorded, _core.call(name, document | {"book": book}))

        return Wallet.of_descriptor(self.book.change(decide)["wallet"])


def _signed(verified: dict[str, Any]) -> Signed:
    signatures = tuple(
        InputSignature(
            path=one["path"],
            public_key=bytes.fromhex(one["public_key"]),
            signed_bytes=bytes.fromhex(one["signed_bytes"]),
            signature=bytes.fromhex(one["signature"]),
            recovery_id=one["recovery_id"],
        )
        for one in verified["signed"]["signatures"]
    )
    return Signed(verified["task"], verified["wallet"], verified["scheme"], signatures, verified["signed"])


def _announcement(view: Any) -> _api.Descriptor:
    return _api.descriptor(_api.member(view, "announcement", dict))


def _about(id: str, view: Any) -> TaskView:
    if _api.task_view(view)["id"] != id:
        raise AnswerError("answer", "the coordinator's answer is about another task; check the URL")
    return cast(TaskView, view)


def _may_have_arrived(error: Unreachable | Unavailable) -> bool:
    return error.sent if isinstance(error, Unreachable) else error.code != "too-many-tasks"


def _none() -> Flow[None]:
    return
    yield


def _now() -> int:
    return int(time.time() * 1000)

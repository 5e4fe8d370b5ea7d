"""What a client does, without any input or output: each flow yields requests and pauses, and receives the answers.

The synchronous and the asynchronous client run the same flows.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, TypeVar, cast

from . import _api, _core
from ._feed import AWAY, Feed
from ._start import within
from ._step import Flow, Sleep, Tell
from .book import Recorded, WalletBook
from .errors import (
    AnswerError,
    ApiError,
    Cancelled,
    CountersignError,
    Expired,
    Failed,
    InvalidResult,
    InvalidWebhook,
    NotFound,
    Pending,
    Rejected,
    Unavailable,
    UnknownState,
    Unreachable,
    UsageError,
    by_code,
)
from .keys import ApproverKey, RequesterKey
from .models import (
    Address,
    CheckUp,
    Collect,
    Decoded,
    Examined,
    Finished,
    Input,
    InputSignature,
    Introduction,
    JudgedVote,
    Listed,
    Signed,
    Standing,
    Task,
    Votes,
    Wallet,
)
from .payloads import Payload
from .profile import Profile
from .schema import (
    Delivery,
    DeliveryPage,
    KeyDescriptor,
    NodeView,
    Resend,
    Resent,
    TaskSummary,
    TaskView,
    Vote,
    WebhookKeys,
    WebhookSpec,
    WebhookView,
)
from .schema import Submission as Order
from .webhooks import Headers, WebhookDelivery, verify_webhook

T = TypeVar("T")

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
#: Entries of a page, and the number of pages of a list: more than a coordinator keeps.
PAGE = 200
PAGES = 1000
#: Least time between two looks for new keys of webhooks, so that forged deliveries do not cause a request each.
NEW_KEYS = 60.0
#: The last millisecond of the year 9999, which dates end with.
LAST = 253_402_300_799_999
#: Time to find out whether a vote arrived.
ARRIVAL = 30.0
#: Pause of a delivery while another one looks for keys.
SHORTLY = 0.05

Progress = Callable[[Task], None]


@dataclass(frozen=True)
class Remarks:
    """The requester's remarks on an order, for nodes' plugins and people, and the approvals that it collects first."""

    note: str | None = None
    claims: Mapping[str, str] | None = None
    collect: Collect | None = None

    def voting(self, timeout: float | None) -> float:
        """The seconds for which votes are waited for in addition, unless the caller has limited the wait."""
        if self.collect is None or timeout:
            return 0.0
        return max(self.collect.until_ms / 1000 - time.time(), 0.0)


class Flows:
    """The flows of one requester at one coordinator."""

    def __init__(self, profile: Profile, key: RequesterKey | None, book: WalletBook) -> None:
        self.profile = profile
        self.key = key
        self.book = book
        self._known = profile.known(key.id if key else None)
        self._chains = profile.chains()
        self._pages = profile.pages()
        self._webhook_keys: WebhookKeys | None = None
        self._webhook_keys_error: CountersignError | None = None
        self._webhook_keys_at = -NEW_KEYS
        self._looks_for_webhook_keys = False

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
        until = _end(timeout, WALLET) + remarks.voting(timeout)
        return cast(Wallet, (yield from self._carry_out(order, until, progress)))

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
        until = _end(timeout, WALLET)
        known = yield from within(until, self.newest_wallet(wallet))
        operation = {
            "reshare": {
                "from": known.descriptor,
                "nodes": [self.profile.node(node) for node in nodes],
                "threshold": threshold,
                "dealers": None if dealers is None else [self.profile.node(node) for node in dealers],
            }
        }
        order = self.order(operation, remarks, timeout or WALLET)
        until += remarks.voting(timeout)
        return cast(Wallet, (yield from self._carry_out(order, until, progress)))

    def check_up(
        self,
        wallet: str,
        nodes: Sequence[str] | None,
        remarks: Remarks,
        timeout: float | None,
        progress: Progress | None,
    ) -> Flow[CheckUp]:
        until = _end(timeout, SIGNATURE)
        known = yield from within(until, self.newest_wallet(wallet))
        asked = known.nodes if nodes is None else tuple(self.profile.node(node) for node in nodes)
        operation = {"check-up": {"wallet": known.id, "nodes": list(asked)}}
        order = self.order(operation, remarks, timeout or SIGNATURE)
        until += remarks.voting(timeout)
        return cast(CheckUp, (yield from self._carry_out(order, until, progress)))

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
        for told in (yield from self._all_told()):
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
        """The order, and the time by ``time.monotonic`` until which it is waited for."""
        until = _end(timeout, SIGNATURE)
        known = yield from within(until, self.wallet(wallet))
        inputs = self._decode(known, payload, path).inputs
        operation = {
            "sign": {
                "wallet": known.id,
                "path": path,
                "payload": payload.document(),
                "signers": None if signers is None else [self.profile.node(node) for node in signers],
            }
        }
        more = FURTHER * (len(inputs) - 1)
        return self.order(operation, remarks, timeout or SIGNATURE + more), until if timeout else until + more

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
        order, until = yield from self.order_signature(wallet, payload, path, signers, remarks, timeout)
        until += remarks.voting(timeout)
        return cast(Signed, (yield from self._carry_out(order, until, progress)))

    def submit_signature(
        self,
        wallet: str,
        payload: Payload,
        path: str,
        signers: Sequence[str] | None,
        remarks: Remarks,
        timeout: float | None,
    ) -> Flow[Task]:
        order, until = yield from self.order_signature(wallet, payload, path, signers, remarks, timeout)
        return Task.of_view((yield from within(until, self._hand_in(order, until))))

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

    def tasks(self, limit: int, cursor: str | None) -> Flow[tuple[list[TaskSummary], str | None]]:
        page = yield _api.request("listTasks", limit=limit, cursor=cursor)
        _check_page(page, "tasks", limit, cursor)
        return page["tasks"], page.get("next")

    def nodes(self) -> Flow[list[NodeView]]:
        return cast("list[NodeView]", (yield _api.request("listNodes"))["nodes"])

    def follow(self, id: str) -> Flow[None]:
        """Tells the task now and after each change, until it has ended. Its order is verified once."""
        view = yield from self._view(id)
        yield Tell(Task.of_view(view))
        feed = _feed_of(view)
        while not _has_ended(view):
            news = yield from self._next(view, feed, None)
            if news["revision"] != view["revision"]:
                yield Tell(Task.of_view(news))
            view = news

    # Votes

    def votes(self, id: str) -> Flow[Votes | None]:
        order = _order_in((yield from self._view(id)))
        if self._read(order).get("collect") is None:
            return None
        return self._count(order, (yield _api.votes(id)))

    def examine(self, id: str) -> Flow[Examined]:
        """A task to vote on, verified as before signing."""
        view = yield _api.task(id)
        asked = {"id": id, "view": view, "known": self._known, "passkeys": self._pages, "now": _now()}
        task = _core.call("vote.examine", asked)
        order = _order_in(view)
        wallet, decoded = None, None
        if "key-gen" not in task["operation"]:
            wallet = yield from self.newest_wallet(task["wallet"])
            subject = {"order": order, "wallet": wallet.descriptor, "chains": self._chains, "passkeys": self._pages}
            shown = _core.call("vote.subject", subject)
            decoded = None if shown is None else _decoded(shown)
        needed, until = task["collect"]["votes"], _date(task["collect"]["until"])
        return Examined(id, task["hash"], task["requester"], needed, until, task, wallet, decoded, order)

    def vote(self, examined: Examined, key: ApproverKey, choice: str) -> Flow[Votes]:
        """Votes later than all votes of this key that are listed: another device's clock may be ahead."""
        listed = self._count(examined.order, (yield _api.votes(examined.task)))
        order = _order_in(examined.order)
        ballot = {"order": order, "approver": key.id, "choice": choice, "time": _now(), "passkeys": self._pages}
        message = _core.call("vote.message", ballot | {"after": _newest_of(key.id, listed)})
        vote = key.vote(examined.order, choice, message["ballot"]["time"], self._pages)
        return (yield from self.submit_vote(examined, vote))

    def submit_vote(self, examined: Examined, vote: Vote) -> Flow[Votes]:
        """Hands in a vote, and sees that the coordinator lists it, and no newer one of the same key."""
        until = time.monotonic() + ARRIVAL
        document = yield from within(until, self._hand_in_vote(examined, vote, until))
        if document["arrival"] in ("listed", "known"):
            return _votes(document)
        if document["arrival"] == "not-newest":
            raise by_code(
                "vote-not-newest",
                f"the vote on task {examined.task} arrived, but does not count: a newer vote of the same key is listed; "
                "find out who else votes with this key, and vote again",
                (),
            )
        raise by_code(
            "vote-not-listed",
            f"the coordinator does not list the vote that it took on task {examined.task}; it may have kept it back, and may "
            "still hand it to the nodes: look at the task, and if the vote must not count, make the opposite one",
            (),
        )

    def _hand_in_vote(self, examined: Examined, vote: Vote, until: float) -> Flow[dict[str, Any]]:
        """Once the vote may have arrived, hands in the same one again until it is known whether it did: what is called not
        voted must not count."""
        arrived = False
        while True:
            try:
                return self._counted(examined.order, (yield _api.vote(examined.task, vote)), vote)
            except (Unreachable, ApiError, AnswerError) as error:
                may_have_arrived = _vote_may_have_arrived(error)
                arrived = arrived or may_have_arrived
                if not arrived:
                    raise
                left = until - time.monotonic()
                # Refused, and not only for now.
                final = isinstance(error, ApiError) and error.status != 429 and not may_have_arrived
                if left <= 0 or final:
                    raise by_code(
                        "vote-unknown",
                        f"whether the vote on task {examined.task} arrived is not known ({error.message}), and it may count; "
                        "look at the task before you vote again",
                        (),
                    ) from None
                pause = _api.asked_pause(error, AWAY)
            yield Sleep(min(pause, max(left, AWAY)))

    def _count(self, order: Order, told: Any) -> Votes:
        return _votes(self._counted(order, told))

    def _counted(self, order: Order, told: Any, vote: Vote | None = None) -> dict[str, Any]:
        """The count of the votes that the coordinator tells, and what became of the one that was handed in."""
        document = {"order": order, "told": told, "vote": vote, "now": _now()}
        known = {"passkeys": self._pages, "approvers": self.profile.people()}
        return cast("dict[str, Any]", _core.call("vote.count", document | known))

    # Events

    def events(
        self, after: str, wallet: Sequence[str], type: Sequence[str], patience: float | None
    ) -> Flow[None]:
        """Tells events without end."""
        selected = {"wallet": ",".join(self.id_of(one) for one in wallet), "type": ",".join(type)}
        feed = Feed({name: value for name, value in selected.items() if value}, after, patience=patience)
        while True:
            event = yield from feed.next()
            if event is not None:
                yield Tell(event)

    # Webhooks

    def webhooks(self) -> Flow[list[WebhookView]]:
        return cast("list[WebhookView]", (yield _api.request("listWebhooks"))["webhooks"])

    def create_webhook(self, name: str, spec: WebhookSpec) -> Flow[WebhookView]:
        return cast(WebhookView, (yield _api.request("putWebhook", name, body=spec)))

    def delete_webhook(self, name: str) -> Flow[None]:
        yield _api.request("deleteWebhook", name)

    def test_webhook(self, name: str) -> Flow[Delivery]:
        return cast(Delivery, (yield _api.request("testWebhook", name)))

    def deliveries(self, name: str, state: str | None, limit: int, cursor: str | None) -> Flow[DeliveryPage]:
        page = yield _api.request("listDeliveries", name, state=state, limit=limit, cursor=cursor)
        _check_page(page, "deliveries", limit, cursor)
        return cast(DeliveryPage, page)

    def resend(self, name: str, selected: Resend) -> Flow[Resent]:
        return cast(Resent, (yield _api.request("resendEvents", name, body=selected)))

    def webhook_keys(self) -> Flow[WebhookKeys]:
        return cast(WebhookKeys, (yield _api.request("listWebhookKeys")))

    def verify_webhook(
        self, headers: Headers, body: bytes, tolerance: float, format: Any
    ) -> Flow[WebhookDelivery]:
        """By the profile's keys, if it has any. Otherwise by the coordinator's, asked for again if none of them signed."""
        if self.profile.webhook_keys:
            return verify_webhook(headers, body, self.profile.webhook_keys, tolerance=tolerance, format=format)
        known = self._webhook_keys
        if known is not None:
            try:
                return verify_webhook(headers, body, known, tolerance=tolerance, format=format)
            except InvalidWebhook:
                pass
        keys = yield from self._newer_webhook_keys()
        return verify_webhook(headers, body, keys, tolerance=tolerance, format=format)

    def _newer_webhook_keys(self) -> Flow[WebhookKeys]:
        """The coordinator's keys, asked for once a minute at most. Within that minute, its answer or its error again."""
        while self._looks_for_webhook_keys:
            # Another delivery has asked.
            yield Sleep(SHORTLY)
        if time.monotonic() - self._webhook_keys_at < NEW_KEYS:
            if self._webhook_keys_error is not None:
                raise self._webhook_keys_error.with_traceback(None)
            if self._webhook_keys is not None:
                return self._webhook_keys
        self._webhook_keys_at = time.monotonic()
        self._webhook_keys_error = None
        self._looks_for_webhook_keys = True
        try:
            self._webhook_keys = cast(WebhookKeys, (yield _api.published_webhook_keys()))
        except CountersignError as error:
            self._webhook_keys_error = error
            raise
        finally:
            self._looks_for_webhook_keys = False
        return self._webhook_keys

    def result(self, id: str, timeout: float | None, progress: Progress | None) -> Flow[Wallet | Signed | CheckUp]:
        """The verified result of an order of one's own, whoever sent it and whenever."""
        until = time.monotonic() + (WALLET if timeout is None else timeout)
        view = yield from within(until, self._view(id))
        collect = self._own(view).get("collect")
        if collect is not None and timeout is None:
            until += max(collect["until"] / 1000 - time.time(), 0.0)
        return (yield from within(until, self._result(view, until, progress)))

    def _result(self, view: TaskView, until: float, progress: Progress | None) -> Flow[Wallet | Signed | CheckUp]:
        order = _order_in(view)
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
            "collect": _collected(remarks.collect),
            "operation": operation,
        }
        signed = self.key.sign(parts)
        return Order(task=signed["task"], signature=signed["signature"])

    def _carry_out(self, order: Order, until: float, progress: Progress | None) -> Flow[Wallet | Signed | CheckUp]:
        return (yield from within(until, self._carried_out(order, until, progress)))

    def _carried_out(self, order: Order, until: float, progress: Progress | None) -> Flow[Wallet | Signed | CheckUp]:
        view = yield from self._hand_in(order, until)
        view = yield from self._follow(view, until, progress)
        return (yield from self._judge(order, view))

    def _hand_in(self, order: Order, until: float) -> Flow[TaskView]:
        """Once the order may have arrived, submits the same bytes again until it is known whether it did: a second
        order in its place might be carried out twice."""
        id = self._read(order)["id"]
        arrived = False
        while True:
            try:
                return _about(id, (yield _api.submit(order)))
            except (Unreachable, Unavailable) as error:
                arrived = arrived or _may_have_arrived(error)
                if not arrived:
                    raise
                pause = _api.asked_pause(error, AWAY)
            left = until - time.monotonic()
            if left <= 0:
                raise Pending(id)
            yield Sleep(min(pause, max(left, AWAY)))

    def _follow(self, view: TaskView, until: float, progress: Progress | None) -> Flow[TaskView]:
        """Waits until the task ends, through a coordinator that is away for a moment."""
        if progress:
            progress(Task.of_view(view))
        feed = _feed_of(view)
        while not _has_ended(view):
            if time.monotonic() >= until:
                raise Pending(view["id"])
            news = yield from self._next(view, feed, until)
            if progress and news["revision"] != view["revision"]:
                progress(Task.of_view(news))
            view = news
        yield from feed.stop()
        return view

    def _next(self, view: TaskView, feed: Feed, until: float | None) -> Flow[TaskView]:
        """The task after its next change, or as it was after a while. The feed says when to look, and no more; the task is
        asked for instead at the end of the time, and where no stream comes through."""
        id, revision = view["id"], view["revision"]
        left = LONG_POLL if until is None else until - time.monotonic()
        if left >= LONG_POLL and not feed.refused:
            try:
                if not (yield from feed.concerns(id, revision)):
                    return view
            except AnswerError:
                feed.refused = True
                return view
            asked = _api.task(id)
        else:
            yield from feed.stop()
            asked = _api.task(id, max(1, min(int(left), LONG_POLL)), revision)
        try:
            return _about(id, (yield asked))
        except (Unreachable, Unavailable) as error:
            yield Sleep(min(_api.asked_pause(error, AWAY), max(left, 0)))
            return view

    def _judge(self, order: Order, view: TaskView) -> Flow[Wallet | Signed | CheckUp]:
        """The result of an order, verified against the exact bytes that this requester signed."""
        task = self._read(order)
        self._raise_end(view, task["not_after"])
        result = view.get("result")
        if not isinstance(result, dict) or len(result) != 1:
            raise self._nothing()
        ((kind, claim),) = result.items()
        own = {"own": self._known["own"], "order": order, "passkeys": self._pages}
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

    def _raise_end(self, view: TaskView, not_after: int) -> None:
        if view["state"] == "completed":
            return
        types = {"rejected": Rejected, "failed": Failed, "expired": Expired, "cancelled": Cancelled}
        reason = view.get("reason")
        ended = types[view["state"]]
        end = _date(not_after)
        if reason is None:
            raise ended(view["id"], "unknown", "the coordinator gives no reason; see its log", not_after=end)
        message = reason["message"]
        for name, id in self.profile.nodes.items():
            message = message.replace(id, name)
        raise ended(view["id"], reason["code"], message, reason["nodes"], reason.get("plugin"), end)

    def _nothing(self) -> InvalidResult:
        return InvalidResult(
            "invalid-result",
            "the result is not of the kind that was ordered; do not use it, and do not trust this coordinator",
        )

    def _view(self, id: str) -> Flow[TaskView]:
        """A task whose order is verified, and whose summary is of that order."""
        view = cast(TaskView, (yield _api.task(id)))
        _core.call("order.told", {"id": id, "view": view, "passkeys": self._pages})
        return view

    def _read(self, order: Order) -> dict[str, Any]:
        """What was ordered, if its requester signed it; a passkey, on the profile's own pages."""
        signed = {"task": order["task"], "signature": order["signature"]}
        return cast("dict[str, Any]", _core.call("order.read", signed | {"passkeys": self._pages}))

    def _own(self, view: TaskView) -> dict[str, Any]:
        task = self._read(_order_in(view))
        if task["requester"] != self._known["own"]:
            raise UsageError("usage", "the task is another requester's; only its own requester judges its result")
        return task

    def _decode(self, wallet: Wallet, payload: Payload, path: str) -> Decoded:
        decoded = _core.call(
            "payload.decode",
            {"wallet": wallet.descriptor, "path": path, "payload": payload.document(), "chains": self._chains},
        )
        return _decoded(decoded)

    def _entry(self, id: str) -> dict[str, Any] | None:
        return cast("dict[str, Any] | None", _core.call("book.wallet", {"book": self.book.read(), "id": id}))

    def _book_wallets(self) -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", _core.call("book.wallets", {"book": self.book.read()}))

    def _all_told(self) -> Flow[list[KeyDescriptor]]:
        """Every wallet of the coordinator."""
        all: list[KeyDescriptor] = []
        seen: set[str] = set()
        cursor: str | None = None
        for _ in range(PAGES):
            page = yield _api.request("listWallets", limit=PAGE, cursor=cursor)
            _check_page(page, "wallets", PAGE, cursor)
            all += map(_api.descriptor, page["wallets"])
            cursor = page.get("next")
            if cursor is None:
                return all
            if cursor in seen or not page["wallets"]:
                break
            seen.add(cursor)
        raise _endless("wallets")

    def _told(self, id: str) -> Flow[KeyDescriptor]:
        told = _api.descriptor((yield _api.request("showWallet", id)))
        if told["key"] != id:
            raise AnswerError("answer", "the coordinator's answer is about another wallet; check the URL")
        return told

    def _meet(self, id: str) -> Flow[Wallet]:
        """The first sight of a wallet, or of one that has no reason in the book."""
        introduced = yield from self._introduced(id, (yield from self._told(id)))
        return self._record("wallet.meet", {"introduced": introduced, "known": self._known, "now": _now()})

    def _introduced(self, id: str, told: KeyDescriptor) -> Flow[dict[str, Any]]:
        all = [told] if told["generation"] == 0 else (yield from self._generations(id))
        order = yield from self._order_of(all[0]) if all and all[0]["generation"] == 0 else _none()
        return {"id": id, "told": told, "generations": all, "order": order, "passkeys": self._pages}

    def _generations(self, id: str) -> Flow[list[KeyDescriptor]]:
        return cast("list[KeyDescriptor]", (yield _api.request("listGenerations", id))["generations"])

    def _order_of(self, first: KeyDescriptor) -> Flow[Order | None]:
        """The order that created a wallet. A new coordinator has none."""
        try:
            view = yield _api.task(first["task"])
        except NotFound:
            return None
        return Order(task=view["task"], signature=view["signature"])

    def _follow_wallet(self, entry: dict[str, Any], told: KeyDescriptor) -> Flow[Wallet]:
        newer = told["generation"] > entry["wallet"]["generation"]
        all = (yield from self._generations(told["key"])) if newer else []
        return self._record("wallet.follow", {"told": told, "generations": all})

    def _list(self, told: KeyDescriptor, entry: dict[str, Any] | None) -> Flow[Listed]:
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


def _decoded(decoded: dict[str, Any]) -> Decoded:
    inputs = tuple(
        Input(one["path"], bytes.fromhex(one["public_key"]), bytes.fromhex(one["signed_bytes"]))
        for one in decoded["inputs"]
    )
    return Decoded(inputs, decoded["blind"], decoded["intent"], tuple(decoded["lines"]))


def _votes(count: dict[str, Any]) -> Votes:
    return Votes(
        task=count["task"],
        hash=count["hash"],
        needed=count["needed"],
        until=_date(count["until"]),
        approved=count["approved"],
        rejected=count["rejected"],
        votes=tuple(JudgedVote(**one) for one in count["votes"]),
        missing=tuple(count["missing"]),
        told=count["told"],
    )


def _collected(collect: Collect | None) -> dict[str, int] | None:
    return None if collect is None else {"votes": collect.votes, "until": collect.until_ms}


def _order_in(view: Any) -> Order:
    return Order(task=view["task"], signature=view["signature"])


def _date(ms: int) -> datetime:
    return datetime.fromtimestamp(min(ms, LAST) / 1000, timezone.utc)


def _feed_of(view: TaskView) -> Feed:
    return Feed({"wallet": view["wallet"]}, pages=False, expected=True)


def _has_ended(view: TaskView) -> bool:
    """True if nothing more is expected of a task. Nobody here can say how one in an unknown state has ended."""
    ended = _api.has_ended(view)
    if ended and view["state"] not in _api.FINAL:
        raise UnknownState(view["id"], view["state"])
    return ended


def _about(id: str, view: Any) -> TaskView:
    if view["id"] != id:
        raise AnswerError("answer", "the coordinator's answer is about another task; check the URL")
    return cast(TaskView, view)


def _check_page(page: Any, members: str, limit: int, cursor: str | None) -> None:
    """A page has as many entries as were asked for at most, and leads on."""
    if len(page[members]) > limit or (cursor is not None and page.get("next") == cursor):
        raise _endless(members)


def _endless(members: str) -> AnswerError:
    return AnswerError("answer", f"the coordinator's list of {members} leads nowhere; check the URL, and ask its operator")


def _end(timeout: float | None, default: float) -> float:
    """The time by ``time.monotonic`` until which an order of now is waited for."""
    return time.monotonic() + (timeout or default) + REPORT


def _may_have_arrived(error: Unreachable | Unavailable) -> bool:
    return error.sent if isinstance(error, Unreachable) else error.status != 429 and error.code != "too-many-tasks"


def _newest_of(approver: str, votes: Votes) -> int | None:
    """The time of the newest listed vote that this key made, whether it counts or not."""
    made = (judged.vote for judged in votes.votes if judged.finding in ("genuine", "early", "own", "unlisted"))
    return max((vote["time"] for vote in made if vote is not None and vote["approver"] == approver), default=None)


def _vote_may_have_arrived(error: Unreachable | ApiError | AnswerError) -> bool:
    """An answer that cannot be read may have said so. A request that is refused as repeated was taken before."""
    match error:
        case Unreachable():
            return error.sent
        case ApiError():
            return not 400 <= error.status <= 499 or error.code == "request-repeated"
        case AnswerError():
            return True


def _none() -> Flow[None]:
    return
    yield


def _now() -> int:
    return int(time.time() * 1000)

"""The client for programs that wait."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, TypeVar

from ._access import Access, access_of
from ._api import Request, Stream, Transport
from ._flow import Flows, Progress, Remarks
from ._start import started
from ._step import Close, Done, Flow, Open, Read, Sleep, Tell
from .book import FileBook, MemoryBook, WalletBook
from .errors import CountersignError
from .keys import ApproverKey, RequesterKey
from .models import (
    Address,
    CheckUp,
    Collect,
    Decoded,
    Examined,
    Finished,
    Introduction,
    Listed,
    Signed,
    Task,
    Votes,
    Wallet,
)
from .payloads import Payload
from .profile import Profile
from .schema import (
    Delivery,
    DeliveryPage,
    Event,
    NodeView,
    Resend,
    Resent,
    TaskSummary,
    Vote,
    WebhookKeys,
    WebhookSpec,
    WebhookView,
)
from .webhooks import TOLERANCE, Headers, WebhookDelivery

T = TypeVar("T")


def flows_of(
    profile: Profile | str | Path, api_key: str | None, requester_key: RequesterKey | None, book: WalletBook | None
) -> tuple[Flows, Access]:
    """What both clients are made of: the flows, and the proof of who asks."""
    if not isinstance(profile, Profile):
        profile = Profile.load(profile)
    if requester_key is None and profile.requester_key_file is not None:
        requester_key = RequesterKey.load(profile.requester_key_file)
    if book is None:
        book = MemoryBook() if profile.wallet_book is None else FileBook(profile.wallet_book)
    return Flows(profile, requester_key, book), access_of(profile, api_key, requester_key)


class Client:
    """A requester at one coordinator. It trusts neither the coordinator nor the nodes.

    ``profile`` is a file as docs/profile.md describes it, or a :class:`Profile`. Wallets are given by id, or by name in
    the wallet book; nodes by id, or by name in the profile. Times are in seconds. Without an API key, passed or in the
    profile, each request is signed by the requester's key.
    """

    def __init__(
        self,
        profile: Profile | str | Path,
        *,
        api_key: str | None = None,
        requester_key: RequesterKey | None = None,
        book: WalletBook | None = None,
    ) -> None:
        self._flows, access = flows_of(profile, api_key, requester_key, book)
        self._transport = Transport(self._flows.profile.coordinator, access, self._flows.profile.coordinator_ca)

    @property
    def profile(self) -> Profile:
        return self._flows.profile

    @property
    def requester(self) -> str | None:
        """The id of the requester; ``None`` without a requester key, with which one can only read."""
        return self._flows.key.id if self._flows.key else None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def create_wallet(
        self,
        name: str,
        *,
        scheme: str,
        nodes: Sequence[str],
        threshold: int,
        note: str | None = None,
        claims: Mapping[str, str] | None = None,
        collect: Collect | None = None,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> Wallet:
        """Creates a wallet, verifies it, and writes it into the wallet book.

        ``scheme``: ``ecdsa-secp256k1``, ``ed25519``, ``taproot`` or ``schnorr-secp256k1``.
        """
        remarks = Remarks(note, claims, collect)
        return self._run(self._flows.create_wallet(name, scheme, nodes, threshold, remarks, timeout, progress))

    def reshare(
        self,
        wallet: str,
        *,
        nodes: Sequence[str],
        threshold: int,
        dealers: Sequence[str] | None = None,
        note: str | None = None,
        claims: Mapping[str, str] | None = None,
        collect: Collect | None = None,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> Wallet:
        """Hands a wallet over to these nodes. Key and addresses stay."""
        remarks = Remarks(note, claims, collect)
        return self._run(self._flows.reshare(wallet, nodes, threshold, dealers, remarks, timeout, progress))

    def check_up(
        self,
        wallet: str,
        *,
        nodes: Sequence[str] | None = None,
        note: str | None = None,
        collect: Collect | None = None,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> CheckUp:
        """Has nodes, by default all members, prove that they hold their shares. Nothing is signed."""
        return self._run(self._flows.check_up(wallet, nodes, Remarks(note, None, collect), timeout, progress))

    def wallet(self, wallet: str) -> Wallet:
        """A believed wallet: from the wallet book, or, at first sight, if the profile has all its members and its
        requester."""
        return self._run(self._flows.wallet(wallet))

    def newest_wallet(self, wallet: str) -> Wallet:
        """A believed wallet in its newest generation."""
        return self._run(self._flows.newest_wallet(wallet))

    def wallets(self) -> list[Listed]:
        """Every wallet that the coordinator knows or the book has, with this client's opinion."""
        return self._run(self._flows.wallets())

    def introduce(self, id: str) -> Introduction:
        """A wallet for a person to compare with its owners. Nothing is believed or written."""
        return self._run(self._flows.introduce(id))

    def trust(self, id: str, *, fingerprint: str, reason: str) -> Wallet:
        """Believes a wallet on a person's word. ``fingerprint`` is that of what the person compared."""
        return self._run(self._flows.trust(id, fingerprint, reason))

    def address(self, wallet: str, path: str = "m", *, script_root: bytes | None = None) -> Address:
        """The child of a wallet at ``path``, with its addresses."""
        return self._run(self._flows.address(wallet, path, script_root))

    def decode(self, wallet: str, payload: Payload, path: str = "m") -> Decoded:
        """What a payload asks to be signed, and what that does. An error says why nobody signs it."""
        return self._run(self._flows.decode(wallet, payload, path))

    def sign(
        self,
        wallet: str,
        payload: Payload,
        path: str = "m",
        *,
        signers: Sequence[str] | None = None,
        note: str | None = None,
        claims: Mapping[str, str] | None = None,
        collect: Collect | None = None,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> Signed:
        """Has a payload signed, and verifies each signature under the child key derived here.

        The order lives for ``timeout`` seconds, by default 120 and 5 for each further signature; the call ends some seconds
        later, however slowly a coordinator answers. Raises ``Rejected``, ``Failed`` or ``Expired`` if the coordinator tells
        that it ended without a result, and ``Pending`` if it has not ended. It may be signed until its ``not_after`` all
        the same: send no new one before.

        With ``collect``, people have to approve before the nodes are asked: the order lives for its usual time after
        ``collect.until``, and is waited for as long, unless ``timeout`` limits the wait.
        """
        remarks = Remarks(note, claims, collect)
        return self._run(self._flows.sign(wallet, payload, path, signers, remarks, timeout, progress))

    def submit(
        self,
        wallet: str,
        payload: Payload,
        path: str = "m",
        *,
        signers: Sequence[str] | None = None,
        note: str | None = None,
        claims: Mapping[str, str] | None = None,
        collect: Collect | None = None,
        timeout: float | None = None,
    ) -> Task:
        """Orders a signature and does not wait for it. Ask :meth:`result` for it, now or later."""
        remarks = Remarks(note, claims, collect)
        return self._run(self._flows.submit_signature(wallet, payload, path, signers, remarks, timeout))

    def result(
        self, task: str, *, timeout: float | None = None, progress: Progress | None = None
    ) -> Wallet | Signed | CheckUp:
        """The verified result of an order of this requester. Raises ``Pending`` if it has not ended after ``timeout``
        seconds, by default an hour, which begins at the end of the votes if it collects them."""
        return self._run(self._flows.result(task, timeout, progress))

    def follow(self, task: str) -> Iterator[Task]:
        """The task now and after each change of its state, until it has ended. States are the coordinator's word."""
        with closing(self._drive(self._flows.follow(task))) as steps:
            for step in steps:
                if isinstance(step, Tell):
                    yield step.value

    def events(
        self,
        *,
        after: str = "now",
        wallet: str | Sequence[str] = (),
        type: str | Sequence[str] = (),
        patience: float | None = None,
    ) -> Iterator[Event]:
        """Events without end, oldest first, through lost connections and restarts of the coordinator.

        ``after``: the ``cursor`` of the last event that you have; ``now`` for what happens from now on; ``oldest`` for all
        that the coordinator keeps. Keep the cursor, and nothing is missed from one process to the next; ``CursorGone``
        says that it is too old. ``wallet`` and ``type`` select. After ``patience`` seconds without a
        coordinator ``Unreachable`` or ``Unavailable`` is raised; by default only if it was never there. Events are the
        coordinator's word: have a result verified (:meth:`result`) before you act on it.
        """
        flow = self._flows.events(after, _several(wallet), _several(type), patience)
        with closing(self._drive(flow)) as steps:
            for step in steps:
                if isinstance(step, Tell):
                    yield step.value

    def votes(self, task: str) -> Votes | None:
        """The votes on a task, each verified here, and their count; ``None`` if it collects none. Votes by passkey count if
        the profile has ``passkeys``. Names are those of its ``approvers``; without them, the coordinator's word, as is who
        is missing."""
        return self._run(self._flows.votes(task))

    def examine(self, task: str) -> Examined:
        """A task to vote on, for a person to look at. Refuses one that collects no votes or none any more, of a requester
        who is not under ``trusted_requesters`` (if the profile names any), or of a wallet that is not believed."""
        return self._run(self._flows.examine(task))

    def vote(self, examined: Examined, key: ApproverKey, choice: Literal["approve", "reject"]) -> Votes:
        """Votes on exactly what was examined. The latest vote of a person counts."""
        return self._run(self._flows.vote(examined, key, choice))

    def submit_vote(self, examined: Examined, vote: Vote) -> Votes:
        """Hands in a vote that was made elsewhere, such as by a passkey. The same one may be handed in again."""
        return self._run(self._flows.submit_vote(examined, vote))

    def finish(self, signed: Signed, *, transaction: bool = False) -> Finished:
        """The signed payload in the form that its chain takes. ``transaction``: of a PSBT the network transaction,
        which needs everybody's signatures. Everything is decoded and verified again."""
        return self._run(self._flows.finish(signed, transaction))

    def task(self, task: str) -> Task:
        """A task. Its order is verified; everything else is the coordinator's word."""
        return self._run(self._flows.task(task))

    def tasks(self, *, limit: int = 50, cursor: str | None = None) -> tuple[list[TaskSummary], str | None]:
        """A page of tasks as the coordinator tells it, newest first, and ``cursor`` of the next page."""
        return self._run(self._flows.tasks(limit, cursor))

    def nodes(self) -> list[NodeView]:
        """The nodes as the coordinator sees them."""
        return self._run(self._flows.nodes())

    def webhooks(self) -> list[WebhookView]:
        """The receivers of events. All methods for webhooks but ``verify_webhook`` need the scope ``admin``."""
        return self._run(self._flows.webhooks())

    def create_webhook(
        self,
        name: str,
        url: str,
        *,
        types: Sequence[str] | None = None,
        wallets: Sequence[str] | None = None,
        format: Literal["standard", "cobo-v2"] = "standard",
        enabled: bool = True,
    ) -> WebhookView:
        """Creates or replaces a receiver, which gets the events from now on."""
        spec: WebhookSpec = {"url": url, "format": format, "enabled": enabled}
        if types is not None:
            spec["types"] = list(types)
        if wallets is not None:
            spec["wallets"] = [self._flows.id_of(wallet) for wallet in wallets]
        return self._run(self._flows.create_webhook(name, spec))

    def delete_webhook(self, name: str) -> None:
        """Deletes a receiver and the log of its deliveries."""
        self._run(self._flows.delete_webhook(name))

    def test_webhook(self, name: str) -> Delivery:
        """Sends an event of the type ``webhook.test`` to this receiver."""
        return self._run(self._flows.test_webhook(name))

    def deliveries(
        self, name: str, *, state: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> DeliveryPage:
        """A page of the deliveries to a receiver, newest first."""
        return self._run(self._flows.deliveries(name, state, limit, cursor))

    def resend(self, name: str, selected: Resend) -> Resent:
        """Sends events again, with the ids that they had."""
        return self._run(self._flows.resend(name, selected))

    def webhook_keys(self) -> WebhookKeys:
        """The keys that the coordinator says it signs deliveries with. They are as good as the connection to it."""
        return self._run(self._flows.webhook_keys())

    def verify_webhook(
        self,
        headers: Headers,
        body: bytes,
        *,
        tolerance: float = TOLERANCE,
        format: Literal["standard", "cobo-v2"] = "standard",
    ) -> WebhookDelivery:
        """The event of a delivery, as :func:`countersign.verify_webhook`, by the profile's ``webhook_keys``.

        If the profile has none, by the keys that the coordinator tells over this client's connection. A key that is new
        there is found by itself; look for new keys at most once a minute.
        """
        return self._run(self._flows.verify_webhook(headers, body, tolerance, format))

    def _run(self, flow: Flow[T]) -> T:
        with closing(self._drive(flow)) as steps:
            for step in steps:
                if isinstance(step, Done):
                    result: T = step.value
                    return result
        raise AssertionError("a flow ends with its result")

    def _drive(self, flow: Flow[Any]) -> Generator[Tell | Done, None, None]:
        """Performs the steps of a flow; gives what it tells, and its result."""
        stream: Stream | None = None
        flow = started(flow)
        try:
            step = next(flow)
            while True:
                answer: Any = None
                try:
                    match step:
                        case Request():
                            answer = self._transport.perform(step)
                        case Sleep():
                            time.sleep(step.seconds)
                        case Tell():
                            yield step
                        case Read() if stream is not None:
                            answer = stream.read(step.until)
                        case Open() | Close() | Read():
                            if stream is not None:
                                stream.close()
                            stream = self._transport.open(step.request) if isinstance(step, Open) else None
                except CountersignError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            yield Done(end.value)
        finally:
            flow.close()
            if stream is not None:
                stream.close()


def _several(one: str | Sequence[str]) -> Sequence[str]:
    return [one] if isinstance(one, str) else one

"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from ._api import AsyncTransport, TaskSummary
from ._flow import Flow, Flows, Progress, Remarks, Sleep
from .book import WalletBook
from .client import flows_of
from .errors import CountersignError
from .keys import RequesterKey
from .models import Address, CheckUp, Decoded, Finished, Introduction, Listed, Node, Signed, Task, Wallet
from .payloads import Payload
from .profile import Profile

T = TypeVar("T")


class AsyncClient:
    """The same as :class:`countersign.Client`, for asyncio.

    ``profile`` is a file as docs/profile.md describes it, or a :class:`Profile`. Wallets are given by id, or by name in
    the wallet book; nodes by id, or by name in the profile. Times are in seconds.
    """

    def __init__(
        self,
        profile: Profile | str | Path,
        *,
        api_key: str | None = None,
        requester_key: RequesterKey | None = None,
        book: WalletBook | None = None,
    ) -> None:
        self._flows, key = flows_of(profile, api_key, requester_key, book)
        self._transport = AsyncTransport(self._flows.profile.coordinator, key)

    @property
    def profile(self) -> Profile:
        return self._flows.profile

    @property
    def requester(self) -> str | None:
        """The id of the requester; ``None`` without a requester key, with which one can only read."""
        return self._flows.key.id if self._flows.key else None

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._transport.close()

    async def create_wallet(
        self,
        name: str,
        *,
        scheme: str,
        nodes: Sequence[str],
        threshold: int,
        note: str | None = None,
        claims: Mapping[str, str] | None = None,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> Wallet:
        """Creates a wallet, verifies it, and writes it into the wallet book.

        ``scheme``: ``ecdsa-secp256k1``, ``ed25519``, ``taproot`` or ``schnorr-secp256k1``.
        """
        remarks = Remarks(note, claims)
        return await self._run(self._flows.create_wallet(name, scheme, nodes, threshold, remarks, timeout, progress))

    async def reshare(
        self,
        wallet: str,
        *,
        nodes: Sequence[str],
        threshold: int,
        dealers: Sequence[str] | None = None,
        note: str | None = None,
        claims: Mapping[str, str] | None = None,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> Wallet:
        """Hands a wallet over to these nodes. Key and addresses stay."""
        remarks = Remarks(note, claims)
        return await self._run(self._flows.reshare(wallet, nodes, threshold, dealers, remarks, timeout, progress))

    async def check_up(
        self,
        wallet: str,
        *,
        nodes: Sequence[str] | None = None,
        note: str | None = None,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> CheckUp:
        """Has nodes, by default all members, prove that they hold their shares. Nothing is signed."""
        return await self._run(self._flows.check_up(wallet, nodes, Remarks(note), timeout, progress))

    async def wallet(self, wallet: str) -> Wallet:
        """A believed wallet: from the wallet book, or, at first sight, if the profile has all its members and its
        requester."""
        return await self._run(self._flows.wallet(wallet))

    async def newest_wallet(self, wallet: str) -> Wallet:
        """A believed wallet in its newest generation."""
        return await self._run(self._flows.newest_wallet(wallet))

    async def wallets(self) -> list[Listed]:
        """Every wallet that the coordinator knows or the book has, with this client's opinion."""
        return await self._run(self._flows.wallets())

    async def introduce(self, id: str) -> Introduction:
        """A wallet for a person to compare with its owners. Nothing is believed or written."""
        return await self._run(self._flows.introduce(id))

    async def trust(self, id: str, *, fingerprint: str, reason: str) -> Wallet:
        """Believes a wallet on a person's word. ``fingerprint`` is that of what the person compared."""
        return await self._run(self._flows.trust(id, fingerprint, reason))

    async def address(self, wallet: str, path: str = "m", *, script_root: bytes | None = None) -> Address:
        """The child of a wallet at ``path``, with its addresses."""
        return await self._run(self._flows.address(wallet, path, script_root))

    async def decode(self, wallet: str, payload: Payload, path: str = "m") -> Decoded:
        """What a payload asks to be signed, and what that does. An error says why nobody signs it."""
        return await self._run(self._flows.decode(wallet, payload, path))

    async def sign(
        self,
        wallet: str,
        payload: Payload,
        path: str = "m",
        *,
        signers: Sequence[str] | None = None,
        note: str | None = None,
        claims: Mapping[str, str] | None = None,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> Signed:
        """Has a payload signed, and verifies each signature under the child key derived here.

        The order lives for ``timeout`` seconds, by default 120 and 5 for each further signature. Raises ``Rejected``,
        ``Failed`` or ``Expired`` if it ends without a result, and ``Pending`` if it has not ended.
        """
        remarks = Remarks(note, claims)
        return await self._run(self._flows.sign(wallet, payload, path, signers, remarks, timeout, progress))

    async def submit(
        self,
        wallet: str,
        payload: Payload,
        path: str = "m",
        *,
        signers: Sequence[str] | None = None,
        note: str | None = None,
        claims: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Task:
        """Orders a signature and does not wait for it. Ask :meth:`result` for it, now or later."""
        remarks = Remarks(note, claims)
        return await self._run(self._flows.submit_signature(wallet, payload, path, signers, remarks, timeout))

    async def result(
        self, task: str, *, timeout: float | None = None, progress: Progress | None = None
    ) -> Wallet | Signed | CheckUp:
        """The verified result of an order of this requester. Raises ``Pending`` if it has not ended after ``timeout``
        seconds, by default an hour."""
        return await self._run(self._flows.result(task, timeout, progress))

    async def follow(self, task: str) -> AsyncIterator[Task]:
        """The task now and after each change, until it has ended. States are the coordinator's word."""
        seen = await self.task(task)
        yield seen
        while not seen.is_final:
            news = await self._run(self._flows.next(seen))
            if news.revision != seen.revision:
                yield news
            seen = news

    async def finish(self, signed: Signed, *, transaction: bool = False) -> Finished:
        """The signed payload in the form that its chain takes. ``transaction``: of a PSBT the network transaction,
        which needs everybody's signatures. Everything is decoded and verified again."""
        return await self._run(self._flows.finish(signed, transaction))

    async def task(self, task: str) -> Task:
        """A task. Its order is verified; everything else is the coordinator's word."""
        return await self._run(self._flows.task(task))

    async def tasks(self, *, limit: int = 50, before: int | None = None) -> tuple[list[TaskSummary], int | None]:
        """A page of tasks as the coordinator tells it, newest first, and ``before`` of the next page."""
        return await self._run(self._flows.tasks(limit, before))

    async def nodes(self) -> list[Node]:
        """The nodes as the coordinator sees them."""
        return await self._run(self._flows.nodes())

    async def _run(self, flow: Flow[T]) -> T:
        try:
            step = next(flow)
            while True:
                try:
                    answer = None
                    if isinstance(step, Sleep):
                        await asyncio.sleep(step.seconds)
                    else:
                        answer = await self._transport.perform(step)
                except CountersignError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

"""What this package takes and returns. Everything returned is verified, except ``Task``, refused wallets, and names."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from . import _core
from ._api import STATES, has_ended
from .errors import CountersignError, UsageError
from .schema import Collecting, KeyDescriptor, Submission, TaskView
from .schema import Signed as SignedDocument
from .schema import Vote as VoteDocument


@dataclass(frozen=True)
class Wallet:
    """A wallet in one generation."""

    id: str
    name: str
    scheme: str
    #: The nodes that hold it, by id.
    nodes: tuple[str, ...]
    #: The number of nodes that must sign.
    threshold: int
    #: 0 for a new wallet, plus one for each reshare. Keys and addresses stay.
    generation: int
    #: 33 bytes compressed on secp256k1, 32 bytes on Ed25519.
    root_public_key: bytes
    #: The key descriptor with the acknowledgements of its holders.
    descriptor: KeyDescriptor

    @classmethod
    def of_descriptor(cls, descriptor: KeyDescriptor) -> Wallet:
        return cls(
            id=descriptor["key"],
            name=descriptor["name"],
            scheme=descriptor["scheme"],
            nodes=tuple(descriptor["committee"]),
            threshold=descriptor["threshold"],
            generation=descriptor["generation"],
            root_public_key=bytes.fromhex(descriptor["root_public_key"]),
            descriptor=descriptor,
        )

    def extended_public_key(self) -> str:
        """``xpub…`` (BIP-32) for secp256k1, ``cpub…`` for Ed25519."""
        return str(_core.call("wallet.root_key", {"wallet": self.descriptor}))


@dataclass(frozen=True)
class Address:
    """A child of a wallet, with its addresses."""

    path: str
    public_key: bytes
    #: By kind: ``evm``, ``bitcoin-p2wpkh``, ``bitcoin-p2sh``, ``bitcoin-p2pkh``, ``bitcoin-p2tr``, ``solana``.
    addresses: dict[str, str]


@dataclass(frozen=True)
class Input:
    """A signature that a payload asks for."""

    path: str
    #: The key under which it verifies.
    public_key: bytes
    signed_bytes: bytes


@dataclass(frozen=True)
class Decoded:
    """What a payload asks to be signed, and what that does, as decoded here. Nothing of it is anybody's claim."""

    inputs: tuple[Input, ...]
    #: True if nobody can tell what is signed.
    blind: bool
    intent: Any
    #: The same for people, line by line.
    lines: tuple[str, ...]


@dataclass(frozen=True)
class InputSignature:
    """A verified signature."""

    path: str
    #: The derived child; for ``taproot`` the x-only output key.
    public_key: bytes
    signed_bytes: bytes
    #: ECDSA: r and s, 64 bytes, low s. Ed25519 and BIP-340: 64 bytes. RFC 9591 on secp256k1: 65 bytes.
    signature: bytes
    #: ECDSA only: 0 or 1.
    recovery_id: int | None


@dataclass(frozen=True)
class Signed:
    """All signatures of one order, each verified under the child key derived here."""

    task: str
    wallet: str
    scheme: str
    signatures: tuple[InputSignature, ...]
    #: As the coordinator reported it, verified.
    document: SignedDocument

    @property
    def signature(self) -> bytes:
        """The only signature of an order for one."""
        (one,) = self.signatures
        return one.signature


@dataclass(frozen=True)
class Finished:
    """A signed payload in the form that its chain takes."""

    content: bytes
    #: Number of signatures of others that are still missing.
    missing: int


@dataclass(frozen=True)
class CheckUp:
    """Every node that was asked has proved that it holds its share."""

    task: str
    wallet: Wallet
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """A task as the coordinator reports it. Its order is verified; state, decisions and history are its word."""

    id: str
    #: ``pending`` (people have to approve first), ``waiting``, ``approving``, ``running``, ``completed``, ``rejected``, ``failed``, ``expired`` or ``cancelled``;
    #: ``unknown`` for a word of a later version, which stands in ``view``: neither a success nor a failure.
    state: str
    #: ``KeyGen``, ``KeySign``, ``KeyReshare`` or ``KeyShareSign``.
    operation: str
    requester: str
    wallet: str
    revision: int
    view: TaskView

    @classmethod
    def of_view(cls, view: TaskView) -> Task:
        return cls(
            id=view["id"],
            state=view["state"] if view["state"] in STATES else "unknown",
            operation=view["operation"],
            requester=view["requester"],
            wallet=view["wallet"],
            revision=view["revision"],
            view=view,
        )

    @property
    def is_final(self) -> bool:
        """True if nothing more is expected."""
        return has_ended(self.view)


@dataclass(frozen=True)
class Collect:
    """Approvals by people that are collected before the nodes are asked. How many are enough, and whose, each node decides
    by its own rules."""

    #: The number of people who have to approve.
    votes: int
    #: The order expires if too few have approved by then. A time with a zone, or milliseconds since 1970.
    until: datetime | int

    @property
    def until_ms(self) -> int:
        """The end in milliseconds since 1970."""
        if not isinstance(self.until, datetime):
            return self.until
        if self.until.tzinfo is None:
            raise UsageError("usage", "`until` has no time zone; give such as datetime.now(timezone.utc) + timedelta(hours=24)")
        return int(self.until.timestamp() * 1000)


@dataclass(frozen=True)
class JudgedVote:
    """A vote with what was found out about it."""

    #: The approver's name in the profile; if that lists nobody, as the coordinator tells it. Absent if the vote cannot be
    #: read, or its key is nobody's in the profile.
    name: str | None
    #: ``genuine``: it proves itself, and counts. ``passkey``: made by one, and the profile names no pages that may collect
    #: such votes, so it can neither be believed nor be called forged. ``early``: an approval made in the future. ``own``:
    #: an approval by whoever ordered the task, whom nodes do not count unless a rule says so. ``unlisted``: of a key that
    #: nobody has of those whom the profile lists. ``forged``: forged, or for another task. ``unreadable``: of a later
    #: version.
    finding: str
    #: Why it does not count, for people.
    problem: str | None
    #: The vote; absent if it cannot be read.
    vote: VoteDocument | None

    @property
    def is_genuine(self) -> bool:
        return self.finding == "genuine"


@dataclass(frozen=True)
class Votes:
    """The votes on a task, counted here: the latest genuine vote of each person, by the profile's ``approvers``, or of each
    key, if the profile lists nobody."""

    task: str
    #: The hash of the task's exact bytes, which every vote on it names.
    hash: str
    #: The number of people who have to approve, by the order.
    needed: int
    until: datetime
    approved: int
    rejected: int
    #: In the order of arrival.
    votes: tuple[JudgedVote, ...]
    #: Names of those who have not voted, by the coordinator's word.
    missing: tuple[str, ...]
    #: The coordinator's own count.
    told: Collecting | None


@dataclass(frozen=True)
class Examined:
    """A task to vote on: its wallet is believed, what it signs is decoded, and it collects votes. Its requester has signed
    it, and is a trusted one if the profile names any: without ``trusted_requesters`` anybody may have ordered it."""

    task: str
    #: The hash of its exact bytes, which a vote signs.
    hash: str
    requester: str
    needed: int
    until: datetime
    #: The order as its requester signed it.
    ordered: dict[str, Any]
    #: The wallet that it uses; absent if it makes one.
    wallet: Wallet | None
    #: The effect of what it signs; absent if it signs nothing.
    decoded: Decoded | None
    order: Submission = field(repr=False)


class Standing(Enum):
    """This client's opinion of a wallet in a list."""

    #: In the book, and the coordinator reports the same.
    BELIEVED = "believed"
    #: In the book, but unknown to the coordinator.
    UNTOLD = "untold"
    #: Not in the book, but what the profile describes: it is believed as soon as its id is used.
    NEW = "new"
    #: Not to be used, for the reason in ``error``.
    REFUSED = "refused"


@dataclass(frozen=True)
class Listed:
    """A wallet in a list."""

    wallet: Wallet
    standing: Standing
    error: CountersignError | None = None


@dataclass(frozen=True)
class Introduction:
    """A wallet for a person to compare with its owners. Nothing of it is believed."""

    wallet: Wallet
    lines: tuple[str, ...]
    doubts: tuple[str, ...]
    #: Covers everything in ``lines``.
    fingerprint: str

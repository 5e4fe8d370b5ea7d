"""The profile: the coordinator, the keys, and the names of nodes and requesters (docs/profile.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import _core, _files
from .errors import UsageError


@dataclass(frozen=True)
class Passkeys:
    """The pages that may collect votes of passkeys, as the nodes have them in quorum.yaml."""

    #: The domain to which the passkeys are bound.
    rp_id: str
    #: The origins of the pages themselves, such as ``https://console.treasury.example``.
    origins: tuple[str, ...]


@dataclass(frozen=True)
class Profile:
    """A requester's settings.

    ``nodes`` and ``trusted_requesters`` decide which wallets are believed. Take each id from the operator or
    requester that it belongs to, through another channel, and never from a coordinator.
    """

    coordinator: str
    #: Names of your own for nodes, each with its id (``csn1…``).
    nodes: Mapping[str, str]
    #: Names of other requesters whose wallets you use (``csr1…``). Your own key needs no entry.
    trusted_requesters: Mapping[str, str] = field(default_factory=dict)
    #: ``mainnet``, ``testnet``, ``testnet4``, ``signet``, ``regtest``, or a CAIP-2 id.
    bitcoin: str = "mainnet"
    #: ``mainnet``, ``devnet``, ``testnet``, or a CAIP-2 id.
    solana: str = "mainnet"
    #: The coordinator's id (``csc1…``), from its operator. Requests are signed for it if there is no API key.
    coordinator_id: str | None = None
    api_key_file: Path | None = None
    requester_key_file: Path | None = None
    wallet_book: Path | None = None
    #: Certificates in PEM: the coordinator's own or its issuer's, and no others are believed.
    coordinator_ca: Path | None = None
    #: Keys (``whpk_…``) of the coordinator's webhooks, from its operator. Empty: those that the coordinator tells.
    webhook_keys: tuple[str, ...] = ()
    #: File with the key of an approver, mode 0600.
    approver_key_file: Path | None = None
    #: Absent: votes of passkeys are shown, and not counted.
    passkeys: Passkeys | None = None
    #: People who vote, each with the ids of her keys (``csv1…``), from herself. Only votes of these keys count then. Absent:
    #: who has which key is the coordinator's word.
    approvers: Mapping[str, tuple[str, ...]] | None = None

    @classmethod
    def load(cls, path: str | Path) -> Profile:
        """Reads a profile. One that others can write is refused, since it says who is trusted."""
        path = Path(path).absolute()
        text = _files.read_own(path, "write a profile as docs/profile.md shows, for you alone")
        read: dict[str, Any] = _core.call("profile.read", {"text": text})
        base = path.parent

        def place(name: str) -> Path | None:
            return None if read.get(name) is None else base / read[name]

        return cls(
            coordinator=read["coordinator"],
            nodes=read["nodes"],
            trusted_requesters=read["trusted_requesters"],
            bitcoin=read["chains"]["bitcoin"],
            solana=read["chains"]["solana"],
            coordinator_id=read.get("coordinator_id"),
            api_key_file=place("api_key_file"),
            requester_key_file=place("requester_key_file"),
            wallet_book=place("wallet_book"),
            coordinator_ca=place("coordinator_ca"),
            webhook_keys=tuple(read["webhook_keys"]),
            approver_key_file=place("approver_key_file"),
            passkeys=_passkeys(read.get("passkeys")),
            approvers=_approvers(read.get("approvers")),
        )

    def node(self, text: str) -> str:
        """The id of the node with this name, or with this id."""
        if text in self.nodes:
            return self.nodes[text]
        if text.startswith("csn1"):
            return text
        raise UsageError(
            "usage",
            f"`{text}` is neither a node id nor a name under `nodes` in the profile; write the id (csn1…), or add the "
            "name there with the id that the node's operator gave you",
        )

    def name_of(self, node: str) -> str:
        """Your name for a node, or its id."""
        return next((name for name, id in self.nodes.items() if id == node), node)

    def known(self, own: str | None) -> dict[str, Any]:
        """What the rules compare wallets with."""
        return {"nodes": dict(self.nodes), "trusted_requesters": dict(self.trusted_requesters), "own": own}

    def chains(self) -> dict[str, str]:
        """The networks of chains whose transactions do not name theirs."""
        return {"bitcoin": self.bitcoin, "solana": self.solana}

    def people(self) -> dict[str, list[str]] | None:
        """The people who vote, as the rules read them."""
        return None if self.approvers is None else {name: list(keys) for name, keys in self.approvers.items()}

    def pages(self) -> dict[str, Any] | None:
        """The pages that may collect votes of passkeys, as the rules read them."""
        pages = self.passkeys
        return None if pages is None else {"rp_id": pages.rp_id, "origins": list(pages.origins)}


def _passkeys(read: dict[str, Any] | None) -> Passkeys | None:
    return None if read is None else Passkeys(read["rp_id"], tuple(read["origins"]))


def _approvers(read: dict[str, list[str]] | None) -> dict[str, tuple[str, ...]] | None:
    return None if read is None else {name: tuple(keys) for name, keys in read.items()}

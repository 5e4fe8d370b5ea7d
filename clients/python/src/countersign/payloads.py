"""Payloads: what is to be signed (docs/payloads.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import _core
from .errors import UsageError


@dataclass(frozen=True)
class Payload:
    """A kind and the bytes of it. Use the constructors below."""

    kind: str
    content: bytes
    #: The bytes that the requester expects to be signed, one for each signature. Nodes refuse if the payload gives others.
    digests: tuple[bytes, ...] = ()

    @classmethod
    def message(cls, message: str | bytes) -> Payload:
        """A text, or bytes that are not a transaction."""
        return cls._read("message", message)

    @classmethod
    def evm_transaction(cls, unsigned: bytes | str) -> Payload:
        """An unsigned Ethereum transaction as it is hashed; text is hexadecimal."""
        return cls._read("evm-transaction", _from_hex(unsigned))

    @classmethod
    def eip191(cls, message: str | bytes) -> Payload:
        """An Ethereum personal message (``personal_sign``), without prefix.

        Wallets take a text that begins with 0x for bytes, so such a text is refused here: give the bytes.
        """
        if isinstance(message, str) and message.startswith("0x") and _is_hex(message[2:]):
            raise UsageError("usage", "wallets take such a text for bytes; give the bytes, or the text's own as bytes")
        return cls._read("eip191", message)

    @classmethod
    def eip712(cls, document: Mapping[str, Any] | str) -> Payload:
        """Typed data (``eth_signTypedData_v4``): the document, or its JSON."""
        text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False, allow_nan=False)
        return cls._read("eip712", text)

    @classmethod
    def eip7702(cls, authorization: bytes | str) -> Payload:
        """An authorisation of EIP-7702, which hands the account to a contract; text is hexadecimal."""
        return cls._read("eip7702", _from_hex(authorization))

    @classmethod
    def psbt(cls, psbt: bytes | str) -> Payload:
        """A Bitcoin transaction, version 0 or 2: its bytes, or text in Base64 or hexadecimal. It names the paths."""
        return cls._read("psbt", psbt)

    @classmethod
    def bitcoin_message(cls, message: str, address: str) -> Payload:
        """A text signed for a Bitcoin address of the child at the order's path (BIP-322)."""
        return cls._read("bitcoin-message", json.dumps({"message": message, "address": address}, ensure_ascii=False))

    @classmethod
    def solana(cls, message: bytes | str) -> Payload:
        """A Solana message, or a transaction without signatures: bytes, or text in Base64, Base58 or hexadecimal."""
        return cls._read("solana-message", message)

    @classmethod
    def digest(cls, digest: bytes) -> Payload:
        """A 32-byte hash, signed blindly. Nodes refuse it unless their operators allow it for the wallet."""
        return cls._read("digest", digest)

    def expecting(self, digests: Sequence[bytes]) -> Payload:
        """The same payload with the digests that are expected to be signed."""
        return Payload(self.kind, self.content, tuple(digests))

    @classmethod
    def _read(cls, kind: str, given: str | bytes) -> Payload:
        try:
            content = given.encode() if isinstance(given, str) else given
        except UnicodeEncodeError as error:
            raise UsageError("usage", f"this is not text ({error}); give the bytes") from None
        read = _core.call("payload.read", {"kind": kind, "given": content.hex()})
        return cls(read["kind"], bytes.fromhex(read["bytes"]))

    def document(self) -> dict[str, Any]:
        """As it stands in a task."""
        plain: dict[str, Any] = {"kind": self.kind, "bytes": self.content.hex()}
        return plain | {"digests": [digest.hex() for digest in self.digests]} if self.digests else plain

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Payload:
        """Of a task."""
        digests = tuple(bytes.fromhex(digest) for digest in document.get("digests", ()))
        return cls(document["kind"], bytes.fromhex(document["bytes"]), digests)


def _from_hex(given: bytes | str) -> bytes:
    if isinstance(given, bytes):
        return given
    digits = given.removeprefix("0x")
    if not _is_hex(digits):
        raise UsageError("usage", "this is not hexadecimal text; give two digits for each byte")
    return bytes.fromhex(digits)


def _is_hex(text: str) -> bool:
    return len(text) % 2 == 0 and all(digit in "0123456789abcdefABCDEF" for digit in text)

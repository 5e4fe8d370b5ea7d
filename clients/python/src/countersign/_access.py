"""How a client proves to a coordinator who it is: by an API key, or by a signature of each request."""

from __future__ import annotations

import re
import secrets
import time
from typing import Protocol

from . import _files
from .errors import UsageError
from .keys import RequesterKey
from .profile import Profile


class Access(Protocol):
    """The proof that a request is this client's."""

    def headers(self, method: str, target: str, body: bytes) -> dict[str, str]:
        """The headers to add to a request. ``target``: path and query as they are sent."""


class ApiKey:
    """A bearer secret. It does not show."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        # Errors of the library below would show it.
        if re.fullmatch("[!-~]+", text) is None:
            raise UsageError("usage", "the API key has characters that no header can hold; write it to its file again")
        self._text = text

    def headers(self, method: str, target: str, body: bytes) -> dict[str, str]:
        return {"authorization": f"Bearer {self._text}"}


class Signed:
    """A signature of each request by the requester's key, for one coordinator."""

    __slots__ = ("_coordinator", "_key")

    def __init__(self, key: RequesterKey, coordinator: str) -> None:
        self._key = key
        self._coordinator = coordinator

    def headers(self, method: str, target: str, body: bytes) -> dict[str, str]:
        """Every call has a new nonce and the time of now, so a request that is sent again is signed again."""
        path, _, query = target.partition("?")
        parts = {
            "coordinator": self._coordinator,
            "method": method,
            "path": path,
            "query": query,
            "body": body.decode(),
            "time": int(time.time() * 1000),
            "nonce": secrets.token_hex(16),
        }
        return self._key.sign_request(parts)


def access_of(profile: Profile, api_key: str | None, requester_key: RequesterKey | None) -> Access:
    """By the API key that is passed or that the profile names, otherwise by the requester's key."""
    if api_key is not None:
        return ApiKey(api_key)
    if profile.api_key_file is not None:
        advice = "make one with `countersign api-key create --out`, or write the one that you were given there, mode 600"
        return ApiKey(_files.read_secret(profile.api_key_file, advice).strip())
    if requester_key is None:
        raise UsageError(
            "usage",
            "there is no key that the coordinator knows; name `requester_key_file` in the profile, or `api_key_file` to "
            "read only, or pass one",
        )
    if profile.coordinator_id is None:
        raise UsageError(
            "usage",
            "the profile does not say which coordinator requests are signed for; add its `coordinator_id` (csc1…), which "
            "its operator has from `countersign-coordinator init`, or name an `api_key_file`",
        )
    return Signed(requester_key, profile.coordinator_id)

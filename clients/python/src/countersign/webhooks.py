"""Deliveries of webhooks, verified.

A delivery is worth what its key is worth. Keys that the coordinator's operator gave you, by another channel, stand for
that operator's coordinator whatever happens to the network. Keys that were fetched from the coordinator are its word:
they are as good as the TLS certificate under which they were fetched. Either way an event is the coordinator's word, so
fetch a result and have it verified before you act on it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from . import _core
from .errors import InvalidWebhook, UsageError
from .schema import Event, WebhookKey, WebhookKeys

#: Default tolerance in seconds, as Standard Webhooks has it.
TOLERANCE = 300.0
#: Size limit of a body in bytes.
MAX_BODY = 1 << 20

#: ``whpk_…``, the 32 bytes, a JSON Web Key, or a set of them.
Key = str | bytes | WebhookKey | WebhookKeys | Mapping[str, Any]
#: Names with values, several if the header is there several times; or pairs in their order.
Headers = Mapping[str, Any] | Iterable[tuple[Any, Any]]


@dataclass(frozen=True)
class WebhookDelivery:
    """A delivery that a known key signed."""

    event: Event
    #: The key that signed, as ``whpk_…``.
    key: str
    #: Its id, if it was given with one.
    kid: str | None

    @property
    def id(self) -> str:
        """The event's id: the same however often and by whatever way it is delivered. Remember it."""
        return self.event["id"]


def verify_webhook(
    headers: Headers,
    body: bytes,
    keys: Key | Sequence[Key],
    *,
    tolerance: float = TOLERANCE,
    format: Literal["standard", "cobo-v2"] = "standard",
    now: float | None = None,
) -> WebhookDelivery:
    """The event of a delivery, if one of the keys signed exactly this body less than ``tolerance`` seconds ago.

    Give the body as it arrived, before anything parses it, and all headers. Several keys may be valid at a time: while
    a key is replaced, deliveries carry a signature of each. Raises :class:`InvalidWebhook`; answer 400 then.
    """
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise UsageError("usage", "the body is not bytes; give it as it arrived, before anything parses it")
    if len(body) > MAX_BODY:
        raise InvalidWebhook("invalid-webhook", f"the body is longer than {MAX_BODY} bytes; answer 400")
    several = keys if isinstance(keys, Sequence) and not isinstance(keys, (str, bytes)) else [keys]
    verified = _core.call(
        "webhook.verify",
        {
            "headers": list(_pairs(headers)),
            "body": bytes(body).hex(),
            "keys": [_key(key) for key in several],
            "format": format,
            "now": int((time.time() if now is None else now) * 1000),
            "tolerance_ms": int(tolerance * 1000),
        },
    )
    return WebhookDelivery(cast(Event, verified["event"]), verified["key"], verified["kid"])


def _key(key: Any) -> Any:
    return "whpk_" + base64.b64encode(key).decode() if isinstance(key, bytes) else key


def _pairs(headers: Any) -> Iterable[tuple[str, str]]:
    """Every header as often as it is there. ``items`` of most servers' headers says so itself."""
    for name, value in headers.items() if hasattr(headers, "items") else headers:
        for one in value if isinstance(value, (list, tuple)) else [value]:
            yield _text(name), _text(one)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)

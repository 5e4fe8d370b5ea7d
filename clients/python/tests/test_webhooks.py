"""Deliveries of webhooks, signed by another library, and the ways in which they must not be believed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from stream import Feed, event, problem
from test_forgeries import profile

from countersign import (
    AsyncClient,
    Client,
    FileError,
    InvalidWebhook,
    Profile,
    Unauthorized,
    Unavailable,
    UsageError,
    WebhookDelivery,
    verify_webhook,
)

NOW = 1_800_000_000
KEY = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(bytes([2]) * 32)
EVENT = event(7, "task.completed", task={"id": "00" * 16, "state": "completed"})
# Spaces and order are the sender's, and signed as they are.
BODY = json.dumps(EVENT, indent=1).encode()

Headers = list[tuple[str, str]]
Change = Callable[[dict[str, str]], Any]


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def whpk(key: Ed25519PrivateKey) -> str:
    return "whpk_" + base64.b64encode(public(key)).decode()


def jwk(key: Ed25519PrivateKey, kid: str) -> dict[str, Any]:
    x = base64.urlsafe_b64encode(public(key)).decode().rstrip("=")
    told = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x}
    return told | {"whpk": whpk(key), "created": 1}


def standard(*keys: Ed25519PrivateKey, body: bytes = BODY, at: int = NOW, id: str = EVENT["id"]) -> dict[str, str]:
    signed = f"{id}.{at}.".encode() + body
    signatures = " ".join("v1a," + base64.b64encode(key.sign(signed)).decode() for key in keys)
    return {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": signatures}


def cobo(key: Ed25519PrivateKey, body: bytes = BODY, at: int = NOW * 1000) -> dict[str, str]:
    digest = hashlib.sha256(hashlib.sha256(body + f"|{at}".encode()).digest()).digest()
    return {"BIZ_TIMESTAMP": str(at), "BIZ_RESP_SIGNATURE": key.sign(digest).hex()}


def verify(headers: Any, keys: Any = None, body: bytes = BODY, **options: Any) -> WebhookDelivery:
    return verify_webhook(headers, body, whpk(KEY) if keys is None else keys, now=NOW, **options)


def test_a_delivery_is_its_event_and_its_key_in_every_form() -> None:
    forms = [whpk(KEY), public(KEY), jwk(KEY, "k1"), {"keys": [jwk(OTHER, "k0"), jwk(KEY, "k1")]}, [whpk(OTHER), public(KEY)]]
    for keys in forms:
        delivery = verify(standard(KEY), keys)
        assert (delivery.id, delivery.event, delivery.key) == (EVENT["id"], EVENT, whpk(KEY))
        assert delivery.kid == ("k1" if isinstance(keys, dict) else None)


def test_headers_are_taken_as_servers_have_them() -> None:
    plain = standard(KEY)
    message = Message()
    for name, value in plain.items():
        message[name.upper()] = value
    several = {name: [value] for name, value in plain.items()}
    raw = [(name.encode(), value.encode()) for name, value in plain.items()]
    for headers in [message, httpx.Headers(plain), several, raw, list(plain.items()) + [("host", "a"), ("host", "b")]]:
        assert verify(headers).id == EVENT["id"]
    under_cgi = {name.replace("_", "-"): value for name, value in cobo(KEY).items()}
    assert verify(under_cgi, format="cobo-v2").event == EVENT


def test_while_a_key_is_replaced_both_receivers_believe() -> None:
    both = standard(OTHER, KEY)
    assert verify(both, whpk(KEY)).key == whpk(KEY)
    assert verify(both, whpk(OTHER)).key == whpk(OTHER)
    assert verify(both, {"keys": [jwk(OTHER, "new"), jwk(KEY, "old")]}).kid == "new"
    # Signatures of other kinds beside it are not ours to judge.
    both["webhook-signature"] = "v1,AAAA v2,AAAA " + both["webhook-signature"]
    assert verify(both).id == EVENT["id"]


def test_a_delivery_in_cobos_form_is_believed() -> None:
    delivery = verify(cobo(KEY), {"keys": [jwk(KEY, "k1")]}, format="cobo-v2")
    assert (delivery.id, delivery.kid) == (EVENT["id"], "k1")


def hmac_signed() -> dict[str, str]:
    """Signed as `v1` with the public key as the secret, which everybody has."""
    made = standard(KEY)
    signed = f"{made['webhook-id']}.{made['webhook-timestamp']}.".encode() + BODY
    mac = base64.b64encode(hmac.new(public(KEY), signed, "sha256").digest()).decode()
    return made | {"webhook-signature": f"v1,{mac}"}


def changed(name: str, change: Callable[[str], str]) -> dict[str, str]:
    made = standard(KEY)
    return made | {name: change(made[name])}


def without(made: dict[str, str], name: str) -> dict[str, str]:
    return {known: value for known, value in made.items() if known != name}


def twice(made: dict[str, str], name: str, other: str | None = None) -> Headers:
    return [*made.items(), (name.title(), made[name] if other is None else other)]


REFUSED: dict[str, Any] = {
    "by_another_key": standard(OTHER),
    "no_signature": changed("webhook-signature", lambda _: ""),
    "no_header_id": without(standard(KEY), "webhook-id"),
    "no_header_timestamp": without(standard(KEY), "webhook-timestamp"),
    "no_header_signature": without(standard(KEY), "webhook-signature"),
    "no_headers": {},
    "another_id": changed("webhook-id", lambda id: id[:-1] + "8"),
    "an_id_that_is_signed_but_not_the_events": standard(KEY, id="evt_other"),
    "another_time": changed("webhook-timestamp", lambda at: str(int(at) + 1)),
    "an_old_time": standard(KEY, at=NOW - 301),
    "a_time_to_come": standard(KEY, at=NOW + 301),
    "a_time_with_a_sign": changed("webhook-timestamp", lambda at: "+" + at),
    "a_time_with_blanks": changed("webhook-timestamp", lambda at: at + " "),
    "a_time_that_is_no_number": changed("webhook-timestamp", lambda _: "now"),
    "a_time_without_digits": changed("webhook-timestamp", lambda _: ""),
    "a_time_beyond_all_numbers": changed("webhook-timestamp", lambda _: "9" * 30),
    "a_truncated_signature": changed("webhook-signature", lambda text: text[:-8]),
    "a_signature_of_63_bytes": changed(
        "webhook-signature", lambda text: "v1a," + base64.b64encode(base64.b64decode(text[4:])[:63]).decode()
    ),
    "another_byte_of_the_signature": changed("webhook-signature", lambda text: text[:10] + ("B" if text[10] == "A" else "A") + text[11:]),
    "a_signature_of_another_algorithm": hmac_signed(),
    "our_signature_under_the_name_of_another_algorithm": changed("webhook-signature", lambda text: "v1" + text[3:]),
    "a_signature_without_its_version": changed("webhook-signature", lambda text: text[4:]),
    "two_signatures_that_a_server_joined_by_a_comma": changed("webhook-signature", lambda text: f"{text}, {text}"),
    "a_good_signature_beside_a_broken_one": changed("webhook-signature", lambda text: f"v1a,AAAA {text}"),
    "too_many_signatures": changed("webhook-signature", lambda text: " ".join([text] * 9)),
    "an_endless_signature": changed("webhook-signature", lambda text: " ".join([text] * 1000)),
    "two_ids": twice(standard(KEY), "webhook-id"),
    "two_times": twice(standard(KEY), "webhook-timestamp", str(NOW)),
    "two_signature_headers": twice(standard(KEY), "webhook-signature", standard(OTHER)["webhook-signature"]),
    "two_ids_in_one_list": {name: [value, value] for name, value in standard(KEY).items()},
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_delivery_is_refused(name: str) -> None:
    with pytest.raises(InvalidWebhook) as refused:
        verify(REFUSED[name])
    assert refused.value.code == "invalid-webhook" and "answer 400" in refused.value.message


@pytest.mark.parametrize(
    "body", [BODY + b" ", BODY[:-1], BODY.replace(b"completed", b"rejected_", 1), b"", b"x" * ((1 << 20) + 1)], ids=len
)
def test_an_altered_body_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidWebhook):
        verify(standard(KEY), body=body)
    with pytest.raises(InvalidWebhook):
        verify(cobo(KEY), body=body, format="cobo-v2")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b'{"id": "evt"}', b"[" * 5000, b"\xff"], ids=str)
def test_a_signed_body_that_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidWebhook):
        verify(standard(KEY, body=body), body=body)


COBO_REFUSED: dict[str, Any] = {
    "by_another_key": cobo(OTHER),
    "no_time": without(cobo(KEY), "BIZ_TIMESTAMP"),
    "no_signature": without(cobo(KEY), "BIZ_RESP_SIGNATURE"),
    "another_time": cobo(KEY) | {"BIZ_TIMESTAMP": str(NOW * 1000 + 1)},
    "an_old_time": cobo(KEY, at=(NOW - 301) * 1000),
    "seconds_for_milliseconds": cobo(KEY, at=NOW),
    "a_truncated_signature": cobo(KEY) | {"BIZ_RESP_SIGNATURE": cobo(KEY)["BIZ_RESP_SIGNATURE"][:-2]},
    "two_signatures": twice(cobo(KEY), "BIZ_RESP_SIGNATURE"),
    "two_times_in_two_spellings": [*cobo(KEY).items(), ("biz-timestamp", str(NOW * 1000))],
    "the_other_form": standard(KEY),
}


@pytest.mark.parametrize("name", COBO_REFUSED)
def test_a_delivery_in_cobos_form_is_refused(name: str) -> None:
    with pytest.raises(InvalidWebhook):
        verify(COBO_REFUSED[name], format="cobo-v2")
    with pytest.raises(InvalidWebhook):
        verify(cobo(KEY))


def test_a_tolerance_is_kept_to() -> None:
    old = standard(KEY, at=NOW - 61)
    assert verify(old, tolerance=61).id == EVENT["id"]
    with pytest.raises(InvalidWebhook):
        verify(old, tolerance=60)


@pytest.mark.parametrize(
    "keys",
    [
        "",
        "whpk_",
        whpk(KEY)[:-4],
        "whsk_" + "A" * 43 + "=",
        jwk(KEY, "k") | {"d": "AAAA"},
        jwk(KEY, "k") | {"crv": "X25519"},
        jwk(KEY, "k") | {"alg": "HS256"},
        jwk(KEY, "k") | {"use": "enc"},
        {"keys": []},
        {"keys": [jwk(KEY, "k") | {"kty": "EC"}]},
        [],
        [whpk(KEY)] * 17,
        # The neutral element, under which signatures of nobody verify.
        bytes([1]) + bytes(31),
    ],
    ids=lambda keys: str(keys)[:40],
)
def test_a_key_that_is_none_is_an_error_of_the_caller(keys: Any) -> None:
    with pytest.raises(UsageError):
        verify(standard(KEY), keys)


def test_a_body_that_was_read_already_is_an_error_of_the_caller() -> None:
    with pytest.raises(UsageError, match="as it arrived"):
        verify_webhook(standard(KEY), BODY.decode(), whpk(KEY), now=NOW)  # type: ignore[arg-type]


def fresh(key: Ed25519PrivateKey) -> dict[str, str]:
    return standard(key, at=int(time.time()))


def test_a_client_takes_the_coordinators_keys_and_looks_for_new_ones_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    import countersign._flow as flow

    keys = [jwk(KEY, "old")]
    feed = Feed(answers={"/.well-known/jwks.json": lambda _: (200, {"keys": keys})})
    with feed.serve() as url, Client(profile(url), api_key="key") as client:
        assert client.verify_webhook(fresh(KEY), BODY).kid == "old"
        keys.insert(0, jwk(OTHER, "new"))
        for _ in range(5):
            with pytest.raises(InvalidWebhook):
                client.verify_webhook(fresh(OTHER), BODY)
        assert len(feed.asked) == 1
        monkeypatch.setattr(flow, "NEW_KEYS", 0.0)
        assert client.verify_webhook(fresh(OTHER), BODY).kid == "new"
        assert client.verify_webhook(fresh(KEY), BODY).kid == "old"
        assert len(feed.asked) == 2


def test_deliveries_cause_one_request_a_minute_whether_or_not_it_is_answered() -> None:
    feed = Feed(answers={"/.well-known/jwks.json": problem(503, "busy")})
    with feed.serve() as url, Client(profile(url), api_key="key") as client:
        for _ in range(5):
            with pytest.raises(Unavailable):
                client.verify_webhook(fresh(OTHER), BODY)
        assert len(feed.asked) == 1


def test_deliveries_that_arrive_together_share_one_request() -> None:
    def slowly(_: Any) -> Any:
        time.sleep(0.3)
        return 200, {"keys": [jwk(KEY, "k1")]}

    feed = Feed(answers={"/.well-known/jwks.json": slowly})

    async def together(url: str) -> list[Any]:
        async with AsyncClient(profile(url), api_key="key") as client:
            keys = [KEY, OTHER, KEY, OTHER]
            asked = [client.verify_webhook(fresh(key), BODY) for key in keys]
            return await asyncio.gather(*asked, return_exceptions=True)

    with feed.serve() as url:
        one, two, three, four = asyncio.run(together(url))
    assert (one.kid, three.kid) == ("k1", "k1")
    assert isinstance(two, InvalidWebhook) and isinstance(four, InvalidWebhook)
    assert len(feed.asked) == 1


def test_keys_of_the_profile_are_pinned_whatever_the_coordinator_tells() -> None:
    feed = Feed(answers={"/.well-known/jwks.json": (200, {"keys": [jwk(OTHER, "new")]})})
    with feed.serve() as url:
        pinned = Profile(coordinator=url, nodes={}, webhook_keys=(whpk(KEY),))
        with Client(pinned, api_key="key") as client:
            assert client.verify_webhook(fresh(KEY), BODY).key == whpk(KEY)
            with pytest.raises(InvalidWebhook):
                client.verify_webhook(fresh(OTHER), BODY)

        async def same() -> None:
            async with AsyncClient(pinned, api_key="key") as client:
                assert (await client.verify_webhook(fresh(KEY), BODY)).key == whpk(KEY)

        asyncio.run(same())
    assert feed.asked == []


def test_a_profile_has_keys_of_webhooks(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(f"coordinator: http://127.0.0.1:1\nwebhook_keys: ['{whpk(KEY)}']\n")
    assert Profile.load(path).webhook_keys == (whpk(KEY),)
    path.write_text("coordinator: http://127.0.0.1:1\nwebhook_keys: [whpk_AAAA]\n")
    with pytest.raises(FileError, match="public key of webhooks"):
        Profile.load(path)


def test_administration_is_passed_on_and_refusals_are_typed() -> None:
    spec = {"url": "https://example.com", "format": "standard", "enabled": True}
    view = {"name": "ops", "spec": spec, "created": 1, "cursor": "1", "pending": 0}
    feed = Feed(answers={"/v1/webhooks": (200, {"webhooks": [view]}), "/v1/webhooks/a%2Fb/deliveries": problem(403, "scope")})
    with feed.serve() as url, Client(profile(url), api_key="key") as client:
        assert client.webhooks() == [view]
        with pytest.raises(Unauthorized):
            client.deliveries("a/b", state="failed", limit=7)
    assert feed.asked[1][1] == {"state": "failed", "limit": "7"}

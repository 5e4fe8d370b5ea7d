"""Uses the installed package `countersign` against a running coordinator and its nodes.

    end_to_end.py '{"profile": …, "nodes": […], "treasury": …, "admin": …, "signed": …, …}'

The profile's requester makes a wallet, has messages and payments signed by children of wallets, follows them, and receives
and verifies webhook deliveries. What is not a client's to do it asks for by a line of JSON on standard output. The last
line says what it made, for the client in the other language.
"""

import asyncio
import json
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import countersign
from countersign import (
    ApproverKey,
    AsyncClient,
    Client,
    Collect,
    Event,
    InvalidWebhook,
    MemoryBook,
    Payload,
    Rejected,
    RequesterKey,
    Signed,
    WalletDistrusted,
    WebhookDelivery,
    verify_webhook,
)
from countersign._api import Transport

NAME = "from-python"
MESSAGE = "pay 5 from Python"
PATH = "m/44/501/7"
#: Limit of every wait in seconds.
LIMIT = 120

Arrived = tuple[list[tuple[str, str]], bytes]


def ask(what: str, **members: Any) -> Any:
    print(json.dumps({"ask": what, **members}), flush=True)
    return json.loads(sys.stdin.readline())


def main(told: dict[str, Any]) -> None:
    streams = count_streams()
    with Client(told["profile"]) as client:
        made = wallets_and_messages(client, told)
        assert streams, "orders are followed by the stream of events"
        payments(client, told)
        events_and_webhooks(client, told)
    print(json.dumps(made))


def count_streams() -> list[object]:
    """Every stream that is opened from here on."""
    opened: list[object] = []
    genuine = Transport.open

    def open(transport: Transport, request: Any) -> Any:
        opened.append(request)
        return genuine(transport, request)

    Transport.open = open  # type: ignore[method-assign]
    return opened


def wallets_and_messages(client: Client, told: dict[str, Any]) -> dict[str, Any]:
    states: list[str] = []
    nodes = told["nodes"]
    while not all(node["online"] for node in client.nodes()):
        time.sleep(0.1)
    wallet = client.create_wallet(NAME, scheme="ed25519", nodes=nodes, threshold=2)
    signed = client.sign(NAME, Payload.message(MESSAGE), PATH, progress=lambda task: states.append(task.state))
    assert verifies(signed), "the signature verifies with another library"
    assert states[-1] == "completed", states
    assert signed.signatures[0].public_key == client.address(NAME, PATH).public_key
    assert [task.state for task in client.follow(signed.task)][-1] == "completed"
    assert client.result(signed.task) == signed
    assert set(client.check_up(NAME).nodes) == set(wallet.nodes)
    assert [listed.standing.value for listed in client.wallets() if listed.wallet.id == wallet.id] == ["believed"]
    moved = client.reshare(NAME, nodes=nodes, threshold=2)
    assert (moved.generation, moved.root_public_key) == (1, wallet.root_public_key)
    try:
        client.sign(NAME, Payload.digest(bytes(32)))
        raise AssertionError("a blind signature was made")
    except Rejected as refused:
        assert refused.code, refused
    assert verifies(asyncio.run(signed_again(told["signed"], wallet.id)))
    approved(client, wallet.id, told["ann"])
    nobody_knows(client, wallet.id)
    return {"wallet": wallet.id, "root": wallet.root_public_key.hex(), "task": signed.task}


def approved(client: Client, wallet: str, ann: str) -> None:
    """A person approves before the nodes are asked. ``ann`` is the profile of another."""
    until = datetime.now(timezone.utc) + timedelta(hours=1)
    task = client.submit(wallet, Payload.message(MESSAGE), PATH, collect=Collect(votes=1, until=until))
    assert task.state == "pending", task.state
    told = client.votes(task.id)
    assert told and (told.approved, told.missing) == (0, ("ann",)), told
    with Client(ann) as approver:
        examined = approver.examine(task.id)
        assert examined.decoded and MESSAGE in examined.decoded.lines[0], examined
        assert approver.profile.approver_key_file
        count = approver.vote(examined, ApproverKey.load(approver.profile.approver_key_file), "approve")
    assert (count.approved, [one.name for one in count.votes if one.is_genuine]) == (1, ["ann"]), count
    signed = client.result(task.id)
    assert isinstance(signed, Signed) and verifies(signed)


def verifies(signed: Signed) -> bool:
    (one,) = signed.signatures
    try:
        Ed25519PublicKey.from_public_bytes(one.public_key).verify(one.signature, one.signed_bytes)
    except InvalidSignature:
        return False
    return one.signed_bytes == MESSAGE.encode()


async def signed_again(profile: str, wallet: str) -> Signed:
    """By the asynchronous client, with an empty book: the wallet is believed by the profile. There is no API key, so the
    client signs its requests."""
    async with AsyncClient(profile, book=MemoryBook()) as client:
        assert client.profile.api_key_file is None
        task = await client.submit(wallet, Payload.message(MESSAGE), PATH)
        states = [seen.state async for seen in client.follow(task.id)]
        assert states[-1] == "completed", states
        signed = await client.result(task.id)
        assert isinstance(signed, Signed)
        return signed


def nobody_knows(client: Client, wallet: str) -> None:
    """A requester whose profile names no node believes nothing."""
    empty = countersign.Profile(coordinator=client.profile.coordinator, nodes={})
    key = (client.profile.api_key_file or Path()).read_text().strip()
    with tempfile.TemporaryDirectory() as folder:
        stranger = RequesterKey.create(Path(folder) / "stranger.key")
        with Client(empty, api_key=key, requester_key=stranger) as other:
            try:
                other.wallet(wallet)
            except WalletDistrusted as distrusted:
                assert distrusted.details
            else:
                raise AssertionError("a wallet of strangers was believed")


def payments(client: Client, told: dict[str, Any]) -> None:
    """One payment on each chain. Others make the unsigned payloads, and judge what was signed."""
    treasury, evm_path, solana_path = told["treasury"], told["evm_path"], told["solana_path"]
    payer = client.address(NAME, solana_path)
    made = ask(
        "payments",
        evm=client.address(treasury, evm_path).addresses["evm"],
        bitcoin=[client.address(treasury, path).public_key.hex() for path in told["bitcoin_paths"]],
        solana=payer.addresses["solana"],
        solana_key=payer.public_key.hex(),
    )
    shown = client.decode(treasury, Payload.evm_transaction(made["evm"]), evm_path).lines
    assert any("0x5a5a" in line.lower() for line in shown), shown
    evm = client.sign(treasury, Payload.evm_transaction(made["evm"]), evm_path, note="invoice 17")
    bitcoin = client.sign(treasury, Payload.psbt(made["psbt"]))
    assert len(bitcoin.signatures) == 2
    solana = client.sign(NAME, Payload.solana(bytes.fromhex(made["solana"])), solana_path)
    ask(
        "judge",
        evm=client.finish(evm).content.hex(),
        bitcoin=client.finish(bitcoin, transaction=True).content.hex(),
        solana=client.finish(solana).content.hex(),
        payer=payer.addresses["solana"],
    )


def events_and_webhooks(client: Client, told: dict[str, Any]) -> None:
    """The same events by the stream and by deliveries, before and after a restart of the coordinator."""
    admin_key = Path(told["admin"]).read_text()
    with receiver() as (url, arrived), Client(told["profile"], api_key=admin_key, book=MemoryBook()) as admin:
        hook = admin.create_webhook("python", f"{url}/standard", types=["task.completed", "webhook.test"])
        admin.create_webhook("python-cobo", f"{url}/cobo", types=["task.completed"], format="cobo-v2")
        assert {"python", "python-cobo"} <= {one["name"] for one in admin.webhooks()}
        seen, seen_as_cobo = set[str](), set[str]()
        tested = admin.test_webhook("python")
        assert receive(admin, arrived["/standard"], seen).id == tested["event"]

        events = follow_events(client, hook["cursor"])
        for restarted in (False, True):
            if restarted:
                ask("restart")
            task = client.submit(NAME, Payload.message(MESSAGE), PATH)
            assert [seen.state for seen in client.follow(task.id)][-1] == "completed"
            event = events.get(timeout=LIMIT)
            assert event["data"]["task"]["id"] == task.id, event
            delivery = receive(admin, arrived["/standard"], seen)
            assert (delivery.event, delivery.id) == (event, event["id"])
            assert receive(admin, arrived["/cobo"], seen_as_cobo, "cobo-v2").event == event

        assert admin.resend("python", {"events": [event["id"]]})["deliveries"] == 1
        again = arrived["/standard"].get(timeout=LIMIT)
        assert admin.verify_webhook(*again).id in seen, "the same event has the same id"
        forgeries_are_refused(admin, again)
        (known,) = [one for one in admin.deliveries("python")["deliveries"] if one["event"] == tested["event"]]
        assert known["attempts"][-1]["status"] == 204, known
        for name in ("python", "python-cobo"):
            admin.delete_webhook(name)
        assert not [one for one in admin.webhooks() if one["name"].startswith("python")]


def follow_events(client: Client, after: str) -> "queue.Queue[Event]":
    """The completed tasks of the wallet, read by a thread of its own for as long as this program runs."""
    found: queue.Queue[Event] = queue.Queue()

    def read() -> None:
        with Client(client.profile) as reader:
            for event in reader.events(after=after, wallet=NAME, type="task.completed"):
                found.put(event)

    threading.Thread(target=read, daemon=True).start()
    return found


@contextmanager
def receiver() -> Iterator[tuple[str, dict[str, "queue.Queue[Arrived]"]]]:
    """A server on this machine that takes deliveries, by path."""
    arrived: dict[str, queue.Queue[Arrived]] = {"/standard": queue.Queue(), "/cobo": queue.Queue()}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            arrived[self.path].put((self.headers.items(), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", arrived
    finally:
        server.shutdown()
        server.server_close()


def receive(admin: Client, arrived: "queue.Queue[Arrived]", seen: set[str], format: Any = "standard") -> WebhookDelivery:
    """The next delivery of an event that was not seen: a coordinator that was ended may repeat what it sent."""
    while True:
        headers, body = arrived.get(timeout=LIMIT)
        delivery = admin.verify_webhook(headers, body, format=format)
        if delivery.id not in seen:
            seen.add(delivery.id)
            return delivery


def forgeries_are_refused(admin: Client, genuine: Arrived) -> None:
    keys = admin.webhook_keys()
    headers, body = genuine
    assert verify_webhook(headers, body, keys["keys"][0]["whpk"]).kid is None
    # The base point of the curve: a good key, and nobody's.
    other = bytes.fromhex("58" + "66" * 31)
    with_id = [(name, "evt_" + "0" * 32 if name.lower() == "webhook-id" else value) for name, value in headers]
    forged: list[tuple[Any, bytes, Any, dict[str, Any]]] = [
        (headers, body.replace(b"completed", b"rejected!"), keys, {}),
        (with_id, body, keys, {}),
        ([*headers, ("webhook-id", "evt_1")], body, keys, {}),
        (headers, body, other, {}),
        (headers, body, keys, {"now": time.time() + 301}),
        (headers, body, keys, {"format": "cobo-v2"}),
    ]
    for headers, body, key, options in forged:
        try:
            verify_webhook(headers, body, key, **options)
        except InvalidWebhook:
            continue
        raise AssertionError(f"a forged delivery was believed: {headers} {options}")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

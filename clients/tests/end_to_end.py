"""Uses the installed package `countersign` against a running coordinator and its nodes.

    end_to_end.py PROFILE SCHEME NODE,NODE,NODE

The profile's requester makes a wallet, has a message signed by a child of it, verifies the signature with another
library, and checks all shares. Prints what it made as JSON, for the client in the other language.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import countersign
from countersign import AsyncClient, Client, MemoryBook, Payload, Rejected, RequesterKey, Signed, WalletDistrusted

MESSAGE = "pay 5 from Python"
PATH = "m/44/501/7"


def verifies(signed: Signed) -> bool:
    (one,) = signed.signatures
    try:
        Ed25519PublicKey.from_public_bytes(one.public_key).verify(one.signature, one.signed_bytes)
    except InvalidSignature:
        return False
    return one.signed_bytes == MESSAGE.encode()


def main(profile: str, scheme: str, nodes: list[str]) -> None:
    states: list[str] = []
    with Client(profile) as client:
        while not all(node.online for node in client.nodes()):
            time.sleep(0.1)
        wallet = client.create_wallet("from-python", scheme=scheme, nodes=nodes, threshold=2)
        signed = client.sign("from-python", Payload.message(MESSAGE), PATH, progress=lambda task: states.append(task.state))
        assert verifies(signed), "the signature verifies with another library"
        assert states[-1] == "completed", states
        assert signed.signatures[0].public_key == client.address("from-python", PATH).public_key
        assert [task.state for task in client.follow(signed.task)][-1] == "completed"
        assert client.result(signed.task) == signed
        assert set(client.check_up("from-python").nodes) == set(wallet.nodes)
        assert [listed.standing.value for listed in client.wallets() if listed.wallet.id == wallet.id] == ["believed"]
        moved = client.reshare("from-python", nodes=nodes, threshold=2)
        assert (moved.generation, moved.root_public_key) == (1, wallet.root_public_key)
        try:
            client.sign("from-python", Payload.digest(bytes(32)))
            raise AssertionError("a blind signature was made")
        except Rejected as refused:
            assert refused.code, refused
        again = asyncio.run(signed_again(profile, wallet.id))
        assert verifies(again)
        nobody_knows(client, wallet.id)
    print(json.dumps({"wallet": wallet.id, "root": wallet.root_public_key.hex(), "task": signed.task}))


async def signed_again(profile: str, wallet: str) -> Signed:
    """By the asynchronous client, with an empty book: the wallet is believed by the profile."""
    async with AsyncClient(profile, book=MemoryBook()) as client:
        return await client.sign(wallet, Payload.message(MESSAGE), PATH)


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


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3].split(","))

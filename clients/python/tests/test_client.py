"""Orders, payloads, keys, addresses and errors. Others' libraries are the judges."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import json
import pickle
import ssl
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from coordinator import coordinator
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from embit import bip32, script
from embit.networks import NETWORKS
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_account.typed_transactions import TypedTransaction
from eth_keys import keys as eth_keys
from solders.pubkey import Pubkey
from test_forgeries import TABLE, profile

import countersign._core as core
from countersign import (
    AnswerError,
    Client,
    CountersignError,
    FileBook,
    FileError,
    FinishError,
    InvalidResult,
    MemoryBook,
    NotFound,
    Payload,
    PayloadError,
    Pending,
    Profile,
    Rejected,
    RequesterKey,
    Signed,
    Unreachable,
    UsageError,
)

SIGNING = next(case for case in TABLE["cases"] if case["name"] == "a_signature")
WALLET: str = SIGNING["action"]["sign"]["wallet"]


def client(url: str) -> Client:
    key = RequesterKey(TABLE["requester_key"])
    return Client(profile(url), api_key="key", requester_key=key, book=MemoryBook(SIGNING["book"]))


def descriptor(scheme: str, root: bytes, chain_code: bytes) -> dict[str, Any]:
    """A wallet of this scheme and root key; its acknowledgements are of no use."""
    plain = json.loads(SIGNING["book"].splitlines()[1])["wallet"]
    aux = "08" * 32 if scheme == "ecdsa-secp256k1" else None
    return dict(plain) | {
        "scheme": scheme,
        "root_public_key": root.hex(),
        "chain_code": chain_code.hex(),
        "aux": aux,
    }


def root(seed: bytes) -> tuple[bip32.HDKey, dict[str, Any]]:
    """A private root by embit, and an ECDSA wallet with its public half."""
    key = bip32.HDKey.from_seed(seed)
    return key, descriptor("ecdsa-secp256k1", key.get_public_key().sec(), key.chain_code)


def test_an_order_is_signed_over_the_labelled_hash_of_its_exact_bytes(tmp_path: Path) -> None:
    seed = bytes([7]) * 32
    made = core.call("requester.new", {"seed": seed.hex()})
    order = RequesterKey(made["key"]).sign(
        {
            "id": "01" * 16,
            "now": 1_000_000,
            "life_ms": 60_000,
            "operation": {"sign": {"wallet": WALLET, "path": "m/0/1", "payload": Payload.message("pay").document()}},
        }
    )
    parts = b"countersign/1 task signature", order["task"].encode()
    digest = hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    public.verify(bytes.fromhex(order["signature"]), digest)
    with pytest.raises(InvalidSignature):
        public.verify(bytes.fromhex(order["signature"]), hashlib.sha256(digest).digest())
    assert json.loads(order["task"])["requester"] == made["requester"]


def test_a_requester_key_is_private_in_its_file_and_does_not_show(tmp_path: Path) -> None:
    path = tmp_path / "requester.key"
    key = RequesterKey.create(path)
    text = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert text.startswith("csr-secret1")
    assert RequesterKey.load(path).id == key.id
    assert repr(key) == f"RequesterKey({key.id}, ..)"
    with pytest.raises(TypeError):
        pickle.dumps(key)
    with pytest.raises(FileError, match="choose a new file"):
        RequesterKey.create(path)
    path.chmod(0o644)
    with pytest.raises(FileError, match="chmod 600"):
        RequesterKey.load(path)
    path.chmod(0o600)
    path.write_text(text[:-3])
    with pytest.raises(FileError, match="not a requester key"):
        RequesterKey.load(path)


def test_a_profile_is_read_as_the_rust_client_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    node = TABLE["profile"]["nodes"]["n1"]
    plain = f"coordinator: http://127.0.0.1:1\napi_key_file: api.key\nnodes:\n  alice: {node}\n"
    path.write_text(plain)
    read = Profile.load(path)
    assert (read.node("alice"), read.name_of(node), read.api_key_file) == (node, "alice", tmp_path / "api.key")
    for more, words in [("walet_book: x\n", "walet_book"), (f"  bob: {node}\n", "same id"), ("  alice: x\n", "twice")]:
        path.write_text(plain + more)
        with pytest.raises(FileError, match=words):
            Profile.load(path)
    path.write_text(plain)
    path.chmod(0o666)
    with pytest.raises(FileError, match="chmod go-w"):
        Profile.load(path)
    with pytest.raises(FileError, match="No such file"):
        Profile.load(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("number", range(8))
def test_children_of_a_secp256k1_wallet_are_those_of_embit(number: int) -> None:
    key, wallet = root(bytes([number]) * 32)
    path = [44, 60, number, 2**31 - 1 - number]
    text = "m/" + "/".join(map(str, path))
    child = key.derive(path).get_public_key()
    ours = core.call("wallet.child", {"wallet": wallet, "path": text})
    assert ours["public_key"] == child.sec().hex()
    main = NETWORKS["main"]
    account = eth_keys.PublicKey.from_compressed_bytes(child.sec())
    assert ours["addresses"] == {
        "evm": account.to_checksum_address(),
        "bitcoin-p2wpkh": script.p2wpkh(child).address(main),
        "bitcoin-p2sh": script.p2sh(script.p2wpkh(child)).address(main),
        "bitcoin-p2pkh": script.p2pkh(child).address(main),
    }
    extended = core.call("wallet.root_key", {"wallet": wallet})
    assert extended == key.to_public().to_base58()
    below = core.call("key.child", {"key": extended, "path": text})
    assert below["key"] == key.derive(path).to_public().to_base58()


@pytest.mark.parametrize("number", range(4))
def test_taproot_addresses_are_those_of_embit(number: int) -> None:
    key = bip32.HDKey.from_seed(bytes([number]) * 32)
    wallet = descriptor("taproot", key.get_public_key().sec(), key.chain_code)
    child = key.derive([86, 0, number]).get_public_key()
    document = {"wallet": wallet, "path": f"m/86/0/{number}", "chains": {"bitcoin": "regtest"}}
    ours = core.call("wallet.child", document)
    assert ours["addresses"] == {"bitcoin-p2tr": script.p2tr(child).address(NETWORKS["regtest"])}


def test_a_solana_address_is_the_key_as_solders_writes_it() -> None:
    public = Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32).public_key().public_bytes_raw()
    ours = core.call("wallet.child", {"wallet": descriptor("ed25519", public, bytes(32)), "path": "m"})
    assert ours["addresses"] == {"solana": str(Pubkey.from_bytes(public))}
    child = core.call("wallet.child", {"wallet": descriptor("ed25519", public, bytes(32)), "path": "m/44/501/0"})
    assert Pubkey.from_string(child["addresses"]["solana"]).is_on_curve()


def test_a_hardened_child_has_no_public_derivation() -> None:
    with pytest.raises(UsageError):
        core.call("wallet.child", {"wallet": root(bytes(32))[1], "path": "m/2147483648"})


def sign_as_wallet(key: Any, wallet: dict[str, Any], payload: Payload, path: str) -> bytes:
    """Signs what the payload asks for with the private key, and has the module finish it."""
    decoded = core.call("payload.decode", {"wallet": wallet, "path": path, "payload": payload.document()})
    (asked,) = decoded["inputs"]
    made = eth_keys.PrivateKey(key.secret).sign_msg_hash(bytes.fromhex(asked["signed_bytes"]))
    signature = made.r.to_bytes(32, "big") + made.s.to_bytes(32, "big")
    signed = {"session": "05" * 32, "signatures": [asked | {"signature": signature.hex(), "recovery_id": made.v}]}
    finished = core.call(
        "payload.finish", {"wallet": wallet, "path": path, "payload": payload.document(), "signed": signed}
    )
    return bytes.fromhex(finished["bytes"])


def test_a_finished_evm_transaction_is_one_of_its_sender_for_eth_account() -> None:
    key, wallet = root(bytes([3]) * 32)
    child = key.derive([44, 60, 0, 0, 7])
    fields = {"chainId": 1, "nonce": 3, "gas": 21_000, "maxFeePerGas": 9, "maxPriorityFeePerGas": 1, "value": 10**18}
    unsigned = TypedTransaction.from_dict(fields | {"to": bytes.fromhex("5a" * 20), "data": "0x", "type": 2})
    # The transaction without its signature, as it is hashed.
    content = unsigned_bytes(unsigned)
    payload = Payload.evm_transaction(content)
    decoded = core.call(
        "payload.decode", {"wallet": wallet, "path": "m/44/60/0/0/7", "payload": payload.document()}
    )
    assert any("1 ETH" in line for line in decoded["lines"])
    assert decoded["inputs"][0]["signed_bytes"] == unsigned.hash().hex().removeprefix("0x")
    finished = sign_as_wallet(child, wallet, payload, "m/44/60/0/0/7")
    assert Account.recover_transaction(finished) == Account.from_key(child.secret).address


def unsigned_bytes(transaction: TypedTransaction) -> bytes:
    """0x02 and the RLP of an EIP-1559 transaction's first nine fields."""
    import rlp

    fields = transaction.as_dict()
    names = ["chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "data"]
    values = [fields[name] for name in names]
    values[5] = bytes.fromhex("5a" * 20)
    values[7] = b""
    return b"\x02" + bytes(rlp.encode([*values, []]))


def test_messages_of_ethereum_are_those_of_eth_account() -> None:
    key, wallet = root(bytes([4]) * 32)
    child = key.derive([0])
    address = Account.from_key(child.secret).address
    finished = sign_as_wallet(child, wallet, Payload.eip191("hello"), "m/0")
    assert Account.recover_message(encode_defunct(text="hello"), signature=finished) == address
    document = {
        "types": {
            "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "chainId", "type": "uint256"}],
            "Mail": [{"name": "contents", "type": "string"}],
        },
        "domain": {"name": "Post", "chainId": 1},
        "primaryType": "Mail",
        "message": {"contents": "Grüße"},
    }
    finished = sign_as_wallet(child, wallet, Payload.eip712(document), "m/0")
    assert Account.recover_message(encode_typed_data(full_message=document), signature=finished) == address


def test_a_signature_that_is_returned_verifies_with_another_library() -> None:
    with coordinator({}, SIGNING["result"]) as url, client(url) as asking:
        signed = asking.sign("treasury", Payload.message("pay"))
        wallet = asking.wallet(WALLET)
        assert asking.finish(signed).content == signed.signature
    Ed25519PublicKey.from_public_bytes(wallet.root_public_key).verify(signed.signature, b"pay")


def test_a_refusal_names_the_node_by_the_profiles_name_the_plugin_and_the_code() -> None:
    node = TABLE["profile"]["nodes"]["n1"]
    reason = {"code": "limit", "message": f"{node} says no", "nodes": [node], "plugin": "rules"}
    with coordinator({}, None, {"state": "rejected", "reason": reason}) as url, client(url) as asking:
        with pytest.raises(Rejected) as refused:
            asking.sign(WALLET, Payload.message("pay"))
    error = refused.value
    assert (error.code, error.plugin, error.nodes) == ("limit", "rules", (node,))
    assert error.message.startswith("n1 says no; ")


def test_an_order_that_has_not_ended_is_pending_and_no_failure() -> None:
    with coordinator({}, None, {"state": "approving"}) as url, client(url) as asking:
        task = asking.submit(WALLET, Payload.message("pay"))
        with pytest.raises(Pending) as pending:
            asking.result(task.id, timeout=0)
        assert (pending.value.task, next(asking.follow(task.id)).state) == (task.id, "approving")


def test_a_result_is_fetched_later_and_verified_then_by_its_own_requester_alone(tmp_path: Path) -> None:
    with coordinator({}, SIGNING["result"]) as url, client(url) as asking:
        task = asking.submit(WALLET, Payload.message("pay"))
        assert isinstance(asking.result(task.id), Signed)
        other = RequesterKey.create(tmp_path / "other.key")
        with Client(profile(url), api_key="key", requester_key=other) as stranger:
            with pytest.raises(UsageError, match="another requester"):
                stranger.result(task.id)


def test_a_payload_that_nobody_signs_is_refused_before_anything_is_sent() -> None:
    asking = client("http://127.0.0.1:1")
    with pytest.raises(PayloadError) as refused:
        asking.sign(WALLET, Payload.evm_transaction("0x02c0"))
    assert refused.value.code
    with pytest.raises(UsageError):
        Payload.eip191("0xabcd")


def test_a_summary_says_what_is_signed() -> None:
    asking = client("http://127.0.0.1:1")
    decoded = asking.decode(WALLET, Payload.message("pay"))
    assert (decoded.blind, decoded.lines[0]) == (False, "message: pay")
    assert asking.decode(WALLET, Payload.digest(bytes(32))).blind


def test_errors_are_typed_by_status_and_keep_their_code() -> None:
    with coordinator({}, None) as url, client(url) as asking:
        with pytest.raises(NotFound) as missing:
            asking.task("00" * 16)
        assert (missing.value.status, missing.value.code) == (404, "not-found")
    with pytest.raises(Unreachable) as away:
        asking = client("http://127.0.0.1:1")
        asking.nodes()
    assert not away.value.sent


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"null",
        b"[" * 100_000,
        b'{"id": 5}',
        b'{"announcement": null}',
        b'{"announcement": {"key": "csk1", "task": "00", "generation": true}}',
        b'{"announcement": {"key": "csk1", "task": "00", "generation": 0}}',
        b'{"a": ' * 500 + b"1" + b"}" * 500,
        b'{"code": "x"}',
    ],
)
def test_an_answer_that_is_none_is_an_error_of_this_package(answer: bytes) -> None:
    with coordinator({f"/v1/{name}": answer for name in ("nodes", "wallets", "tasks", "tasks/00")}, None) as url:
        asking = client(url)
        for ask in (asking.nodes, asking.wallets, asking.tasks, lambda: asking.task("00")):
            with pytest.raises(CountersignError) as none:
                ask()
            assert none.value.code == "answer"


def test_the_second_form_of_a_signature_is_refused() -> None:
    """S + L of Ed25519 and n - s of ECDSA leave the equations true."""
    case = json.loads(json.dumps(SIGNING))
    (made,) = case["result"]["signed"]["signatures"]
    signature = bytes.fromhex(made["signature"])
    order = 2**252 + 27742317777372353535851937790883648493
    second = int.from_bytes(signature[32:], "little") + order
    made["signature"] = (signature[:32] + second.to_bytes(32, "little")).hex()
    with coordinator({}, case["result"]) as url, client(url) as asking, pytest.raises(InvalidResult):
        asking.sign(WALLET, Payload.message("pay"))

    key, wallet = root(bytes([5]) * 32)
    document = {"wallet": wallet, "path": "m/0", "payload": Payload.eip191("hello").document()}
    (asked,) = core.call("payload.decode", document)["inputs"]
    made = eth_keys.PrivateKey(key.derive([0]).secret).sign_msg_hash(bytes.fromhex(asked["signed_bytes"]))
    high = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 - made.s
    signature = made.r.to_bytes(32, "big") + high.to_bytes(32, "big")
    signed = {"session": "05" * 32, "signatures": [asked | {"signature": signature.hex(), "recovery_id": 1 - made.v}]}
    with pytest.raises(FinishError):
        core.call("payload.finish", document | {"signed": signed})


def test_a_book_in_a_file_is_kept_and_refused_if_others_can_write_it(tmp_path: Path) -> None:
    path = tmp_path / "wallets.json"
    case = next(case for case in TABLE["cases"] if case["name"] == "a_wallet_of_ours")
    key = RequesterKey(TABLE["requester_key"])
    with coordinator(case["answers"], None) as url:
        with Client(profile(url), api_key="key", requester_key=key, book=FileBook(path)) as asking:
            met = asking.wallet(case["action"]["wallet"])
    assert path.read_text().splitlines()[0] == '{"version":3}'
    away = Client(profile("http://127.0.0.1:1"), api_key="key", requester_key=key, book=FileBook(path))
    assert away.wallet("treasury") == met
    path.chmod(0o666)
    with pytest.raises(FileError, match="chmod go-w"):
        away.wallet("treasury")
    path.chmod(0o600)
    with path.open("a") as file:
        file.write("nonsense\n")
    with pytest.raises(FileError, match="restore the wallet book"):
        away.wallet("treasury")


def test_only_the_profiles_certificate_is_believed(tmp_path: Path) -> None:
    good, other = (certificate(tmp_path / name) for name in ("good", "other"))
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(good, good.with_suffix(".key"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        path = tmp_path / "profile.yaml"
        path.write_text(f"coordinator: https://127.0.0.1:{server.server_address[1]}\ncoordinator_ca: {good.name}\n")
        # The server answers 501 and a page: this was a coordinator's certificate, and nothing else of it.
        with Client(Profile.load(path), api_key="key") as asking, pytest.raises(AnswerError):
            asking.nodes()
        path.write_text(path.read_text().replace(good.name, other.name))
        with Client(Profile.load(path), api_key="key") as asking, pytest.raises(Unreachable, match="CERTIFICATE"):
            asking.nodes()
        server.shutdown()
    other.write_text("nothing")
    with pytest.raises(FileError, match="coordinator_ca"):
        Client(Profile.load(path), api_key="key")


def certificate(path: Path) -> Path:
    """A certificate for 127.0.0.1 in PEM, and its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, path.name)])
    begin = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=5)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(begin).not_valid_after(begin + datetime.timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
    path = path.with_suffix(".pem")
    path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.with_suffix(".key").write_bytes(key.private_bytes(*form))
    return path

#!/usr/bin/env python3
"""An approval server to start from: answers a Countersign node's callbacks by a file of rules.

It needs Python 3.9 or later and the package `cryptography`. It speaks both vocabularies (v1 and v2), answers pings, and
binds its answer (nonce, digest, audience) whenever a node asks for that. It decides nothing that the rules do not say:
what they do not mention is rejected.

It serves plain HTTP on one address; put a TLS proxy in front of it when the node is not on the same machine.
"""

import argparse
import base64
import hashlib
import json
import os
import pathlib
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

PING, KEY_GEN, KEY_SIGN, KEY_RESHARE, KEY_SHARE_SIGN = 0, 1, 2, 3, 5
LARGEST_REQUEST = 8 << 20
TOKEN_SECONDS = 120


class BadRequest(Exception):
    """The request is not one of a trusted node. It gets no signed answer."""


class Objection(Exception):
    """The rules do not allow it."""


# --- tokens ---------------------------------------------------------------------------------------------------------


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(part: str) -> bytes:
    data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if encode(data) != part:
        raise ValueError("not base64url")
    return data


def read_json(data):
    """An object in which no member is repeated: two readers might disagree on which one counts."""

    def unique(pairs):
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("a member is repeated")
        return members

    value = json.loads(data, object_pairs_hook=unique)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def verify(token: str, keys) -> dict:
    """Claims of an unexpired RS256 token by one of `keys`. The header chooses nothing."""
    try:
        header, claims, signature = token.split(".")
        if read_json(decode(header)).get("alg") != "RS256":
            raise BadRequest("the token is not RS256")
        signed, signature = f"{header}.{claims}".encode(), decode(signature)
    except ValueError as error:
        raise BadRequest(f"malformed token: {error}") from None
    if not any(is_by(key, signed, signature) for key in keys):
        raise BadRequest("the token is not signed by a trusted node; put the node's callback key into --nodes")
    try:
        claims = read_json(decode(claims))
    except ValueError as error:
        raise BadRequest(f"malformed claims: {error}") from None
    expires = claims.get("exp")
    if isinstance(expires, bool) or not isinstance(expires, (int, float)) or expires <= time.time():
        raise BadRequest("the token has expired; compare the clocks of node and server")
    return claims


def is_by(key, signed: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        return True
    except InvalidSignature:
        return False


def sign(key, claims: dict) -> str:
    part = lambda value: encode(json.dumps(value).encode())
    signed = f'{part({"alg": "RS256", "typ": "JWT"})}.{part(claims)}'
    return f"{signed}.{encode(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


# --- rules ----------------------------------------------------------------------------------------------------------


def judge(rules: dict, request: dict) -> None:
    """Raises Objection unless the rules allow the request. This is the function to make your own."""
    kind = request["request_type"]
    detail, extra = read_json(request["request_detail"]), read_json(request["extra_info"])
    if kind == KEY_SIGN:
        return judge_signature(rules.get("key_sign", {}), detail, extra)
    name = {KEY_GEN: "key_gen", KEY_RESHARE: "key_reshare", KEY_SHARE_SIGN: "key_share_sign"}.get(kind)
    if name is None or rules.get(name) != "approve":
        raise Objection(f"{name or kind} is not allowed by the rules")


def judge_signature(rules: dict, detail: dict, extra: dict) -> None:
    groups = rules.get("groups")
    if groups is not None and detail["group_id"] not in groups:
        raise Objection(f'key {detail["group_id"]} is not on the list')
    intent = intent_of(extra)
    kind = next(iter(intent)) if intent else "blind"
    if kind != "transaction":
        if rules.get(kind) != "approve":
            raise Objection(f"signing {kind.replace('_', ' ')} is not allowed by the rules")
        return
    judge_transaction(rules.get("transaction", {}), intent["transaction"])


def intent_of(extra: dict):
    """What is signed, as the node established it: an object of one member, or None for bare digests.

    The member `countersign` exists in strict mode only, and only the node writes it. Without it nothing says which
    members are the node's and which are the requester's word, so there is nothing to judge by.
    """
    facts = extra.get("countersign")
    return facts.get("intent") if isinstance(facts, dict) else None


def judge_transaction(rules: dict, transaction: dict) -> None:
    chain = transaction["chain"]
    if chain not in rules.get("chains", []):
        raise Objection(f"chain {chain} is not on the list")
    if transaction["grants"]:
        raise Objection(f'the transaction lets {transaction["grants"][0]["spender"]} spend')
    if transaction["fee"] is None:
        raise Objection("the node cannot tell the fee, and so not how much leaves")
    totals = {}
    for to in transaction["destinations"]:
        if to["change"]:
            continue
        if to["address"] not in rules.get("addresses", []):
            raise Objection(f'address {to["address"]} is not on the list')
        if to["amount"] is None:
            raise Objection(f'nobody can tell how much of {to["asset"]} leaves')
        asset = to["asset"] or chain
        totals[asset] = totals.get(asset, 0) + int(to["amount"])
    for call in transaction["calls"]:
        # What a known token's transfer does stands among the destinations; of other calls nobody knows what they do.
        is_transfer = any(asset.endswith(":" + call["contract"].lower()) for asset in map(str.lower, totals))
        is_known = is_transfer and call["method"] == "transfer(address,uint256)"
        if not is_known and call["contract"] not in rules.get("contracts", []):
            raise Objection(f'contract {call["contract"]} is not on the list')
    # What calls take along stands among the destinations as well, where the node knows who receives it. The fee leaves too.
    carried = sum(int(call["amount"]) for call in transaction["calls"])
    totals[chain] = max(totals.get(chain, 0), carried) + int(transaction["fee"])
    for asset, total in totals.items():
        limit = rules.get("max_amount", {}).get(asset)
        if limit is None or total > int(limit):
            raise Objection(f"{total} of {asset} exceeds the limit of {limit or 'nothing'}")


# --- server ---------------------------------------------------------------------------------------------------------


class Approvals:
    """Key, trusted nodes and rules. Nodes and rules are read again for each request, so a change counts at once."""

    def __init__(self, arguments):
        self.key = serialization.load_pem_private_key(pathlib.Path(arguments.key).read_bytes(), None)
        self.nodes = pathlib.Path(arguments.nodes)
        self.rules = pathlib.Path(arguments.rules)
        self.strict = arguments.strict
        self.trusted()
        read_json(self.rules.read_bytes())

    def trusted(self):
        files = sorted(self.nodes.glob("*.pem"))
        return [serialization.load_pem_public_key(file.read_bytes()) for file in files]

    def answer(self, token: str) -> str:
        claims = verify(token, self.trusted())
        try:
            document = base64.b64decode(claims["package_data"], validate=True)
            request = read_json(document)
            kind, request_id = request["request_type"], request["request_id"]
        except (KeyError, TypeError, ValueError) as error:
            raise BadRequest(f"malformed request: {error}") from None
        response = {"status": 0, "request_id": request_id, "action": "APPROVE", "error": ""}
        bound = self.binding(claims, document)
        if kind != PING:
            try:
                if self.strict and not bound:
                    raise Objection("the node does not ask in strict mode; set `strict: true` in its plugin")
                judge(read_json(self.rules.read_bytes()), request)
            except Objection as objection:
                response.update(action="REJECT", error=str(objection))
            except Exception as error:  # A broken rule or a request of an unknown shape never approves.
                response.update(action="REJECT", status=30, error=f"cannot judge: {error!r}")
            decided = {"request_id": request_id, "type": kind, "action": response["action"], "why": response["error"]}
            print(json.dumps(decided), flush=True)
        package = base64.b64encode(json.dumps(response).encode()).decode()
        expires = int(time.time()) + TOKEN_SECONDS
        return sign(self.key, {"package_data": package, "exp": expires, "iss": "approval-server", **bound})

    def binding(self, claims: dict, document: bytes) -> dict:
        """What an answer in strict mode repeats. The digest is of what was judged, not a copy of what was sent."""
        if "nonce" not in claims:
            return {}
        digest = hashlib.sha256(document).hexdigest()
        if claims.get("digest") != digest:
            raise BadRequest("the digest is not that of the request")
        return {"nonce": claims["nonce"], "digest": digest, "aud": claims["iss"]}


def handler(approvals: Approvals):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_POST(self):
            try:
                length = int(self.headers.get("content-length") or -1)
                if not 0 <= length <= LARGEST_REQUEST:
                    raise BadRequest("the request has no length, or one that is too large")
                form = parse_qs(self.rfile.read(length).decode("ascii"))
                tokens = form.get("TSS_JWT_MSG", [])
                if len(tokens) != 1:
                    raise BadRequest("the form has no TSS_JWT_MSG")
                self.reply(200, approvals.answer(tokens[0]))
            except (BadRequest, UnicodeDecodeError, ValueError) as error:
                print(json.dumps({"bad_request": str(error), "from": self.client_address[0]}), flush=True)
                self.close_connection = True
                self.reply(400, str(error))

        def do_GET(self):
            """For load balancers. The node's own ping is a POST with a signature."""
            if self.path != "/ping":
                return self.reply(404, "POST to /v1/check or /v2/check")
            self.reply(200, json.dumps({"server": "approval-server", "timestamp": str(int(time.time()))}))

        def reply(self, status, text):
            body = text.encode()
            self.send_response(status)
            self.send_header("content-type", "text/plain; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Decisions are printed above; the rest is noise."""

    return Handler


def keygen(arguments):
    folder = pathlib.Path(arguments.out)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    pem, spki = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(folder / "server.key", flags, 0o600), "wb") as file:
        file.write(private)
    (folder / "server.pem").write_bytes(key.public_key().public_bytes(pem, spki))
    print(f"{folder}/server.key: keep it secret\n{folder}/server.pem: give it to the node's operator")


def run(arguments):
    host, port = arguments.listen.rsplit(":", 1)
    server = ThreadingHTTPServer((host, int(port)), handler(Approvals(arguments)))
    print(f"listening on http://{host}:{server.server_port}", flush=True)
    server.serve_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("keygen", help="make the server's key pair")
    command.add_argument("--out", default="keys", help="folder (default: keys)")
    command.set_defaults(do=keygen)
    command = commands.add_parser("run", help="answer callbacks")
    command.add_argument("--listen", default="127.0.0.1:11020", help="address (default: 127.0.0.1:11020)")
    command.add_argument("--key", default="keys/server.key", help="private key in PEM, not encrypted")
    command.add_argument("--nodes", default="nodes", help="folder of the trusted nodes' callback keys, *.pem")
    command.add_argument("--rules", default="rules.json", help="file of rules, read again for each request")
    command.add_argument("--strict", action="store_true", help="reject what a node asks outside strict mode")
    command.set_defaults(do=run)
    arguments = parser.parse_args()
    try:
        arguments.do(arguments)
    except FileExistsError as error:
        sys.exit(f"{error.filename} exists already; choose another folder with --out")
    except (OSError, ValueError) as error:
        sys.exit(f"approval-server: {error}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()

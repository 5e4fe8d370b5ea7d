"""A second reader and writer of recovery files, from the description of the format alone. Shares no code with the crate.

    reference.py write DIR SPEC_JSON   one file for each participant: DIR/0.json, DIR/1.json, ...
    reference.py read FILE GROUP_ID PASSWORD   the share, as JSON
    reference.py combine GROUP_ID PASSWORD FILE...   the root private key, as JSON
    reference.py derive XPRV PATH   the child, as JSON

Test data only: passwords and keys in arguments are no secrets here.
"""

import base64
import hashlib
import hmac
import json
import os
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC


class Secp256k1:
    """y^2 = x^3 + 7, affine points, None is the neutral one."""

    name, kind = "secp256k1", 1
    p = 2**256 - 2**32 - 977
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    base = (
        0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
        0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
    )
    public_version, private_version = bytes.fromhex("0488b21e"), bytes.fromhex("0488ade4")

    @classmethod
    def add(cls, a, b):
        if a is None or b is None:
            return a or b
        if a[0] == b[0]:
            if (a[1] + b[1]) % cls.p == 0:
                return None
            slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, cls.p)
        else:
            slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, cls.p)
        x = (slope * slope - a[0] - b[0]) % cls.p
        return x, (slope * (a[0] - x) - a[1]) % cls.p

    @staticmethod
    def encode(point):
        return bytes([2 + point[1] % 2]) + point[0].to_bytes(32, "big")

    field = encode


class Ed25519:
    """-x^2 + y^2 = 1 + d x^2 y^2 (RFC 8032), affine points."""

    name, kind = "ed25519", 2
    p = 2**255 - 19
    order = 2**252 + 27742317777372353535851937790883648493
    d = -121665 * pow(121666, -1, 2**255 - 19) % (2**255 - 19)
    base = (
        15112221349535400772501151409588531511454012693041857206046113283949847762202,
        46316835694926478169428394003475163141307993866256225615783033603165251855960,
    )
    public_version, private_version = bytes.fromhex("02e8de90"), bytes.fromhex("02e8da54")

    @classmethod
    def add(cls, a, b):
        if a is None or b is None:
            return a or b
        product = cls.d * a[0] * b[0] * a[1] * b[1]
        x = (a[0] * b[1] + a[1] * b[0]) * pow(1 + product, -1, cls.p) % cls.p
        y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, -1, cls.p) % cls.p
        return x, y

    @staticmethod
    def encode(point):
        return (point[1] | (point[0] % 2) << 255).to_bytes(32, "little")

    @classmethod
    def field(cls, point):
        return b"\0" + cls.encode(point)


CURVES = {curve.name: curve for curve in (Secp256k1, Ed25519)}


def times(curve, number, point=None):
    point, total = point or curve.base, None
    while number:
        if number & 1:
            total = curve.add(total, point)
        point = curve.add(point, point)
        number >>= 1
    return total


ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58check(data):
    data += hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def unbase58check(text):
    number = 0
    for letter in text:
        number = number * 58 + ALPHABET.index(letter)
    data = number.to_bytes(82, "big")
    assert hashlib.sha256(hashlib.sha256(data[:-4]).digest()).digest()[:4] == data[-4:]
    return data[:-4]


def hash160(data):
    return hashlib.new("ripemd160", hashlib.sha256(data).digest()).digest()


def extended(version, depth, parent, index, chain_code, key):
    return base58check(version + bytes([depth]) + parent + index.to_bytes(4, "big") + chain_code + key)


def derive(text, path):
    """Private children; hardened ones on secp256k1 only."""
    data = unbase58check(text)
    curve = next(c for c in CURVES.values() if c.private_version == data[:4])
    depth, parent, index, chain_code = data[4], data[5:9], int.from_bytes(data[9:13], "big"), data[13:45]
    number = int.from_bytes(data[46:], "big")
    for step in [step for step in path.removeprefix("m").strip("/").split("/") if step]:
        hardened = step[-1] in "'H"
        assert not (hardened and curve is Ed25519)
        index = int(step.rstrip("'H")) + (2**31 if hardened else 0)
        public = curve.field(times(curve, number))
        start = b"\0" + number.to_bytes(32, "big") if hardened else public
        mac = hmac.new(chain_code, start + index.to_bytes(4, "big"), hashlib.sha512).digest()
        number = (int.from_bytes(mac[:32], "big") + number) % curve.order
        depth, parent, chain_code = depth + 1, hash160(public)[:4], mac[32:]
    key = number.to_bytes(32, "big")
    head = depth, parent, index, chain_code
    return {
        "private_key": "0x" + key.hex(),
        "extended_private_key": extended(curve.private_version, *head, b"\0" + key),
        "extended_public_key": extended(curve.public_version, *head, curve.field(times(curve, number))),
    }


HASHES = {5: ("SHA-256", hashes.SHA256), 7: ("SHA-512", hashes.SHA512)}


def cipher(kdf, password):
    _, hash_type = HASHES[kdf["hash_type"]]
    salt = bytes.fromhex(kdf["salt"].removeprefix("0x"))
    made = PBKDF2HMAC(hash_type(), kdf["length"], salt, kdf["iterations"])
    return AESGCM(made.derive(password.encode()))


def share_of(spec, x, order):
    """Horner, coefficients from the constant term up."""
    total = 0
    for coefficient in reversed(spec["coefficients"]):
        total = (total * x + int(coefficient, 16)) % order
    return total


def write(folder, spec):
    """spec: curve, group_id, version, shape, share_ids, coefficients (hex), chaincode, hash_type, iterations, passwords,
    strip (leave out leading zeros), long_keys (33 bytes on Ed25519)."""
    curve = CURVES[spec["curve"]]
    code = bytes.fromhex(spec["chaincode"])
    encode = curve.field if spec.get("long_keys") else curve.encode
    shares = [share_of(spec, int(x), curve.order) for x in spec["share_ids"]]
    participants = [
        {
            "node_id": f"node-{i}",
            "share_id": x,
            "share_public_key": "0x" + encode(times(curve, share)).hex(),
        }
        for i, (x, share) in enumerate(zip(spec["share_ids"], shares))
    ]
    root = times(curve, int(spec["coefficients"][0], 16))
    info = {
        "id": spec["group_id"],
        "created_time": "2024-02-29 12:00:00 +0000 UTC",
        "type": curve.kind,
        "root_extended_public_key": extended(curve.public_version, 0, bytes(4), 0, code, curve.field(root)),
        "chaincode": "0x" + code.hex(),
        "curve": curve.name,
        "threshold": len(spec["coefficients"]),
        "participants": participants,
    }
    for i, share in enumerate(shares):
        number = share.to_bytes(32, "big")
        number = number.lstrip(b"\0") if spec.get("strip") else number
        if spec["version"] > 1:
            inner = {"encrypted_share": base64.b64encode(number).decode(), "party": {"index": i}}
            number = json.dumps(inner).encode()
        kdf = {
            "length": 32,
            "iterations": spec["iterations"],
            "salt": "0x" + os.urandom(32).hex(),
            "hash_type": spec["hash_type"],
            "hash_name": HASHES[spec["hash_type"]][0],
        }
        nonce = os.urandom(12)
        sealed = nonce + cipher(kdf, spec["passwords"][i]).encrypt(nonce, number, None)
        share_info = {**participants[i], "encrypted_share": base64.b64encode(sealed).decode(), "kdf": kdf}
        group = {"version": spec["version"], "group_info": info, "share_info": share_info}
        shapes = {"groups": {"recovery_groups": [group]}, "list": [group], "bare": group}
        with open(os.path.join(folder, f"{i}.json"), "w") as file:
            json.dump(shapes[spec["shape"]], file)


def groups_of(path):
    with open(path) as file:
        data = json.load(file)
    if isinstance(data, dict):
        data = data.get("recovery_groups", [data])
    return data


def read(path, group_id, password):
    (group,) = [group for group in groups_of(path) if group["group_info"]["id"] == group_id]
    info, own = group["group_info"], group["share_info"]
    curve = CURVES[info["curve"]]
    sealed = base64.b64decode(own["encrypted_share"], validate=True)
    plain = cipher(own["kdf"], password).decrypt(sealed[:12], sealed[12:], None)
    if group["version"] > 1:
        plain = base64.b64decode(json.loads(plain)["encrypted_share"], validate=True)
    share = int.from_bytes(plain, "big")
    assert curve.kind == info["type"]
    assert HASHES[own["kdf"]["hash_type"]][0] == own["kdf"]["hash_name"]
    assert {key: own[key] for key in ("node_id", "share_id", "share_public_key")} in info["participants"]
    assert own["share_public_key"] == "0x" + curve.encode(times(curve, share)).hex()
    root = unbase58check(info["root_extended_public_key"])
    assert root[:4] == curve.public_version and root[4:13] == bytes(9)
    assert info["chaincode"] == "0x" + root[13:45].hex()
    return {"version": group["version"], "info": info, "share": share, "share_id": int(own["share_id"])}


def combine(group_id, password, paths):
    opened = [read(path, group_id, password) for path in paths]
    info = opened[0]["info"]
    assert all(it["info"] == info for it in opened) and len(opened) >= info["threshold"]
    curve, total = CURVES[info["curve"]], 0
    for one in opened:
        term = one["share"]
        for other in opened:
            if other is not one:
                weight = other["share_id"] * pow(other["share_id"] - one["share_id"], -1, curve.order)
                term = term * weight % curve.order
        total = (total + term) % curve.order
    root = unbase58check(info["root_extended_public_key"])
    assert root[45:] == curve.field(times(curve, total))
    key = b"\0" + total.to_bytes(32, "big")
    private = extended(curve.private_version, 0, bytes(4), 0, root[13:45], key)
    return {"private_key": "0x" + key[1:].hex(), "extended_private_key": private}


def main(verb, *arguments):
    match verb, arguments:
        case "write", (folder, spec):
            return write(folder, json.loads(spec))
        case "read", (path, group_id, password):
            return read(path, group_id, password)
        case "combine", (group_id, password, *paths):
            return combine(group_id, password, paths)
        case "derive", (text, path):
            return derive(text, path)
    raise SystemExit(__doc__)


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))

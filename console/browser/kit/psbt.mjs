/** A transaction for tests as Bitcoin software exports it (BIP-174): one input of the wallet, and one payment. */

import { createHash } from "node:crypto";

/** The fingerprint of the base point as a root key: the beginning of its HASH160, which is the program of BIP-173's example. */
const FINGERPRINT = "751e76e8";
/** The script of that example, to which the payment goes. */
const PAYEE = "0014751e76e8199196d454941c45d1b3a323f1433bd6";

/** `child`: of `wallet.child`, with its path. */
export function psbt({ child, path, amount, fee }) {
  const own = `0014${program(child.addresses["bitcoin-p2wpkh"])}`;
  const before = transaction("00".repeat(32), own, amount);
  const spent = hashOf(before);
  const unsigned = transaction(spent, PAYEE, amount - fee);
  const steps = path.split("/").slice(1).map((step) => number(Number(step), 4)).join("");
  const input = [
    pair("00", before),
    pair("01", number(amount, 8) + sized(own)),
    pair(`06${child.public_key}`, FINGERPRINT + steps),
  ];
  return Buffer.from(`70736274ff${pair("00", unsigned)}00${input.join("")}0000`, "hex");
}

function transaction(spent, script, amount) {
  return `0200000001${spent}0000000000fdffffff01${number(amount, 8)}${sized(script)}00000000`;
}

function hashOf(hex) {
  const once = (bytes) => createHash("sha256").update(bytes).digest();
  return once(once(Buffer.from(hex, "hex"))).toString("hex");
}

function pair(key, value) {
  return sized(key) + sized(value);
}

/** Lengths here are below 253. */
function sized(hex) {
  return number(hex.length / 2, 1) + hex;
}

function number(value, bytes) {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntLE(value, 0, Math.min(bytes, 6));
  return buffer.toString("hex");
}

/** The 20 bytes of an address of version 0 (BIP-173). */
function program(address) {
  const words = [...address.slice(4, -6)].map((letter) => "qpzry9x8gf2tvdw0s3jn54khce6mua7l".indexOf(letter));
  const bits = words.map((word) => word.toString(2).padStart(5, "0")).join("");
  return bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2).toString(16).padStart(2, "0")).join("");
}

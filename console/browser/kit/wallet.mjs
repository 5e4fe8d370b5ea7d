/**
 * A genuine wallet for tests: nodes with keys of their own acknowledge it, and the module verifies it like any other. Its root
 * key is the base point of the curve, so nobody pays to it.
 */

import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";

/** Compressed base points. */
const ROOTS = {
  "ecdsa-secp256k1": "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
  taproot: "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
};

/** A node with a key of its own. */
export function node() {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  return { id: bech32m("csn", raw), raw, privateKey };
}

/** The text of the book with this wallet in it, and the wallet. */
export function wallet(core, { book, key, requester, nodes, name, scheme, now }) {
  const threshold = 2;
  const ids = nodes.map(({ id }) => id);
  const operation = { "create-wallet": { name, scheme, nodes: ids, threshold } };
  const order = core.call("order.sign", { key, id: randomBytes(16).toString("hex"), now, life_ms: 3_600_000, operation });
  const { committee } = JSON.parse(order.task).operation["key-gen"];
  const facts = {
    key: order.wallet,
    task: order.id,
    session: "05".repeat(32),
    name,
    scheme,
    committee,
    threshold,
    generation: 0,
    root_public_key: ROOTS[scheme],
    chain_code: "06".repeat(32),
    public_shares: "07".repeat(32),
    // The auxiliary information of threshold ECDSA, by its hash.
    aux: scheme === "ecdsa-secp256k1" ? "08".repeat(32) : null,
  };
  const members = committee.map((id) => nodes.find((one) => one.id === id));
  const digest = digestOf(facts, members);
  const stored = members.map(({ id, privateKey }) => ({ node: id, signature: sign(null, digest, privateKey).toString("hex") }));
  const made = { ...facts, stored };
  const ordered = { task: order.task, signature: order.signature };
  const { write } = core.call("wallet.created", { book, own: requester, order: ordered, made, now });
  const text = write === "nothing" ? book : "append" in write ? book + write.append : write.whole;
  return { wallet: made, book: text, order: { id: order.id, hash: order.hash, ...ordered } };
}

/** What nodes sign once they hold their shares (docs/wire.md). */
function digestOf(facts, members) {
  const bytes = (hex) => Buffer.from(hex, "hex");
  const fields = [
    bech32mBytes(facts.key),
    bytes(facts.task),
    bytes(facts.session),
    Buffer.from(facts.name),
    Buffer.from(facts.scheme),
    hash("countersign/1 committee", members.map(({ raw }) => raw)),
    number(facts.threshold),
    number(facts.generation),
    bytes(facts.root_public_key),
    bytes(facts.chain_code),
    bytes(facts.public_shares),
    bytes(facts.aux ?? ""),
  ];
  return hash("countersign/1 stored", fields);
}

function hash(label, fields) {
  const whole = createHash("sha256");
  for (const field of [Buffer.from(label), ...fields]) whole.update(number(field.length)).update(field);
  return whole.digest();
}

function number(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

// BIP-350

const LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

function bech32m(head, raw) {
  const words = regrouped(raw, 8, 5, true);
  const codes = [...head].map((letter) => letter.charCodeAt(0));
  const spread = [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31)];
  const sum = polymod([...spread, ...words, 0, 0, 0, 0, 0, 0]) ^ 0x2bc830a3;
  const check = [5, 4, 3, 2, 1, 0].map((place) => (sum >>> (5 * place)) & 31);
  return `${head}1${[...words, ...check].map((word) => LETTERS[word]).join("")}`;
}

export function bech32mBytes(text) {
  const words = [...text.slice(text.lastIndexOf("1") + 1, -6)].map((letter) => LETTERS.indexOf(letter));
  return Buffer.from(regrouped(words, 5, 8, false));
}

function regrouped(values, from, to, pad) {
  const made = [];
  let held = 0;
  let bits = 0;
  for (const value of values) {
    held = (held << from) | value;
    bits += from;
    while (bits >= to) {
      bits -= to;
      made.push((held >> bits) & ((1 << to) - 1));
    }
    held &= (1 << bits) - 1;
  }
  if (pad && bits > 0) made.push((held << (to - bits)) & ((1 << to) - 1));
  return made;
}

function polymod(values) {
  let sum = 1;
  for (const value of values) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3].forEach((part, bit) => {
      if ((top >>> bit) & 1) sum ^= part;
    });
  }
  return sum >>> 0;
}

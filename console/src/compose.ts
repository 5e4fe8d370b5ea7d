/**
 * Orders that are put together here: what would be signed, and the exact command that orders it on another machine. No key
 * that orders is on a page, but a person's passkey may sign.
 */

import { Payload } from "../../clients/typescript/src/index.js";
import { hexOf } from "./evm.js";
import { textFile, type Made } from "./save.js";
import { command, isShowable, option } from "./shell.js";

/** The longest text that stands in a command, in characters; longer ones are files. */
const INLINE = 800;
/** Signatures whose digests are named in a command. */
const PINNED = 4;
/** A name of a wallet, in bytes. */
const LONGEST_NAME = 64;
/** A remark, in bytes. */
const LONGEST_NOTE = 256;

export const SCHEMES = ["ecdsa-secp256k1", "taproot", "ed25519", "schnorr-secp256k1"] as const;
export type Scheme = (typeof SCHEMES)[number];

/** What every order may ask for besides. */
export interface Wishes {
  readonly note: string;
  /** Approvals by people; 0 for none. */
  readonly votes: number;
  /** Hours for them. */
  readonly hours: number;
}

/** An order before anybody signs it. */
export interface Order {
  /** What is ordered, as `order.sign` of the module takes it; a payload still in the client's form. */
  readonly operation: Readonly<Record<string, object>>;
  readonly note: string | null;
  readonly collect: { readonly votes: number; readonly hours: number } | null;
  /** The words of the command that orders the same. */
  readonly command: readonly string[];
  /** The files that it reads. */
  readonly files: readonly Made[];
}

/** Something to sign, and how the command line is given it. */
export interface Subject {
  readonly payload: Payload;
  readonly options: readonly string[];
  readonly files: readonly Made[];
}

/** Why there is no order. A word of `words.order.wrong`. */
export class Wrong extends Error {
  constructor(readonly word: "note" | "votes" | "name" | "nodes" | "threshold" | "message" | "long") {
    super(word);
  }
}

export function evmSubject(transaction: Uint8Array): Subject {
  return { payload: Payload.evmTransaction(transaction), options: ["--evm-transaction", hexOf(transaction)], files: [] };
}

/** A transaction as other programs export it. The command writes the signed one beside it. */
export function psbtSubject(bytes: Uint8Array<ArrayBuffer>): Subject {
  const options = ["--psbt", "@payment.psbt", "--out", "signed.psbt"];
  return { payload: Payload.psbt(bytes), options, files: [{ name: "payment.psbt", bytes }] };
}

export function typedSubject(text: string): Subject {
  return { payload: Payload.eip712(text), options: ["--eip712", "typed-data.json"], files: [textFile("typed-data.json", text)] };
}

export type MessageKind = "message" | "eip191" | "bitcoin-message";

/** A text. What a terminal would obey or not show goes into the command as digits, or into a file. */
export function messageSubject(kind: MessageKind, text: string, address: string): Subject {
  if (text === "") throw new Wrong("message");
  const inline = isShowable(text) && text.length <= INLINE;
  const digits = (): string => hexOf(new TextEncoder().encode(text)).slice(2);
  switch (kind) {
    case "message":
      if (inline) return { payload: Payload.message(text), options: option("--message", text), files: [] };
      return { payload: Payload.message(text), options: ["--message-file", "message.txt"], files: [textFile("message.txt", text)] };
    case "eip191": {
      if (inline && !/^0x/i.test(text)) return { payload: Payload.eip191(text), options: option("--eip191", text), files: [] };
      if (text.length > 4 * INLINE) throw new Wrong("long");
      return { payload: Payload.eip191(new TextEncoder().encode(text)), options: ["--eip191-hex", digits()], files: [] };
    }
    case "bitcoin-message":
      if (!inline) throw new Wrong("long");
      return {
        payload: Payload.bitcoinMessage(text, address),
        options: [...option("--bitcoin-message", text), "--address", address],
        files: [],
      };
  }
}

/** A signature. `pinned`: digests of the bytes that were shown, so the command orders these and no others. */
export function signature(
  wallet: string,
  path: string,
  subject: Subject,
  pinned: readonly string[],
  wishes: Wishes,
): Order {
  const place = path === "m" ? [] : ["--path", path];
  const digests = pinned.length <= PINNED ? pinned.flatMap((digest) => ["--expect-digest", digest]) : [];
  const options = [...place, ...subject.options, ...digests, ...wished(wishes)];
  return {
    operation: { sign: { wallet, path, payload: subject.payload, signers: null } },
    ...asked(wishes),
    command: command(["countersign", "sign"], [wallet], options),
    files: subject.files,
  };
}

/** A new wallet. Nodes are named by their ids, which mean the same on every machine. */
export function newWallet(
  wallet: { readonly name: string; readonly scheme: Scheme; readonly nodes: readonly string[]; readonly threshold: number },
  wishes: Wishes,
): Order {
  const { name, scheme, nodes, threshold } = wallet;
  if (name.trim() === "" || lengthOf(name) > LONGEST_NAME || !isShowable(name)) throw new Wrong("name");
  checkHolders(nodes, threshold);
  const options = ["--scheme", scheme, "--threshold", String(threshold), "--nodes", nodes.join(","), ...wished(wishes)];
  return {
    operation: { "create-wallet": { name, scheme, nodes, threshold } },
    ...asked(wishes),
    command: command(["countersign", "wallet", "create"], [name], options),
    files: [],
  };
}

export function reshare(
  wallet: { readonly id: string; readonly descriptor: object; readonly nodes: readonly string[]; readonly threshold: number },
  wishes: Wishes,
): Order {
  const { id, descriptor, nodes, threshold } = wallet;
  checkHolders(nodes, threshold);
  const options = ["--threshold", String(threshold), "--nodes", nodes.join(","), ...wished(wishes)];
  return {
    operation: { reshare: { from: descriptor, nodes, threshold, dealers: null } },
    ...asked(wishes),
    command: command(["countersign", "wallet", "reshare"], [id], options),
    files: [],
  };
}

export function checkUp(wallet: string, members: readonly string[], wishes: Wishes): Order {
  return {
    operation: { "check-up": { wallet, nodes: members } },
    ...asked(wishes),
    command: command(["countersign", "wallet", "check"], [wallet], wished(wishes)),
    files: [],
  };
}

/** The same order as a question: nothing is ordered. A question writes no file. */
export function question({ command: words }: Order): readonly string[] {
  const out = words.indexOf("--out");
  const without = out < 0 ? words : words.filter((_, index) => index !== out && index !== out + 1);
  const apart = without.indexOf("--");
  return apart < 0 ? [...without, "--dry-run"] : [...without.slice(0, apart), "--dry-run", ...without.slice(apart)];
}

function checkHolders(nodes: readonly string[], threshold: number): void {
  if (nodes.length < 2 || nodes.length > 9) throw new Wrong("nodes");
  if (!Number.isInteger(threshold) || threshold < 2 || threshold > nodes.length) throw new Wrong("threshold");
}

function asked({ note, votes, hours }: Wishes): Pick<Order, "note" | "collect"> {
  return { note: note === "" ? null : note, collect: votes > 0 ? { votes, hours } : null };
}

function wished({ note, votes, hours }: Wishes): readonly string[] {
  if (!isShowable(note) || lengthOf(note) > LONGEST_NOTE) throw new Wrong("note");
  const isWhole = (value: number, least: number, most: number): boolean => Number.isInteger(value) && value >= least && value <= most;
  if (!isWhole(votes, 0, 128) || !isWhole(hours, 1, 144)) throw new Wrong("votes");
  const collect = votes > 0 ? ["--collect", String(votes), "--until", `${hours}h`] : [];
  return [...(note === "" ? [] : option("--note", note)), ...collect];
}

function lengthOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

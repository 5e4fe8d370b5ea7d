/**
 * Transfers on Ethereum and chains like it, as bytes that are hashed and signed (EIP-1559). What is built here is decoded
 * again by the module before anybody sees it.
 */

import { fromHex, toHex } from "../../clients/typescript/src/core.js";

/** Numbers of a transaction are below 2^256. */
const LIMIT = 1n << 256n;
/** `transfer(address,uint256)` of ERC-20. */
const TRANSFER = "a9059cbb";
/** Decimals of a chain's own coin, and of the gas price in its usual unit. */
export const COIN = 18;
export const GWEI = 9;

export interface Fees {
  readonly nonce: bigint;
  readonly gas: bigint;
  /** The most per gas, and the tip, in the smallest unit. */
  readonly most: bigint;
  readonly tip: bigint;
}

export interface Payment extends Fees {
  readonly chain: bigint;
  readonly to: string;
  readonly amount: bigint;
  /** Of a token: its contract. */
  readonly token: string | null;
}

/** The unsigned transaction of a payment. */
export function transaction({ chain, nonce, gas, most, tip, to, amount, token }: Payment): Uint8Array {
  const data = token === null ? "" : TRANSFER + word(to.slice(2)) + word(amount.toString(16));
  const fields = [chain, nonce, tip, most, gas].map(number);
  const target = bytes(fromHex((token ?? to).slice(2)));
  const value = number(token === null ? amount : 0n);
  const list = rlp(0xc0, [...fields, target, value, bytes(fromHex(data)), [0xc0]].flat());
  return Uint8Array.from([2, ...list]);
}

/** An amount as people write it, such as `1.5`, in the smallest unit; null if it is none. */
export function amountOf(text: string, decimals: number): bigint | null {
  const found = /^(\d{1,78})(?:\.(\d{1,78}))?$/.exec(text.trim());
  if (!found || !Number.isInteger(decimals) || decimals < 0 || decimals > 77) return null;
  const [, whole = "", part = ""] = found;
  if (part.length > decimals) return null;
  const amount = BigInt(whole + part.padEnd(decimals, "0"));
  return amount < LIMIT ? amount : null;
}

/** A whole number below 2^64; null if it is none. */
export function wholeOf(text: string): bigint | null {
  const clear = text.trim();
  if (!/^\d{1,20}$/.test(clear)) return null;
  const found = BigInt(clear);
  return found < 1n << 64n ? found : null;
}

export function isAddress(text: string): boolean {
  return /^0x[0-9a-fA-F]{40}$/.test(text);
}

/**
 * Compares an address with what the module decoded: `missing`, if it is not there, `checksum`, if its capital letters are not
 * those of EIP-55. An address in one case has no checksum.
 */
export function judged(address: string, lines: readonly string[]): "good" | "missing" | "checksum" {
  const whole = lines.join("\n");
  if (!whole.toLowerCase().includes(address.toLowerCase())) return "missing";
  const digits = address.slice(2);
  const plain = digits === digits.toLowerCase() || digits === digits.toUpperCase();
  return plain || whole.includes(address) ? "good" : "checksum";
}

function word(hex: string): string {
  return hex.padStart(64, "0");
}

/** RLP of a number: without leading zeros. */
function number(value: bigint): number[] {
  if (value === 0n) return [0x80];
  const hex = value.toString(16);
  return bytes(fromHex(hex.length % 2 === 0 ? hex : `0${hex}`));
}

function bytes(value: Uint8Array): number[] {
  const [first] = value;
  return value.length === 1 && first !== undefined && first < 0x80 ? [first] : rlp(0x80, [...value]);
}

/** A text or list with its length in front. */
function rlp(base: number, inside: readonly number[]): number[] {
  if (inside.length < 56) return [base + inside.length, ...inside];
  const length = number(BigInt(inside.length));
  const plain = length.length === 1 ? length : length.slice(1);
  return [base + 55 + plain.length, ...plain, ...inside];
}

/** The bytes in the form that the command line takes. */
export function hexOf(raw: Uint8Array): string {
  return `0x${toHex(raw)}`;
}

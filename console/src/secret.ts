/** The secret of a new API key. It is made here, shown once, and never sent: the coordinator gets its hash. */

import { toHex } from "../../clients/typescript/src/core.js";

/** As `countersign api-key create` makes it: scanners recognise a leaked one by its beginning. */
const PREFIX = "csapi_";
const BYTES = 32;

export interface Secret {
  readonly text: string;
  readonly sha256: string;
}

export async function newSecret(): Promise<Secret> {
  const text = PREFIX + toHex(crypto.getRandomValues(new Uint8Array(BYTES)));
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return { text, sha256: toHex(new Uint8Array(digest)) };
}

/** True for a name of an API key or a webhook. */
export function isName(text: string): boolean {
  return /^[a-z][a-z0-9-]{0,39}$/.test(text);
}

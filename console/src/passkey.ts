/** Passkeys: made on this page, remembered by this browser, and asked for votes. */

import type { AssertionResponse } from "../../clients/typescript/src/index.js";

const PLACE = "countersign-passkeys";
/** Passkeys that are remembered at most. */
const MOST = 20;
/** Time for a person to find her authenticator, in milliseconds. */
const LIMIT = 180_000;
/** ES256 in the registry of COSE. */
const ES256 = -7;

/** A passkey by its id as an approver. Neither part is a secret. */
export interface Remembered {
  readonly approver: string;
  /** The credential's id, in base64url. */
  readonly credential: string;
}

/** A passkey that was made. */
export interface Made {
  /** Its public key, as a SubjectPublicKeyInfo in DER. */
  readonly publicKey: ArrayBuffer;
  readonly credential: string;
}

/** Why there is no passkey. */
export class WrongKind extends Error {}

/** A place that keeps texts, such as `localStorage`. */
export type Store = Pick<Storage, "getItem" | "setItem">;

/** The passkeys that a browser knows. What cannot be read is no passkey. */
export function remembered(store: Store): readonly Remembered[] {
  let told: unknown;
  try {
    told = JSON.parse(store.getItem(PLACE) ?? "[]");
  } catch {
    return [];
  }
  return Array.isArray(told) ? told.filter(isRemembered).slice(0, MOST) : [];
}

export function remember(store: Store, passkey: Remembered): void {
  const others = remembered(store).filter(({ approver }) => approver !== passkey.approver);
  store.setItem(PLACE, JSON.stringify([...others, passkey].slice(-MOST)));
}

export function forget(store: Store, approver: string): void {
  store.setItem(PLACE, JSON.stringify(remembered(store).filter((one) => one.approver !== approver)));
}

export function isRemembered(value: unknown): value is Remembered {
  const { approver, credential } = (value ?? {}) as Partial<Record<string, unknown>>;
  const good = (text: unknown, pattern: RegExp): boolean => typeof text === "string" && pattern.test(text);
  return good(approver, /^csv1[a-z0-9]{20,100}$/) && good(credential, /^[\w-]{1,1400}$/);
}

/** True if this page can use passkeys at all. */
export function hasPasskeys(): boolean {
  return typeof PublicKeyCredential === "function" && globalThis.isSecureContext;
}

/** Has the person make a passkey for this domain. Nothing is proved by it: each vote proves itself. */
export async function make(rpId: string, name: string, known: readonly Remembered[]): Promise<Made> {
  const random = (): Uint8Array<ArrayBuffer> => crypto.getRandomValues(new Uint8Array(32));
  const made = await navigator.credentials.create({
    publicKey: {
      rp: { id: rpId, name: "Countersign" },
      user: { id: random(), name, displayName: name },
      challenge: random(),
      pubKeyCredParams: [{ type: "public-key", alg: ES256 }],
      authenticatorSelection: { residentKey: "required", userVerification: "required" },
      attestation: "none",
      excludeCredentials: known.map(({ credential }) => ({ type: "public-key", id: fromBase64url(credential) })),
      timeout: LIMIT,
    },
  });
  const response = (made as PublicKeyCredential | null)?.response as AuthenticatorAttestationResponse | undefined;
  const publicKey = response?.getPublicKey();
  if (!made || !publicKey || response?.getPublicKeyAlgorithm() !== ES256) throw new WrongKind();
  return { publicKey, credential: toBase64url(new Uint8Array((made as PublicKeyCredential).rawId)) };
}

/** An assertion, and the credential that made it. */
export interface Asserted {
  readonly response: AssertionResponse;
  readonly credential: string;
}

/** Has a passkey sign. Without a credential, the person chooses one of this domain. */
export async function assertion(
  rpId: string,
  challenge: BufferSource,
  credential: string | null,
): Promise<Asserted> {
  const allowed = credential === null ? [] : [{ type: "public-key" as const, id: fromBase64url(credential) }];
  const given = await navigator.credentials.get({
    publicKey: { challenge, rpId, userVerification: "required", allowCredentials: allowed, timeout: LIMIT },
  });
  if (!given) throw new WrongKind();
  const whole = given as PublicKeyCredential;
  return {
    response: whole.response as AuthenticatorAssertionResponse,
    credential: toBase64url(new Uint8Array(whole.rawId)),
  };
}

/** Base64 for URLs, without padding (RFC 4648, section 5). */
export function toBase64url(bytes: Uint8Array): string {
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export function fromBase64url(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

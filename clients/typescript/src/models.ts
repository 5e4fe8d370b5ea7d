/** What this package returns. Everything except tasks, nodes and refused wallets is verified. */

import { stateOf, type State } from "./api.js";
import type { CountersignError } from "./errors.js";
import { fromHex } from "./core.js";
import type { KeyDescriptor, Signed as SignedDocument, TaskView } from "./schema.js";

/** A wallet in one generation. */
export interface Wallet {
  readonly kind: "wallet";
  readonly id: string;
  readonly name: string;
  readonly scheme: string;
  /** The nodes that hold it, by id. */
  readonly nodes: readonly string[];
  /** The number of nodes that must sign. */
  readonly threshold: number;
  /** 0 for a new wallet, plus one for each reshare. Keys and addresses stay. */
  readonly generation: number;
  /** 33 bytes compressed on secp256k1, 32 bytes on Ed25519. */
  readonly rootPublicKey: Uint8Array;
  /** The key descriptor with the acknowledgements of its holders. */
  readonly descriptor: KeyDescriptor;
}

export function walletOf(descriptor: KeyDescriptor): Wallet {
  return {
    kind: "wallet",
    id: descriptor.key,
    name: descriptor.name,
    scheme: descriptor.scheme,
    nodes: descriptor.committee,
    threshold: descriptor.threshold,
    generation: descriptor.generation,
    rootPublicKey: fromHex(descriptor.root_public_key),
    descriptor,
  };
}

/** A child of a wallet, with its addresses. */
export interface Address {
  readonly path: string;
  readonly publicKey: Uint8Array;
  /** By kind: `evm`, `bitcoin-p2wpkh`, `bitcoin-p2sh`, `bitcoin-p2pkh`, `bitcoin-p2tr`, `solana`. */
  readonly addresses: Readonly<Record<string, string>>;
}

/** A signature that a payload asks for. */
export interface Input {
  readonly path: string;
  /** The key under which it verifies. */
  readonly publicKey: Uint8Array;
  readonly signedBytes: Uint8Array;
}

/** What a payload asks to be signed, and what that does, as decoded here. Nothing of it is anybody's claim. */
export interface Decoded {
  readonly inputs: readonly Input[];
  /** True if nobody can tell what is signed. */
  readonly blind: boolean;
  readonly intent: unknown;
  /** The same for people, who may vote on it, line by line: nothing is cut. */
  readonly lines: readonly string[];
}

/** A verified signature. */
export interface InputSignature extends Input {
  /** ECDSA: r and s, 64 bytes, low s. Ed25519 and BIP-340: 64 bytes. RFC 9591 on secp256k1: 65 bytes. */
  readonly signature: Uint8Array;
  /** ECDSA only: 0 or 1. */
  readonly recoveryId: number | null;
}

/** All signatures of one order, each verified under the child key derived here. */
export interface Signed {
  readonly kind: "signed";
  readonly task: string;
  readonly wallet: string;
  readonly scheme: string;
  readonly signatures: readonly InputSignature[];
  /** The signatures as the coordinator reported them; verified. */
  readonly document: SignedDocument;
}

/** A signed payload in the form that its chain takes. */
export interface Finished {
  readonly bytes: Uint8Array;
  /** Number of signatures of others that are still missing. */
  readonly missing: number;
}

/** Every node that was asked has proved that it holds its share. */
export interface CheckUp {
  readonly kind: "check-up";
  readonly task: string;
  readonly wallet: Wallet;
  readonly nodes: readonly string[];
}

/** A task as the coordinator reports it. Its order is verified; state, decisions and history are its word. */
export interface Task {
  readonly id: string;
  /** `unknown` for a word of a later version, which stands in `view`: neither a success nor a failure. */
  readonly state: State;
  /** `KeyGen`, `KeySign`, `KeyReshare` or `KeyShareSign`. */
  readonly operation: string;
  readonly requester: string;
  readonly wallet: string;
  readonly revision: number;
  readonly view: TaskView;
}

export function taskOf(view: TaskView): Task {
  const { id, operation, requester, wallet, revision } = view;
  return { id, state: stateOf(view.state), operation, requester, wallet, revision, view };
}

/**
 * A wallet in a list. `standing`: `believed`, in the book, and the coordinator reports the same; `untold`, in the book,
 * but unknown to the coordinator; `new`, not in the book, but what the profile describes; `refused`, not to be used.
 */
export type Listed =
  | { readonly wallet: Wallet; readonly standing: "believed" | "untold" | "new" }
  | { readonly wallet: Wallet; readonly standing: "refused"; readonly error: CountersignError };

/** A wallet for a person to compare with its owners. Nothing of it is believed. */
export interface Introduction {
  readonly wallet: Wallet;
  readonly lines: readonly string[];
  readonly doubts: readonly string[];
  /** Covers everything in `lines`. */
  readonly fingerprint: string;
}

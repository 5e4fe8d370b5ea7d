/** Payloads: what is to be signed (docs/payloads.md). */

import { UsageError } from "./errors.js";
import { fromHex, toHex } from "./core.js";

/** A kind, and what was given for it: bytes, or one of the text forms that the kind has. */
export class Payload {
  private constructor(
    readonly kind: string,
    readonly given: Uint8Array,
    /** The bytes that are expected to be signed, one for each signature. Nodes refuse if the payload gives others. */
    readonly digests: readonly Uint8Array[] = [],
  ) {}

  /** A text, or bytes that are not a transaction. */
  static message(message: string | Uint8Array): Payload {
    return new Payload("message", bytes(message));
  }

  /** An unsigned Ethereum transaction as it is hashed; text is hexadecimal. */
  static evmTransaction(unsigned: string | Uint8Array): Payload {
    return new Payload("evm-transaction", ofHex(unsigned));
  }

  /**
   * An Ethereum personal message (`personal_sign`), without prefix. Wallets take a text that begins with 0x for bytes, so
   * such a text is refused here: give the bytes.
   */
  static eip191(message: string | Uint8Array): Payload {
    if (typeof message === "string" && /^0x([0-9a-fA-F]{2})*$/.test(message)) {
      throw new UsageError("usage", "wallets take such a text for bytes; give the bytes, or the text's own as bytes");
    }
    return new Payload("eip191", bytes(message));
  }

  /** Typed data (`eth_signTypedData_v4`): the document, or its JSON. Write large numbers as text. */
  static eip712(document: object | string): Payload {
    return new Payload("eip712", bytes(typeof document === "string" ? document : JSON.stringify(document)));
  }

  /** An authorisation of EIP-7702, which hands the account to a contract; text is hexadecimal. */
  static eip7702(authorization: string | Uint8Array): Payload {
    return new Payload("eip7702", ofHex(authorization));
  }

  /** A Bitcoin transaction, version 0 or 2: its bytes, or text in Base64 or hexadecimal. It names the paths. */
  static psbt(psbt: string | Uint8Array): Payload {
    return new Payload("psbt", bytes(psbt));
  }

  /** A text signed for a Bitcoin address of the child at the order's path (BIP-322). */
  static bitcoinMessage(message: string, address: string): Payload {
    return new Payload("bitcoin-message", bytes(JSON.stringify({ message, address })));
  }

  /** A Solana message, or a transaction without signatures: bytes, or text in Base64, Base58 or hexadecimal. */
  static solana(message: string | Uint8Array): Payload {
    return new Payload("solana-message", bytes(message));
  }

  /** A 32-byte hash, signed blindly. Nodes refuse it unless their operators allow it for the wallet. */
  static digest(digest: Uint8Array): Payload {
    return new Payload("digest", digest);
  }

  /** The same payload with the digests that are expected to be signed. */
  expecting(digests: readonly Uint8Array[]): Payload {
    return new Payload(this.kind, this.given, digests);
  }

  /** As the module reads it. */
  document(): { kind: string; given: string } {
    return { kind: this.kind, given: toHex(this.given) };
  }
}

function bytes(given: string | Uint8Array): Uint8Array {
  return typeof given === "string" ? new TextEncoder().encode(given) : given;
}

function ofHex(given: string | Uint8Array): Uint8Array {
  return typeof given === "string" ? fromHex(given.replace(/^0x/, "")) : given;
}

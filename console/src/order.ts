/** The parts of an order, read from the exact bytes that its requester signed. */

import type { OrderedTask } from "../../clients/typescript/src/index.js";

/** What an order says, by the kind of operation. Texts are still the requester's. */
export interface Parts {
  readonly kind: "KeyGen" | "KeySign" | "KeyReshare" | "KeyShareSign" | "unknown";
  readonly note: string | null;
  readonly claims: readonly (readonly [string, string])[];
  readonly created: number | null;
  readonly notAfter: number | null;
  /** Of a signature. */
  readonly path: string | null;
  /** Of a new wallet. */
  readonly name: string | null;
  readonly scheme: string | null;
  /** Of a new wallet, and of one that is handed over: its nodes from then on, and how many of them must sign. */
  readonly members: readonly string[] | null;
  readonly threshold: number | null;
  /** Of a wallet that is handed over: its nodes so far. */
  readonly from: readonly string[] | null;
  /** Of these, those that hand it over, if the requester chose them. */
  readonly dealers: readonly string[] | null;
  /** Of a signature or check: the nodes that are asked. */
  readonly asked: readonly string[] | null;
}

type Document = Readonly<Record<string, unknown>>;

const KINDS = {
  "key-gen": "KeyGen",
  "key-sign": "KeySign",
  "key-reshare": "KeyReshare",
  "key-share-sign": "KeyShareSign",
} as const;

export function partsOf({ ordered }: Pick<OrderedTask, "ordered">): Parts {
  const [[word, inner] = ["", {}]] = Object.entries(record(ordered["operation"]));
  const operation = record(inner);
  const kind = Object.hasOwn(KINDS, word) ? KINDS[word as keyof typeof KINDS] : "unknown";
  const claims = Object.entries(record(ordered["claims"])).map(([name, value]) => [name, String(value)] as const);
  return {
    kind,
    note: text(ordered["note"]),
    claims,
    created: number(ordered["created"]),
    notAfter: number(ordered["not_after"]),
    path: text(operation["path"]),
    name: text(operation["name"]),
    scheme: text(operation["scheme"]),
    members: texts(operation["committee"]),
    threshold: number(operation["threshold"]),
    from: texts(record(operation["from"])["committee"]),
    dealers: texts(operation["dealers"]),
    asked: texts(operation["nodes"] ?? operation["signers"]),
  };
}

/**
 * Why no vote may be given on what is shown. `changed`: another order was shown under this id before, or the votes are about
 * another one.
 */
export function mayVote(seen: string | undefined, shown: string, examined: string, counted: string): "yes" | "changed" {
  const hashes = new Set([seen ?? shown, shown, examined, counted]);
  return hashes.size === 1 ? "yes" : "changed";
}

function record(value: unknown): Document {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Document) : {};
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function number(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

function texts(value: unknown): readonly string[] | null {
  return Array.isArray(value) && value.every((one) => typeof one === "string") ? (value as string[]) : null;
}

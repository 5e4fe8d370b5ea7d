/** Policies of nodes, compared. All of it is the word of the nodes and the coordinator. */

import type { schema } from "../../clients/typescript/src/index.js";

/** A policy bundle at a node. Texts are still those of others. */
export interface Bundle {
  readonly name: string;
  readonly version: number;
  readonly digest: string;
  /** `in-force`, `waiting`, or a word of a later version. */
  readonly state: string;
  /** The time at which it takes effect at the earliest. */
  readonly until: number | null;
  /** Publishers who have signed it, and those who must have; null if it is not told. */
  readonly signed: number | null;
  readonly needed: number | null;
}

/** Something that is the same at these nodes. */
export interface At<T> {
  readonly nodes: readonly schema.NodeView[];
  readonly what: T;
}

/** Entries of the same name at all nodes, those that are the same together. */
export interface Compared {
  readonly name: string;
  readonly forms: readonly At<schema.PluginStatus>[];
  /** True if all have the same component and configuration, and all decide. */
  readonly agrees: boolean;
  /** Nodes that tell of plugins, and not of this one. */
  readonly missing: readonly schema.NodeView[];
}

/** Nodes, plugins and bundles that are looked at. */
const MOST = 200;

/** The bundles of a node. Earlier coordinators and nodes tell of none; what cannot be read is left out. */
export function bundlesOf(node: schema.NodeView): readonly Bundle[] {
  const told = [(node as { bundles?: unknown }).bundles, (node.reported?.status as { bundles?: unknown } | undefined)?.bundles];
  const found = told.find((one) => Array.isArray(one)) as readonly unknown[] | undefined;
  return (found ?? []).slice(0, MOST).map(bundleOf).filter((one) => one !== null);
}

function bundleOf(told: unknown): Bundle | null {
  const { name, version, digest, state, until, signed, needed } = (told ?? {}) as Partial<Record<string, unknown>>;
  if (typeof name !== "string" || typeof digest !== "string" || typeof state !== "string") return null;
  if (!isCount(version)) return null;
  const counted = isCount(signed) && isCount(needed);
  return {
    name,
    version,
    digest,
    state,
    until: typeof until === "number" ? until : null,
    signed: counted ? signed : null,
    needed: counted ? needed : null,
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** All bundles, those that are the same together. */
export function bundlesAt(nodes: readonly schema.NodeView[]): readonly At<Bundle>[] {
  return together(nodes.slice(0, MOST).flatMap((node) => bundlesOf(node).map((what) => ({ node, what }))), (what) => what);
}

/** All plugins by name, in the order in which nodes tell of them. */
export function compared(nodes: readonly schema.NodeView[]): readonly Compared[] {
  const telling = nodes.slice(0, MOST).filter((node) => node.reported);
  const entries = telling.flatMap((node) => (node.reported?.status.plugins ?? []).slice(0, MOST).map((what) => ({ node, what })));
  const names = [...new Set(entries.map(({ what }) => what.name))].slice(0, MOST);
  return names.map((name) => {
    const own = entries.filter(({ what }) => what.name === name);
    const forms = together(own, ({ digest, config, state, version }) => [digest ?? null, config ?? null, state, version ?? null]);
    const missing = telling.filter((node) => !own.some((entry) => entry.node === node));
    const decides = own.every(({ what }) => what.state === "in-force");
    return { name, forms, missing, agrees: forms.length === 1 && decides && missing.length === 0 };
  });
}

function together<T>(
  all: readonly { readonly node: schema.NodeView; readonly what: T }[],
  form: (what: T) => unknown,
): readonly At<T>[] {
  const found = new Map<string, { nodes: schema.NodeView[]; what: T }>();
  for (const { node, what } of all) {
    const key = JSON.stringify(form(what));
    const known = found.get(key);
    if (known) known.nodes.push(node);
    else found.set(key, { nodes: [node], what });
  }
  return [...found.values()];
}

/** A task's time line: when each node and each of its plugins decided, and how long it took. */

import type { schema } from "../../clients/typescript/src/index.js";

/** One decision. Texts are still those of others. */
export interface Step {
  readonly node: string;
  /** The node's name in the profile, or as the coordinator tells it. */
  readonly name: string | null;
  /** Absent: the node itself. */
  readonly plugin: string | null;
  readonly decision: "approved" | "refused" | "undecided";
  readonly code: string | null;
  readonly reason: string | null;
  /** SHA-256 of the plugin. */
  readonly digest: string | null;
  /** Milliseconds from the time at which the nodes were asked; null if either is not known. */
  readonly after: number | null;
  /** Run time of the plugin in milliseconds. */
  readonly took: number | null;
}

/** All decisions at one node, the last of which is its own. */
export interface Lane {
  readonly node: string;
  readonly name: string | null;
  readonly decision: Step["decision"];
  readonly after: number | null;
  readonly steps: readonly Step[];
}

/** The time line by nodes, in the order in which they are told. */
export function lanes(steps: readonly Step[]): readonly Lane[] {
  const nodes = [...new Set(steps.map(({ node }) => node))];
  return nodes.map((node) => {
    const own = steps.filter((step) => step.node === node);
    const refused = own.some(({ decision }) => decision === "refused");
    const undecided = own.some(({ decision }) => decision === "undecided");
    const decision = refused ? "refused" : undecided ? "undecided" : "approved";
    // An approval of the node itself says nothing more than that of all its plugins.
    const shown = own.filter(({ plugin, reason }) => plugin !== null || reason !== null);
    return { node, name: own[0]?.name ?? null, decision, after: own[0]?.after ?? null, steps: shown };
  });
}

/** Parties and verdicts that are shown at most: more than a committee has. */
const MOST = 200;

export function timeline(view: schema.TaskView, names: ReadonlyMap<string, string>): readonly Step[] {
  return view.nodes.slice(0, MOST).flatMap((party) => steps(party, view.offered ?? null, names));
}

function steps(party: schema.PartyView, offered: number | null, names: ReadonlyMap<string, string>): Step[] {
  const { node, decision } = party;
  const name = names.get(node) ?? party.name ?? null;
  const nobody = { node, name, plugin: null, code: null, reason: null, digest: null, after: null, took: null };
  if (!decision) return [{ ...nobody, decision: "undecided" }];
  const after = offered === null ? null : Math.max(decision.at - offered, 0);
  const verdicts = decision.verdicts.slice(0, MOST).map(
    (verdict): Step => ({
      node,
      name,
      plugin: verdict.plugin,
      decision: verdict.approved ? "approved" : "refused",
      code: verdict.approved ? null : verdict.code,
      reason: verdict.approved ? null : verdict.reason,
      digest: verdict.digest,
      after,
      took: verdict.micros / 1000,
    }),
  );
  const { refusal } = decision;
  if (!refusal) return [...verdicts, { ...nobody, decision: "approved", after }];
  const { code, reason, plugin } = refusal;
  // A refusal by a plugin is among the verdicts, with its time.
  const told = typeof plugin === "string" && verdicts.some((step) => step.plugin === plugin && step.decision === "refused");
  return told ? verdicts : [...verdicts, { ...nobody, plugin: plugin ?? null, decision: "refused", code, reason, after }];
}

// A coordinator at which the order of forgeries.json for a signature passes through states.

import { readFileSync } from "node:fs";

import { event, feed, frame, problem } from "./stream.mjs";

export const table = JSON.parse(readFileSync(new URL("../../tests/forgeries.json", import.meta.url), "utf8"));
export const signing = table.cases.find((one) => one.name === "a_signature");
export const { wallet } = signing.action.sign;

const BEGIN = "id: 10\n\n";

/** Each state is told by an event, or, without a stream, by a long poll. */
export async function ordering(states, stream, refuse) {
  let view = {};
  let shown = 0;
  const change = () => {
    const state = states.shift();
    if (state === undefined) return;
    const result = state === "completed" ? signing.result : null;
    view = { ...view, state, result, revision: view.revision + 1 };
  };
  async function* run() {
    yield BEGIN;
    // Of another task, and of none: neither is a reason to look.
    yield frame(event(11, "task.failed", { task: { ...summary(), id: "f".repeat(32), revision: 9 } }));
    yield frame(event(12, "wallet.created"));
    while (states.length > 0) {
      change();
      yield frame(event(20 + view.revision, "task.x", { task: summary() }));
      while (shown < view.revision) await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  const summary = () => {
    const { task, signature, nodes, result, events, ...rest } = view;
    return rest;
  };
  const answers = {
    POST: (_, body) => {
      const { task, signature } = JSON.parse(body);
      const { id, requester, created, not_after, operation } = JSON.parse(task);
      const told = { id, requester, submitted: created, not_after, wallet: operation["key-sign"].key, task, signature };
      view = { ...told, sequence: 1, revision: 0, state: "waiting", operation: "KeySign", reason: null, nodes: [], events: [] };
      answers[`/v1/tasks/${id}`] = ({ wait }) => {
        if (!stream && wait !== undefined) change();
        shown = view.revision;
        return { document: view };
      };
      return { status: 201, document: view };
    },
  };
  const served = await feed([stream ? run : problem(429, "too-many-streams")], answers, refuse);
  return { ...served, set: (members) => (view = { ...view, ...members }) };
}

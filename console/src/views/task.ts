/** One task: what was ordered, who voted, and when each node and plugin decided. */

import { CountersignError, type Examined, type OrderedTask, type Task, type Votes } from "../../../clients/typescript/src/index.js";
import type { App, View } from "../app.js";
import { alert, h, pairs, table, type Child } from "../dom.js";
import { LINE, LONG, SHORT, foreign, id, plain, shortId } from "../foreign.js";
import { mayVote, partsOf } from "../order.js";
import { spanText } from "../time.js";
import { lanes, timeline, type Lane, type Step } from "../timeline.js";
import { words } from "../words.js";
import { empty, heading, labelList, node, problem, requester, section, state, time, walletLink, word } from "./parts.js";
import { reading, type Reading } from "./reading.js";
import { ballot } from "./vote.js";

/** Entries of the history and votes that are shown at most. */
const MOST = 300;
/** The longest reason or entry that is shown, in characters. */
const REASON = 1000;

export async function task(app: App, taskId: string): Promise<View> {
  const about = new Set([taskId]);
  const title = `${words.task.head} ${shortId(taskId)}`;
  let found: Task;
  let order: OrderedTask;
  try {
    found = await app.client.task(taskId);
    order = await app.client.read(found);
  } catch (error) {
    if (!isDoubt(error)) throw error;
    return { title, about, content: [heading(title), refused(error)] };
  }
  const votes = await app.client.votes(taskId);
  return { title, about, content: [heading(title), ...(await parts(app, found, order, votes))] };
}

async function parts(app: App, found: Task, order: OrderedTask, votes: Votes | null): Promise<readonly Node[]> {
  const seen = app.shownHashes.get(order.task);
  app.shownHashes.set(order.task, seen ?? order.hash);
  const examined = votes && found.state === "pending" ? await examine(app, order.task) : null;
  const hashes = examined instanceof Error || !examined ? [order.hash, votes?.hash] : [examined.hash, votes?.hash];
  const may = mayVote(seen, order.hash, hashes[0] ?? order.hash, hashes[1] ?? order.hash);
  const changed = may === "changed" ? alert("bad", words.task.changed) : null;
  // What is voted on is what is shown: the very same object.
  const shown = examined instanceof Error || !examined ? order : examined;
  const text = shown.decoded ? reading(shown.hash, shown.decoded.lines, app.read) : null;
  return [
    changed,
    ordered(app, shown, text),
    votes ? counted(app, votes) : null,
    examined instanceof Error ? section(words.vote.head, problem(examined)) : null,
    examined && !(examined instanceof Error) && may === "yes" ? ballot(app, examined, text) : null,
    told(app, found),
    steps(app, found),
    history(found),
  ].filter((part) => part !== null);
}

/** An error that says why there is no vote, and hides nothing of the order. */
async function examine(app: App, taskId: string): Promise<Examined | Error> {
  try {
    return await app.client.examine(taskId);
  } catch (error) {
    if (isDoubt(error)) return error;
    throw error;
  }
}

/** True for what says that a task or its wallet is not to be believed, or not to be voted on. */
function isDoubt(error: unknown): error is CountersignError {
  if (!(error instanceof CountersignError)) return false;
  return !("status" in error) && !["unreachable", "answer"].includes(error.code);
}

function refused(error: CountersignError): HTMLElement {
  const lines = error.details.slice(0, MOST).map((line) => h("li", {}, foreign(line, LINE)));
  return alert(
    "bad",
    h("h2", {}, words.task.forged),
    h("p", {}, words.task.forgedMore),
    h("p", {}, foreign(error.message, LONG)),
    lines.length > 0 ? h("ul", {}, lines) : null,
  );
}

function ordered(app: App, order: OrderedTask, text: Reading | null): HTMLElement {
  const texts = words.task;
  const parts = partsOf(order);
  const list = (nodes: readonly string[]): Child => h("ul", {}, nodes.map((one) => h("li", {}, node(app, one))));
  const when = (condition: unknown, name: string, value: () => Child): readonly (readonly [string, Child])[] =>
    condition === null || condition === undefined ? [] : [[name, value()]];
  const claims = h(
    "ul",
    {},
    parts.claims.map(([name, value]) => h("li", {}, foreign(name, SHORT), ": ", foreign(value, LONG))),
  );
  return section(
    texts.order,
    h("p", { class: "kind" }, word(words.operations, parts.kind)),
    effect(order, text),
    order.decoded ? labelList(app, order.decoded.lines) : null,
    pairs([
      ...when(order.wallet, texts.wallet, () => [
        walletLink(order.wallet?.id ?? "", order.wallet?.name ?? null),
        " ",
        id(order.wallet?.id ?? ""),
      ]),
      ...when(parts.path, texts.path, () => h("code", {}, plain(parts.path ?? "", LINE))),
      ...when(parts.name, texts.newName, () => foreign(parts.name ?? "", SHORT)),
      ...when(parts.scheme, texts.scheme, () => foreign(parts.scheme ?? "", SHORT)),
      ...when(parts.from, texts.from, () => list(parts.from ?? [])),
      ...when(parts.dealers, texts.dealers, () => list(parts.dealers ?? [])),
      ...when(parts.members, texts.members, () => list(parts.members ?? [])),
      ...when(parts.threshold, texts.threshold, () => String(parts.threshold)),
      ...when(parts.asked, texts.members, () => list(parts.asked ?? [])),
      [texts.requester, requester(app, order.requester)],
      ...when(parts.note, texts.note, () => foreign(parts.note ?? "", LONG)),
      ...when(parts.claims[0], texts.claims, () => [h("p", { class: "hint" }, texts.claimsHint), claims]),
      [texts.created, time(parts.created)],
      [texts.notAfter, time(parts.notAfter)],
      [texts.hash, id(order.hash)],
    ]),
    h("p", { class: "proof" }, texts.verified),
  );
}

/** The effect of what is signed, all of it, as this page decoded it. */
function effect({ decoded }: OrderedTask, text: Reading | null): Child {
  if (!decoded || !text) return null;
  return [decoded.blind ? alert("bad", words.task.blind) : null, h("h3", {}, words.task.effect), text.element];
}

function counted(app: App, votes: Votes): HTMLElement {
  const texts = words.task;
  const rows = votes.votes.slice(0, MOST).map(({ name, finding, problem: why, vote }): readonly Child[] => [
    name === null ? (vote ? id(vote.approver) : words.unknown) : [foreign(name, SHORT), " ", vote ? h("code", {}, shortId(vote.approver)) : null],
    vote ? word(texts.choices, vote.choice) : "?",
    vote ? time(vote.time) : "?",
    finding === "genuine" ? texts.counts : h("span", { class: "doubt" }, `${words.no}: `, Object.hasOwn(texts.findings, finding) ? word(texts.findings, finding) : foreign(why ?? finding, LINE)),
  ]);
  const { missing } = votes;
  const { approvers } = app.organisation.profile;
  return section(
    texts.votes,
    h("p", { class: "count" }, texts.count(votes.approved, votes.needed, votes.rejected)),
    approvers === undefined ? alert("note", texts.keys) : null,
    pairs([
      [texts.until, time(votes.until.getTime())],
      ...(missing.length > 0
        ? [[texts.missing, missing.slice(0, MOST).map((one) => [foreign(one, SHORT), " "])] as const]
        : []),
    ]),
    rows.length === 0 ? h("p", {}, texts.noVotes) : table(texts.votesCaption, texts.voteColumns, rows),
  );
}

function told(app: App, { view }: Task): HTMLElement {
  const texts = words.task;
  const { reason } = view;
  const nodes = reason?.nodes.slice(0, MOST).map((one) => [" ", node(app, one)]);
  return section(
    texts.state,
    h("p", {}, state(view.state)),
    reason ? h("p", {}, `${texts.reason}: `, foreign(reason.message, REASON), " [", foreign(reason.code, SHORT), "]", nodes) : null,
  );
}

function steps(app: App, { view }: Task): HTMLElement {
  const texts = words.task;
  const all = timeline(view, app.nodes);
  const longest = Math.max(1, ...all.map(({ took }) => took ?? 0));
  const rows = lanes(all).map((lane) => laneOf(app, lane, longest));
  return section(
    texts.timeline,
    h("p", { class: "hint" }, texts.timelineWord),
    rows.length === 0 ? empty(texts.notAsked) : h("ol", { class: "lanes" }, rows),
  );
}

function laneOf(app: App, { node: nodeId, name, decision, after, steps: own }: Lane, longest: number): HTMLElement {
  const texts = words.task;
  const when = after === null ? null : h("span", { class: "hint" }, ` ${texts.after(spanText(after))}`);
  return h(
    "li",
    {},
    h("div", { class: "lane-head" }, h("strong", {}, node(app, nodeId, name)), " ", decided(decision), when),
    own.length === 0 ? null : h("ul", {}, own.map((step) => stepOf(step, longest))),
  );
}

function stepOf(step: Step, longest: number): HTMLElement {
  const texts = words.task;
  const took = step.took === null ? null : h("span", { class: "hint" }, ` ${texts.took(spanText(step.took))}`);
  const why = step.reason === null ? null : h("p", { class: "why" }, foreign(step.reason, REASON), " [", foreign(step.code ?? "", SHORT), "]");
  return h(
    "li",
    {},
    h("div", {}, step.plugin === null ? texts.nodeItself : foreign(step.plugin, SHORT), " ", decided(step.decision), took),
    step.took === null ? null : bar(step.took / longest),
    why,
  );
}

function decided(decision: Step["decision"]): HTMLElement {
  return h("span", { class: `badge state ${decision}` }, words.task[decision]);
}

/** How long a plugin took beside the others. The number stands above it. */
function bar(part: number): HTMLElement {
  const inside = h("div", {});
  inside.style.width = `${Math.min(100, Math.max(1, Math.round(part * 100)))}%`;
  return h("div", { class: "bar", "aria-hidden": "true" }, inside);
}

function history({ view }: Task): HTMLElement {
  const entries = view.events.slice(0, MOST).map((entry) => h("li", {}, time(entry.at), " ", foreign(entry.text, REASON)));
  return section(words.task.history, entries.length === 0 ? empty(words.none) : h("ol", {}, entries));
}

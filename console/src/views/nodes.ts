/** The nodes, as the coordinator and they themselves tell it. */

import type { schema } from "../../../clients/typescript/src/index.js";
import type { App, View } from "../app.js";
import { h, pairs, table, type Child } from "../dom.js";
import { SHORT, foreign, id, plain } from "../foreign.js";
import { spanText } from "../time.js";
import { words } from "../words.js";
import { partsOf } from "../order.js";
import { badge, empty, heading, time, word } from "./parts.js";

/** A difference between two clocks in milliseconds that is worth telling, and one that is worth a warning. */
const SMALL = 1_000;
const LARGE = 10_000;
/** Nodes that are listed at most. */
const MOST = 200;
/** Check-ups that are looked at. */
const CHECK_UPS = 10;

export async function nodes(app: App): Promise<View> {
  const texts = words.nodes;
  const [all, checked] = await Promise.all([app.client.nodes(), checkUps(app)]);
  const listed = all.slice(0, MOST);
  return {
    title: texts.head,
    about: "nothing",
    content: [
      heading(texts.head),
      h("p", { class: "lead" }, texts.word),
      h("p", { class: "hint" }, texts.backup),
      listed.length === 0 ? empty(texts.none) : null,
      ...listed.map((node, index) => card(app, node, index, checked.get(node.id) ?? null)),
    ].filter((part) => part !== null),
  };
}

/** When each node last proved its share, by the newest check-ups that are done. The orders are verified, their end is not. */
async function checkUps(app: App): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  const { tasks } = await app.api.tasks(CHECK_UPS, undefined, "completed", "KeyShareSign");
  for (const { id: taskId, operation } of tasks) {
    if (operation !== "KeyShareSign") continue;
    try {
      const task = await app.client.task(taskId);
      const { asked } = partsOf(await app.client.read(task));
      const ended = task.view.ended ?? null;
      if (task.state !== "completed" || ended === null) continue;
      for (const one of asked ?? []) found.set(one, Math.max(found.get(one) ?? 0, ended));
    } catch {
      // One that does not verify says nothing about a share.
    }
  }
  return found;
}

function card(app: App, node: schema.NodeView, index: number, checked: number | null): HTMLElement {
  const texts = words.nodes;
  const state = !node.online ? "offline" : node.draining ? "draining" : "online";
  const ours = app.nodes.get(node.id);
  const name = `node-${index}`;
  const { reported } = node;
  return h(
    "section",
    { class: "card", "aria-labelledby": name },
    h("h2", { id: name }, foreign(ours ?? node.name, SHORT), " ", h("span", { class: `state ${state}` }, texts.state[state])),
    pairs([
      ...(ours === undefined ? [[texts.listed, h("strong", { class: "doubt" }, `⚠ ${texts.unlisted}`)] as const] : []),
      ["Id", id(node.id)],
      [texts.software, foreign(node.software ?? reported?.status.software ?? words.unknown, SHORT)],
      node.online ? [texts.since, time(node.since)] : [texts.seen, node.last_seen ? time(node.last_seen) : words.never],
      [texts.skew, reported ? skew(reported.skew_ms) : words.unknown],
      [texts.checkUp, checked === null ? texts.noCheckUp : time(checked)],
    ]),
    plugins(ours ?? node.name, reported?.status ?? null),
    bundles(ours ?? node.name, reported?.status ?? null),
  );
}

function skew(millis: number): Child {
  const texts = words.nodes;
  const size = Math.abs(millis);
  if (size < SMALL) return texts.skewSmall;
  const text = texts.skewOf(spanText(size), millis > 0);
  return size < LARGE ? text : h("strong", { class: "doubt" }, `⚠ ${text}. ${texts.skewWarn}`);
}

function plugins(name: string, status: schema.NodeStatus | null): Child {
  const texts = words.nodes;
  if (!status || status.plugins.length === 0) return h("p", {}, texts.noPlugins);
  const rows = status.plugins
    .slice(0, MOST)
    .map((plugin): readonly Child[] => [
      foreign(plugin.name, SHORT),
      badge(texts.parts, plugin.state),
      foreign(plugin.version ?? words.unknown, SHORT),
      plugin.digest ? id(plugin.digest) : words.unknown,
      plugin.config ? id(plugin.config) : words.unknown,
    ]);
  const more = status.more_plugins > 0 ? h("p", {}, texts.more(status.more_plugins)) : null;
  return [table(texts.plugins(plain(name, SHORT)), texts.columns, rows), more];
}

function bundles(name: string, status: schema.NodeStatus | null): Child {
  const texts = words.nodes;
  const told = status?.bundles ?? [];
  if (!status || told.length === 0) return null;
  const rows = told
    .slice(0, MOST)
    .map((bundle): readonly Child[] => [
      foreign(bundle.name, SHORT),
      String(bundle.version),
      bundle.state === "waiting" ? h("strong", { class: "doubt" }, waits(bundle, status.clock)) : word(texts.bundleStates, bundle.state),
      texts.signed(bundle.signed, bundle.needed),
      id(bundle.digest),
    ]);
  return table(texts.bundles(plain(name, SHORT)), texts.bundleColumns, rows);
}

/** A wait counts by the node's clock, and stands still while the node does. */
function waits(bundle: schema.BundleStatus, clock: number): string {
  const left = (bundle.until ?? clock) - clock;
  return left > 0 ? words.nodes.waits(spanText(left)) : words.nodes.due;
}

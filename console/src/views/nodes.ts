/** The nodes, as the coordinator and they themselves tell it. */

import type { schema } from "../../../clients/typescript/src/index.js";
import type { App, View } from "../app.js";
import { h, pairs, table, type Child } from "../dom.js";
import { SHORT, foreign, id, plain } from "../foreign.js";
import { spanText } from "../time.js";
import { words } from "../words.js";
import { heading, time, word } from "./parts.js";

/** A difference between two clocks in milliseconds that is worth telling, and one that is worth a warning. */
const SMALL = 1_000;
const LARGE = 10_000;
/** Nodes that are listed at most. */
const MOST = 200;

export async function nodes(app: App): Promise<View> {
  const texts = words.nodes;
  const listed = (await app.client.nodes()).slice(0, MOST);
  return {
    title: texts.head,
    about: "nothing",
    content: [
      heading(texts.head),
      h("p", { class: "hint" }, texts.word),
      ...listed.map((node, index) => card(app, node, index)),
    ],
  };
}

function card(app: App, node: schema.NodeView, index: number): HTMLElement {
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
      [texts.listed, ours === undefined ? h("strong", { class: "doubt" }, `⚠ ${texts.unlisted}`) : foreign(ours, SHORT)],
      ["Id", id(node.id)],
      [texts.software, foreign(node.software ?? reported?.status.software ?? words.unknown, SHORT)],
      node.online ? [texts.since, time(node.since)] : [texts.seen, node.last_seen ? time(node.last_seen) : words.never],
      [texts.skew, reported ? skew(reported.skew_ms) : words.unknown],
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
      word(texts.parts, plugin.state),
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

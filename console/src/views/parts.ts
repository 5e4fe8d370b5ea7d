/** Parts that several views share. */

import { CountersignError, type schema } from "../../../clients/typescript/src/index.js";
import type { App } from "../app.js";
import { alert, h, link, table, type Child } from "../dom.js";
import { LINE, LONG, SHORT, foreign, id, shortId } from "../foreign.js";
import { requesterName } from "../organisation.js";
import { taskHash, walletHash } from "../router.js";
import { isTime, timeText } from "../time.js";
import { words } from "../words.js";

export function heading(text: string): HTMLElement {
  return h("h1", { tabindex: -1 }, text);
}

export function section(title: string, ...children: readonly Child[]): HTMLElement {
  const name = `part-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return h("section", { class: "card", "aria-labelledby": name }, h("h2", { id: name }, title), ...children);
}

/** A word of a closed list, or one of a later version. */
export function word(list: Readonly<Record<string, string>>, key: string): Child {
  return Object.hasOwn(list, key) ? list[key] : foreign(key, SHORT);
}

export function state(text: string): HTMLElement {
  const known = Object.hasOwn(words.states, text) ? text : "unknown";
  return h("span", { class: `state ${known}` }, word(words.states, text));
}

export function time(millis: unknown): Child {
  if (!isTime(millis)) return words.unknown;
  return h("time", { datetime: new Date(millis).toISOString() }, timeText(millis));
}

/** A node by the profile's name; others with their whole id. */
export function node(app: App, nodeId: string, told: string | null = null): Child {
  const name = app.nodes.get(nodeId);
  if (name !== undefined) return h("span", { title: nodeId.slice(0, 100) }, foreign(name, SHORT));
  return [told === null ? null : [foreign(told, SHORT), " "], id(nodeId)];
}

export function requester(app: App, requesterId: string): Child {
  const name = requesterName(app.organisation.profile, requesterId);
  if (name !== null) return [foreign(name, SHORT), " ", id(requesterId)];
  return [id(requesterId), " ", h("strong", { class: "doubt" }, `⚠ ${words.task.strange}`)];
}

export function taskLink(task: schema.TaskSummary): Child {
  const hash = taskHash(task.id);
  const text = shortId(task.id);
  if (hash === null) return id(task.id);
  const element = link(hash, h("code", {}, text));
  element.id = `task-${task.id}`;
  return element;
}

export function walletLink(walletId: string, name: string | null = null): Child {
  const hash = walletHash(walletId);
  const text = name === null ? h("code", {}, shortId(walletId)) : foreign(name, SHORT);
  if (hash === null) return text;
  const element = link(hash, text);
  element.id = `wallet-${walletId}`;
  return element;
}

export function taskTable(caption: string, tasks: readonly schema.TaskSummary[], walletNames: ReadonlyMap<string, string>): Child {
  if (tasks.length === 0) return h("p", {}, words.none);
  const rows = tasks.map((task) => {
    const { collecting } = task;
    const votes = collecting ? `${collecting.approved} / ${collecting.needed}` : "–";
    return [
      taskLink(task),
      word(words.operations, task.operation),
      walletLink(task.wallet, walletNames.get(task.wallet) ?? null),
      state(task.state),
      time(task.submitted),
      votes,
    ];
  });
  return table(caption, words.tasks.columns, rows);
}

/** An error for people. Its message comes from elsewhere. */
export function problem(error: unknown): HTMLElement {
  const message = error instanceof Error ? error.message : String(error);
  const details = error instanceof CountersignError ? error.details.slice(0, 20) : [];
  const lines = details.map((line) => h("li", {}, foreign(line, LINE)));
  return alert("bad", foreign(message, LONG), lines.length > 0 ? h("ul", {}, lines) : null);
}

/** The names of wallets that are believed, by id. */
export async function walletNames(app: App): Promise<ReadonlyMap<string, string>> {
  const listed = await app.client.wallets();
  const believed = listed.filter(({ standing }) => standing === "believed" || standing === "untold");
  return new Map(believed.map(({ wallet }) => [wallet.id, wallet.name]));
}

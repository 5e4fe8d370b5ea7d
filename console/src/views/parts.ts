/** Parts that several views share. */

import { CountersignError, type schema } from "../../../clients/typescript/src/index.js";
import { isForbidden, type App } from "../app.js";
import { alert, fill, h, link, table, type Child } from "../dom.js";
import { LINE, LONG, SHORT, foreign, id, shortId } from "../foreign.js";
import { labelled, type Labelled } from "../labels.js";
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

/** A word with its mark. One that this application does not know gets no mark of its own: it is a text of others. */
export function badge(list: Readonly<Record<string, string>>, key: string): HTMLElement {
  return h("span", { class: Object.hasOwn(list, key) ? `state ${key}` : "state" }, word(list, key));
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

/** A task by its id alone. */
export function taskIdLink(taskId: string): Child {
  const hash = taskHash(taskId);
  return hash === null ? id(taskId) : link(hash, h("code", {}, shortId(taskId)));
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
  if (tasks.length === 0) return empty(words.none);
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
  const scope = isForbidden(error) ? h("p", {}, words.errors.scope) : null;
  return alert("bad", foreign(message, LONG), lines.length > 0 ? h("ul", {}, lines) : null, scope);
}

/** What stands in place of a list without entries. */
export function empty(text: string, ...more: readonly Child[]): HTMLElement {
  return h("div", { class: "empty" }, h("p", {}, text), ...more);
}

export type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

/** A control with its label, and a hint that screen readers read with it. */
export function field(label: string, control: Control, hint: string | null = null): HTMLElement {
  const hintId = `${control.id}-hint`;
  if (hint !== null) control.setAttribute("aria-describedby", hintId);
  const below = hint === null ? null : h("p", { id: hintId, class: "hint" }, hint);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, below);
}

/** One of several. Texts of others are made plain by the caller. */
export function choice(name: string, options: readonly (readonly [value: string, text: string])[]): HTMLSelectElement {
  return h("select", { id: name }, options.map(([value, text]) => h("option", { value }, text)));
}

/** Any of several. */
export function choices(
  legend: string,
  name: string,
  options: readonly (readonly [value: string, text: Child])[],
  ticked: (value: string) => boolean = () => false,
): { readonly element: HTMLElement; readonly chosen: () => readonly string[] } {
  const boxes = options.map(([value], index) =>
    h("input", { type: "checkbox", id: `${name}-${index}`, value, checked: ticked(value) }),
  );
  const rows = options.map(([, text], index) =>
    h("li", {}, boxes[index], h("label", { for: `${name}-${index}` }, text)),
  );
  const element = h("fieldset", {}, h("legend", {}, legend), h("ul", { class: "boxes" }, rows));
  return { element, chosen: () => boxes.filter((box) => box.checked).map((box) => box.value) };
}

/** A text of this application to be taken elsewhere, with a button that copies exactly it. */
export function copied(name: string, text: string, label: string): HTMLElement {
  const told = h("span", { role: "status", class: "told" });
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      fill(told, words.copied);
    } catch {
      fill(told, words.notCopied);
    }
  };
  const shown = h("code", { id: name, translate: "no", tabindex: 0, role: "group", "aria-label": label }, h("bdi", {}, text));
  const button = h("button", { id: `${name}-copy`, "aria-label": `${words.copy}: ${label}`, click: () => void copy() }, words.copy);
  return h("div", { class: "command" }, shown, h("div", { class: "row" }, button, told));
}

/** A command that is the same for everybody. */
export function example(text: string): HTMLElement {
  return h("pre", { class: "example", tabindex: 0, role: "group", "aria-label": words.command }, h("code", { translate: "no" }, text));
}

/** A label is the organisation's own word. */
export function label({ address, label: text }: Labelled): Child {
  return [id(address), " ", h("span", { class: "tag" }, foreign(text, SHORT))];
}

/** The labels of all addresses in some lines; nothing if there are none. */
export function labelList(app: App, lines: readonly string[]): Child {
  const found = labelled(app.organisation.labels, lines);
  if (found.length === 0) return null;
  return [h("p", { class: "hint" }, words.labels.inLines), h("ul", { class: "plain" }, found.map((one) => h("li", {}, label(one))))];
}

/** A form that does its work once at a time, and says what comes of it below. */
export function form(
  name: string,
  fields: readonly Child[],
  button: { readonly id: string; readonly text: string },
  work: (told: HTMLElement) => Promise<void>,
): HTMLElement {
  const told = h("div", { id: `${name}-told`, "aria-live": "polite" });
  const submit = h("button", { type: "submit", class: "primary", id: button.id }, button.text);
  const run = async (): Promise<void> => {
    submit.disabled = true;
    fill(told, h("p", { role: "status", class: "loading" }, words.loading));
    try {
      await work(told);
    } catch (error) {
      fill(told, problem(error));
    }
    submit.disabled = false;
  };
  const element = h(
    "form",
    {
      id: name,
      novalidate: true,
      submit: (event) => {
        event.preventDefault();
        if (!submit.disabled) void run();
      },
    },
    ...fields,
    h("p", { class: "row" }, submit),
  );
  return h("div", {}, element, told);
}

/** Asks once more before something that cannot be taken back. */
export function ask(question: { readonly head: string; readonly text: Child; readonly yes: string; readonly from: string }, yes: () => void): void {
  const { head, text, from } = question;
  const no = h("button", { id: "ask-no" }, words.vote.cancel);
  const go = h("button", { id: "ask-yes", class: "danger" }, question.yes);
  const dialog = h(
    "dialog",
    { "aria-labelledby": "ask-head" },
    h("h2", { id: "ask-head" }, head),
    h("div", {}, text),
    h("p", { class: "row" }, no, go),
  );
  const leave = (): void => {
    dialog.close();
    dialog.remove();
    document.getElementById(from)?.focus();
  };
  no.addEventListener("click", leave);
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    leave();
  });
  go.addEventListener("click", () => {
    leave();
    yes();
  });
  document.body.append(dialog);
  dialog.showModal();
  no.focus();
}

/** The names of wallets that are believed, by id. */
export async function walletNames(app: App): Promise<ReadonlyMap<string, string>> {
  const listed = await app.client.wallets();
  const believed = listed.filter(({ standing }) => standing === "believed" || standing === "untold");
  return new Map(believed.map(({ wallet }) => [wallet.id, wallet.name]));
}

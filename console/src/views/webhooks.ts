/** Webhooks: where the coordinator sends events, and how that fares. */

import type { schema } from "../../../clients/typescript/src/index.js";
import type { App, View } from "../app.js";
import { COMMANDS } from "../commands.js";
import { alert, fill, h, link, pairs, table, type Child } from "../dom.js";
import { LINE, SHORT, foreign, id, plain } from "../foreign.js";
import { webhookHash } from "../router.js";
import { isName } from "../secret.js";
import { commandLine } from "../shell.js";
import { spanText } from "../time.js";
import { words } from "../words.js";
import { ask, badge, choice, choices, empty, example, field, form, heading, problem, section, time, word } from "./parts.js";

const PAGE = 50;
/** Deliveries, webhooks and attempts that are shown at most. */
const MOST = 500;
const FORMATS = ["standard", "cobo-v2"] as const;
const KINDS = [
  "task.pending",
  "task.voted",
  "task.accepted",
  "task.offered",
  "task.started",
  "task.completed",
  "task.rejected",
  "task.failed",
  "task.expired",
  "task.cancelled",
  "wallet.created",
  "wallet.reshared",
  "wallet.imported",
] as const;

export async function webhooks(app: App): Promise<View> {
  const texts = words.webhooks;
  const all = await app.client.webhooks();
  const rows = all.slice(0, MOST).map((one): readonly Child[] => {
    const hash = webhookHash(one.name);
    return [
      hash === null ? foreign(one.name, SHORT) : link(hash, foreign(one.name, SHORT)),
      foreign(one.spec.url, LINE),
      standing(one),
      String(one.pending),
      one.spec.types ? texts.some(one.spec.types.length) : texts.allKinds,
    ];
  });
  return {
    title: texts.head,
    about: "nothing",
    content: [
      heading(texts.head),
      h("p", { class: "lead" }, texts.lead),
      section(texts.list, rows.length === 0 ? empty(texts.none) : table(texts.list, texts.columns, rows)),
      section(texts.make, settings(app, null)),
      section(texts.more, h("p", {}, texts.keysHint), example(commandLine(COMMANDS.webhookKeys)), h("p", {}, texts.listenHint), example(commandLine(COMMANDS.listen))),
    ],
  };
}

export async function webhook(app: App, name: string): Promise<View> {
  const texts = words.webhooks;
  const found = (await app.client.webhooks()).find((one) => one.name === name);
  const title = `${texts.one} ${name}`;
  const back = h("p", { class: "back" }, link("#/webhooks", `← ${texts.head}`));
  if (!found) return { title, about: "nothing", content: [back, heading(title), empty(texts.gone)] };
  const told = h("div", { "aria-live": "polite" });
  return {
    title,
    about: "nothing",
    content: [
      back,
      heading(title),
      section(
        texts.state,
        pairs([
          [texts.columns[1], foreign(found.spec.url, LINE)],
          [texts.columns[2], standing(found)],
          ...(found.failing_since ? [[texts.failingSince, time(found.failing_since)] as const] : []),
          [texts.columns[3], String(found.pending)],
          [texts.columns[4], found.spec.types ? found.spec.types.map((kind) => [h("span", { class: "tag" }, foreign(kind, SHORT)), " "]) : texts.allKinds],
          [texts.format, word(texts.formats, found.spec.format)],
          [texts.created, time(found.created)],
        ]),
        h("p", { class: "row" }, tester(app, name, told), remover(app, name, told)),
        told,
      ),
      section(texts.log, await log(app, name)),
      section(texts.change, settings(app, found)),
      section(texts.again, h("p", {}, texts.againHint), example(commandLine(COMMANDS.resend))),
    ],
  };
}

function standing({ spec, failing_since }: schema.WebhookView): Child {
  const texts = words.webhooks;
  if (!spec.enabled) return h("span", { class: "state waiting" }, texts.off);
  if (failing_since) return h("span", { class: "state failed" }, texts.failing);
  return h("span", { class: "state online" }, texts.on);
}

function tester(app: App, name: string, told: HTMLElement): HTMLElement {
  const texts = words.webhooks;
  const test = async (): Promise<void> => {
    try {
      await app.client.testWebhook(name);
      fill(told, alert("good", texts.tested));
    } catch (error) {
      fill(told, problem(error));
    }
  };
  return h("button", { id: "test", click: () => void test() }, texts.test);
}

function remover(app: App, name: string, told: HTMLElement): HTMLElement {
  const texts = words.webhooks;
  const remove = async (): Promise<void> => {
    try {
      await app.client.deleteWebhook(name);
      location.hash = "#/webhooks";
    } catch (error) {
      fill(told, problem(error));
    }
  };
  const click = (): void =>
    ask({ head: texts.deleteHead(name), text: h("p", {}, texts.deleteText), yes: texts.delete, from: "delete" }, () => void remove());
  return h("button", { id: "delete", class: "quiet-danger", click }, texts.delete);
}

/** The deliveries, newest first, by pages. */
async function log(app: App, name: string): Promise<Child> {
  const texts = words.webhooks;
  const list = h("div", {});
  const told = h("div", { "aria-live": "polite" });
  const filter = choice("delivery-state", [["", texts.anyState], ...Object.entries(texts.deliveryStates)]);
  const button = h("button", { id: "older" }, words.more);
  let all: readonly schema.Delivery[] = [];
  let next: string | null = null;
  const load = async (again: boolean): Promise<void> => {
    const state = filter.value === "" ? {} : { state: filter.value };
    const cursor = again || next === null ? {} : { cursor: next };
    const page = await app.client.deliveries(name, { limit: PAGE, ...state, ...cursor });
    all = again ? page.deliveries : [...all, ...page.deliveries];
    next = all.length < MOST ? (page.next ?? null) : null;
    button.hidden = next === null;
    fill(list, all.length === 0 ? empty(texts.noDeliveries) : table(texts.log, texts.logColumns, all.map(delivery)));
  };
  const shown = (again: boolean) => (): void => {
    load(again).then(
      () => fill(told),
      (error: unknown) => fill(told, problem(error)),
    );
  };
  button.addEventListener("click", shown(false));
  filter.addEventListener("change", shown(true));
  await load(true);
  const refresh = h("button", { id: "refresh", click: shown(true) }, texts.refresh);
  return [h("div", { class: "row" }, field(texts.filter, filter), refresh), list, told, button];
}

function delivery(one: schema.Delivery): readonly Child[] {
  const texts = words.webhooks;
  const attempts = one.attempts.slice(0, 20).map((attempt) =>
    h(
      "li",
      {},
      time(attempt.at),
      ` – ${attempt.status ?? texts.noAnswer}, ${spanText(attempt.millis)}`,
      attempt.error ? [": ", foreign(attempt.error, LINE)] : null,
    ),
  );
  const next = one.next_attempt ? h("p", { class: "why" }, `${texts.next}: `, time(one.next_attempt)) : null;
  return [
    time(one.at),
    [foreign(one.type, SHORT), h("p", { class: "why" }, id(one.event))],
    badge(texts.deliveryStates, one.state),
    [attempts.length === 0 ? "–" : h("ol", {}, attempts), next],
  ];
}

function settings(app: App, present: schema.WebhookView | null): HTMLElement {
  const texts = words.webhooks;
  const name = h("input", { id: "hook-name", maxlength: 40, spellcheck: "false", autocomplete: "off", autocapitalize: "none" });
  const url = h("input", { id: "hook-url", type: "url", maxlength: 1000, spellcheck: "false", autocomplete: "off", value: present ? plain(present.spec.url, 1000) : "" });
  const format = choice("hook-format", FORMATS.map((one) => [one, texts.formats[one]]));
  if (present && FORMATS.some((one) => one === present.spec.format)) format.value = present.spec.format;
  const kinds = choices(texts.kinds, "kind", KINDS.map((kind) => [kind, h("code", {}, kind)]), (kind) => present?.spec.types?.includes(kind) ?? false);
  const on = choices(texts.sending, "on", [["on", texts.enabled]], () => present?.spec.enabled ?? true);
  const fields = [
    present ? null : field(texts.name, name, words.keys.nameHint),
    field(texts.url, url, texts.urlHint),
    field(texts.format, format),
    kinds.element,
    h("p", { class: "hint" }, texts.kindsHint),
    on.element,
  ];
  return form("hook", fields, { id: "save-hook", text: present ? texts.save : texts.make }, async (told) => {
    const wanted = present?.name ?? name.value.trim();
    if (!isName(wanted)) return fill(told, alert("bad", words.keys.wrongName));
    if (!/^https?:\/\/[!-~]+$/.test(url.value.trim())) return fill(told, alert("bad", texts.wrongUrl));
    if (!present && (await app.client.webhooks()).some((one) => one.name === wanted)) return fill(told, alert("bad", texts.taken));
    const types = kinds.chosen();
    // What this form does not show stays as it is.
    const kept = (present?.spec.types ?? []).filter((kind) => !KINDS.some((known) => known === kind));
    const chosen = [...types, ...kept];
    await app.client.createWebhook(wanted, {
      url: url.value.trim(),
      format: FORMATS.find((one) => one === format.value) ?? "standard",
      enabled: on.chosen().length > 0,
      ...(chosen.length > 0 ? { types: chosen } : {}),
      ...(present?.spec.wallets ? { wallets: present.spec.wallets } : {}),
    });
    if (present) app.page.redraw();
    else location.hash = webhookHash(wanted) ?? "#/webhooks";
    app.page.notify(alert("good", texts.saved(wanted)));
  });
}

/** API keys: who may do what at the coordinator, as it tells. */

import type { schema } from "../../../clients/typescript/src/index.js";
import type { App, View } from "../app.js";
import { COMMANDS } from "../commands.js";
import { alert, fill, h, table, type Child } from "../dom.js";
import { SHORT, foreign, id, plain, shortId } from "../foreign.js";
import { isName, newSecret } from "../secret.js";
import { commandLine } from "../shell.js";
import { words } from "../words.js";
import { ask, choices, copied, empty, example, field, form, heading, problem, section, time, walletLink, walletNames, word } from "./parts.js";

const SCOPES = ["read", "vote", "create", "admin"] as const;
const DAY = 86_400_000;
/** Keys that are shown at most. */
const MOST = 1000;

export async function keys(app: App): Promise<View> {
  const texts = words.keys;
  const names = await walletNames(app);
  const told = h("div", { "aria-live": "polite" });
  const list = h("div", {});
  const draw = async (): Promise<void> => fill(list, listed(app, await app.api.apiKeys(), names, told, draw));
  await draw();
  return {
    title: texts.head,
    about: "nothing",
    content: [
      heading(texts.head),
      h("p", { class: "lead" }, texts.lead),
      section(texts.list, told, list),
      section(texts.make, maker(app, names, draw)),
      section(texts.rotate, h("p", {}, texts.rotateHint), example(commandLine(COMMANDS.rotateKey))),
    ],
  };
}

function listed(
  app: App,
  all: readonly schema.ApiKeyView[],
  names: ReadonlyMap<string, string>,
  told: HTMLElement,
  draw: () => Promise<void>,
): Child {
  const texts = words.keys;
  if (all.length === 0) return empty(texts.none);
  const rows = all.slice(0, MOST).map((key, index): readonly Child[] => [
    foreign(key.name, SHORT),
    key.spec.scopes.map((scope) => [h("span", { class: "tag" }, word(texts.scopes, scope)), " "]),
    key.spec.wallets ? key.spec.wallets.map((one) => [walletLink(one, names.get(one) ?? null), " "]) : texts.allWallets,
    key.spec.expires ? time(key.spec.expires) : words.never,
    key.spec.requester ? [`${texts.requester} `, h("code", {}, shortId(key.spec.requester))] : h("code", {}, shortId(key.spec.sha256 ?? words.unknown)),
    actions(app, key, index, told, draw),
  ]);
  return table(texts.caption, texts.columns, rows);
}

function actions(app: App, key: schema.ApiKeyView, index: number, told: HTMLElement, draw: () => Promise<void>): Child {
  const texts = words.keys;
  if (key.origin !== "api") return texts.inFile;
  const name = plain(key.name, SHORT);
  const act = async (work: () => Promise<unknown>, done: string): Promise<void> => {
    try {
      await work();
      await draw();
      fill(told, alert("good", done));
    } catch (error) {
      fill(told, problem(error));
    }
  };
  const end = (): void =>
    ask({ head: texts.endHead(name), text: h("p", {}, texts.endText), yes: texts.endYes, from: `end-${index}` }, () => {
      void act(() => app.api.expireApiKey(key.name, Date.now() + DAY), texts.ended);
    });
  const revoke = (): void =>
    ask({ head: texts.revokeHead(name), text: h("p", {}, texts.revokeText), yes: texts.revokeYes, from: `revoke-${index}` }, () => {
      void act(() => app.api.revokeApiKey(key.name), texts.revoked);
    });
  return h(
    "div",
    { class: "row" },
    h("button", { id: `end-${index}`, "aria-label": `${texts.end} ${name}`, click: end }, texts.end),
    h("button", { id: `revoke-${index}`, class: "quiet-danger", "aria-label": `${texts.revoke} ${name}`, click: revoke }, texts.revoke),
  );
}

function maker(app: App, names: ReadonlyMap<string, string>, draw: () => Promise<void>): HTMLElement {
  const texts = words.keys;
  const name = h("input", { id: "key-name", maxlength: 40, spellcheck: "false", autocomplete: "off", autocapitalize: "none" });
  const days = h("input", { id: "key-days", type: "number", min: 0, max: 3650, value: 90, inputmode: "numeric" });
  const scopes = choices(texts.may, "scope", SCOPES.map((scope) => [scope, texts.scopeHints[scope]]), (scope) => scope === "read");
  const wallets = choices(
    texts.only,
    "only",
    [...names].map(([walletId, wallet]) => [walletId, [foreign(wallet, SHORT), " ", h("code", {}, shortId(walletId))]]),
  );
  const fields = [
    h("div", { class: "grid" }, field(texts.name, name, texts.nameHint), field(texts.days, days, texts.daysHint)),
    scopes.element,
    names.size === 0 ? null : [wallets.element, h("p", { class: "hint" }, texts.onlyHint)],
  ];
  return form("new-key", fields, { id: "make-key", text: texts.make }, async (told) => {
    const wanted = name.value.trim();
    const length = Number(days.value);
    if (!isName(wanted)) return fill(told, alert("bad", texts.wrongName));
    if (scopes.chosen().length === 0) return fill(told, alert("bad", texts.noScope));
    if (!Number.isInteger(length) || length < 0 || length > 3650) return fill(told, alert("bad", texts.wrongDays));
    // A name that is taken would change another key, and its holder would be let in no more.
    if ((await app.api.apiKeys()).some((key) => key.name === wanted)) return fill(told, alert("bad", texts.taken));
    const secret = await newSecret();
    const only = wallets.chosen();
    await app.api.putApiKey(wanted, {
      sha256: secret.sha256,
      scopes: scopes.chosen(),
      ...(only.length > 0 ? { wallets: only } : {}),
      ...(length > 0 ? { expires: Date.now() + length * DAY } : {}),
    });
    const forget = (): void => fill(told, alert("note", texts.forgotten));
    fill(
      told,
      h(
        "div",
        { class: "alert good", role: "status" },
        h("p", {}, texts.made(wanted)),
        copied("new-secret", secret.text, texts.secret),
        h("p", {}, texts.once),
        h("p", { class: "row" }, h("button", { id: "forget-secret", click: forget }, texts.forget)),
      ),
      h("p", { class: "hint" }, texts.hash, " ", id(secret.sha256)),
    );
    name.value = "";
    await draw();
  });
}

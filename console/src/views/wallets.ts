/** Wallets and their addresses, verified and derived in this browser. */

import type { Address, Listed, Wallet } from "../../../clients/typescript/src/index.js";
import type { App, View } from "../app.js";
import { csv, fileName } from "../csv.js";
import { labelOf } from "../labels.js";
import { save, textFile } from "../save.js";
import { alert, fill, h, link, pairs, table, type Child } from "../dom.js";
import { LINE, SHORT, foreign, id, plain } from "../foreign.js";
import { childPaths } from "../paths.js";
import { words } from "../words.js";
import { empty, field, heading, node, problem, section, taskIdLink, walletLink, word } from "./parts.js";

/** Generations that are listed. */
const MOST = 100;

export async function wallets(app: App): Promise<View> {
  const texts = words.wallets;
  const listed = await app.client.wallets();
  const rows = listed.map((one) => row(one));
  return {
    title: texts.head,
    about: "all",
    content: [
      heading(texts.head),
      h("p", { class: "lead" }, texts.lead),
      rows.length === 0 ? empty(texts.nothing, link("#/order/new-wallet", words.order.kinds["new-wallet"])) : h("div", { class: "card" }, table(texts.caption, texts.columns, rows)),
    ],
  };
}

function row(one: Listed): readonly Child[] {
  const { wallet, standing } = one;
  const why = one.standing === "refused" ? [" ", foreign(one.error.message, LINE)] : null;
  const name = one.standing === "refused" ? foreign(wallet.name, SHORT) : walletLink(wallet.id, wallet.name);
  return [
    name,
    foreign(wallet.scheme, SHORT),
    words.wallets.threshold(wallet.threshold, wallet.nodes.length),
    String(wallet.generation),
    h("span", { class: `state ${standing}` }, word(words.wallets.standing, standing), why),
  ];
}

/** One wallet. It is shown only if it is believed. */
export async function wallet(app: App, walletId: string): Promise<View> {
  const texts = words.wallets;
  const found = await app.client.newestWallet(walletId);
  const base = h("input", { id: "base", value: usualPath(found.scheme), maxlength: 200, spellcheck: "false" });
  const first = h("input", { id: "first", type: "number", min: 0, value: 0, inputmode: "numeric" });
  const count = h("input", { id: "count", type: "number", min: 1, max: 500, value: 10, inputmode: "numeric" });
  const list = h("div", { "aria-live": "polite" });
  const form = h(
    "form",
    {
      class: "row",
      submit: (event) => {
        event.preventDefault();
        void derive(app, found, [base.value, first.value, count.value], list);
      },
    },
    field(texts.base, base),
    field(texts.first, first),
    field(texts.number, count),
    h("button", { type: "submit", id: "derive" }, texts.derive),
  );
  const title = plain(found.name, SHORT);
  return {
    title,
    about: new Set([found.id]),
    content: [
      h("h1", { tabindex: -1 }, foreign(found.name, SHORT)),
      section(
        texts.one,
        pairs([
          [texts.id, id(found.id)],
          [words.task.scheme, foreign(found.scheme, SHORT)],
          [words.task.threshold, texts.threshold(found.threshold, found.nodes.length)],
          [texts.members, h("ul", {}, found.nodes.map((one) => h("li", {}, node(app, one))))],
          [texts.columns[3] ?? "", String(found.generation)],
          [texts.rootKey, id(app.client.extendedPublicKey(found))],
        ]),
        h("p", {}, link("#/order", texts.order)),
      ),
      section(texts.addresses, h("p", { class: "hint" }, texts.addressHint), form, list),
      section(texts.generations, await generations(app, found)),
    ],
  };
}

/** All generations. */
async function generations(app: App, wallet: Wallet): Promise<Child> {
  const texts = words.wallets;
  const all = (await app.api.generations(wallet.id)).slice(-MOST).reverse();
  const rows = all.map((one): readonly Child[] => [
    String(one.generation),
    texts.threshold(one.threshold, one.committee.length),
    one.committee.map((member) => [node(app, member), " "]),
    taskIdLink(one.task),
  ]);
  return [h("p", { class: "hint" }, texts.generationsHint), table(texts.generations, texts.generationColumns, rows)];
}

/** The account that other wallets of this kind use first. */
function usualPath(scheme: string): string {
  switch (scheme) {
    case "ecdsa-secp256k1":
      return "m/44/60/0/0";
    case "taproot":
      return "m/86/0/0/0";
    case "ed25519":
      return "m/44/501";
    default:
      return "m";
  }
}

async function derive(app: App, wallet: Wallet, [base, first, count]: readonly string[], list: Element): Promise<void> {
  const texts = words.wallets;
  const paths = childPaths(base ?? "", Number(first), Number(count));
  if (paths === null) return fill(list, alert("bad", texts.badRange));
  try {
    const children: Address[] = [];
    for (const path of paths) children.push(await app.client.address(wallet.id, path));
    const rows = children.flatMap((child) =>
      Object.entries(child.addresses).map(([kind, address]) => {
        return [child.path, kind, address, labelOf(app.organisation.labels, address) ?? ""] as const;
      }),
    );
    const shown = rows.map(([path, kind, address, label]): readonly Child[] => [
      h("code", {}, path),
      kind,
      id(address),
      label === "" ? "–" : h("span", { class: "tag" }, foreign(label, SHORT)),
    ]);
    const exported = (): void => {
      const head = ["wallet", "name", "path", "kind", "address", "label"];
      const lines = rows.map(([path, kind, address, label]) => [wallet.id, plain(wallet.name, SHORT), path, kind, address, plain(label, SHORT)]);
      save(textFile(fileName(`${wallet.name}-addresses`, "csv"), csv([head, ...lines])));
    };
    const button = h("button", { id: "export", click: exported }, texts.export);
    fill(list, table(texts.addressCaption, [texts.path, texts.columns[1] ?? "", texts.addressCaption, texts.labelColumn], shown), h("p", { class: "hint" }, words.labels.hint), button);
  } catch (error) {
    fill(list, problem(error));
  }
}

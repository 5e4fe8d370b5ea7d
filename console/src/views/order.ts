/** Composing orders: what would be ordered is built, decoded and shown here, then ordered by a passkey or elsewhere. */

import type { Decoded, Wallet } from "../../../clients/typescript/src/index.js";
import { toHex } from "../../../clients/typescript/src/core.js";
import type { App, View } from "../app.js";
import {
  SCHEMES,
  Wrong,
  checkUp,
  evmSubject,
  messageSubject,
  newWallet,
  psbtSubject,
  reshare,
  signature,
  typedSubject,
  type MessageKind,
  type Order,
  type Scheme,
  type Subject,
  type Wishes,
} from "../compose.js";
import { alert, fill, h, link, pairs, type Child } from "../dom.js";
import { COIN, GWEI, amountOf, isAddress, judged, transaction, wholeOf } from "../evm.js";
import { LONG, SHORT, WHOLE, foreign, id, plain, shortId } from "../foreign.js";
import { labelOf } from "../labels.js";
import { COMPOSERS, type Composer } from "../router.js";
import { submit } from "../submit.js";
import { words } from "../words.js";
import { choice, choices, empty, field, form, heading, label, labelList, node, section } from "./parts.js";

/** The largest file that is read, in bytes. */
const LARGEST = 4 * 1024 * 1024;
/** A digest of 32 bytes, in hexadecimal digits. */
const DIGEST = 64;

/** Networks that people name; every other one by its number. */
const CHAINS = [
  ["1", "Ethereum"],
  ["10", "OP Mainnet"],
  ["56", "BNB Smart Chain"],
  ["137", "Polygon"],
  ["8453", "Base"],
  ["42161", "Arbitrum One"],
  ["43114", "Avalanche C"],
  ["11155111", "Sepolia (test network)"],
] as const;

/** The choice of what to compose. */
export function order(): View {
  const texts = words.order;
  const cards = COMPOSERS.map((kind) =>
    h("li", {}, link(`#/order/${kind}`, h("strong", {}, texts.kinds[kind]), h("span", {}, texts.about[kind]))),
  );
  return {
    title: texts.head,
    about: "nothing",
    content: [heading(texts.head), h("p", { class: "lead" }, texts.lead), h("ul", { class: "tiles" }, cards)],
  };
}

export async function compose(app: App, kind: Composer): Promise<View> {
  const title = words.order.kinds[kind];
  const back = h("p", { class: "back" }, link("#/order", `← ${words.order.all}`));
  return {
    title,
    about: "nothing",
    content: [back, heading(title), h("p", { class: "lead" }, words.order.about[kind]), await composer(app, kind)],
  };
}

async function composer(app: App, kind: Composer): Promise<HTMLElement> {
  if (kind === "new-wallet") return newWalletForm(app);
  const wallets = (await believed(app)).filter(({ scheme }) => schemesOf(kind).includes(scheme as Scheme));
  if (wallets.length === 0) {
    return section(words.order.kinds[kind], empty(words.order.noWallet(schemesOf(kind).map((one) => words.schemes[one]).join(", "))));
  }
  switch (kind) {
    case "coin":
    case "token":
      return transfer(app, wallets, kind === "token");
    case "bitcoin":
      return bitcoin(app, wallets);
    case "message":
      return message(app, wallets);
    case "typed-data":
      return typedData(app, wallets);
    case "reshare":
      return reshareForm(app, wallets);
    case "check":
      return checkForm(app, wallets);
  }
}

/** Which wallets can do it. */
function schemesOf(kind: Composer): readonly Scheme[] {
  switch (kind) {
    case "coin":
    case "token":
    case "typed-data":
      return ["ecdsa-secp256k1"];
    case "bitcoin":
      return ["ecdsa-secp256k1", "taproot"];
    case "message":
    case "new-wallet":
    case "reshare":
    case "check":
      return SCHEMES;
  }
}

async function believed(app: App): Promise<readonly Wallet[]> {
  const listed = await app.client.wallets();
  return listed.filter(({ standing }) => standing !== "refused").map(({ wallet }) => wallet);
}

// Controls that several forms have

interface Chooser {
  readonly element: HTMLElement;
  readonly wallet: () => Wallet;
}

function walletChoice(wallets: readonly Wallet[]): Chooser {
  const select = choice(
    "wallet",
    wallets.map(({ id: walletId, name, scheme }, index) => [
      String(index),
      `${plain(name, SHORT)} – ${kindOf(scheme)} (${shortId(walletId)})`,
    ]),
  );
  const wallet = (): Wallet => {
    const found = wallets[Number(select.value)];
    if (!found) throw new Error(words.order.wrong.wallet);
    return found;
  };
  return { element: field(words.task.wallet, select, words.order.walletHint), wallet };
}

function kindOf(scheme: string): string {
  return Object.hasOwn(words.schemes, scheme) ? words.schemes[scheme as Scheme] : plain(scheme, SHORT);
}

function input(name: string, attributes: Readonly<Record<string, string | number | boolean>> = {}): HTMLInputElement {
  return h("input", { id: name, spellcheck: "false", autocomplete: "off", autocapitalize: "none", maxlength: 300, ...attributes });
}

function pathInput(value: string): HTMLInputElement {
  return input("path", { value, maxlength: 200 });
}

/** Remark and approvals, which every order can have. */
function wishFields(): { readonly element: HTMLElement; readonly wishes: () => Wishes } {
  const texts = words.order;
  const note = input("note", { maxlength: 256 });
  const votes = input("votes", { type: "number", min: 0, max: 128, value: 0, inputmode: "numeric" });
  const hours = input("hours", { type: "number", min: 1, max: 144, value: 24, inputmode: "numeric" });
  const element = h(
    "fieldset",
    {},
    h("legend", {}, texts.wishes),
    field(texts.note, note, texts.noteHint),
    h("div", { class: "grid" }, field(texts.votes, votes, texts.votesHint), field(texts.hours, hours)),
  );
  return { element, wishes: () => ({ note: note.value.trim(), votes: Number(votes.value), hours: Number(hours.value) }) };
}

/** A form whose mistakes are told in words of this application. */
function orderForm(fields: readonly Child[], make: () => Promise<readonly Child[]>): HTMLElement {
  const whole = section(
    words.order.fill,
    form("order", fields, { id: "check", text: words.order.check }, async (told) => {
      try {
        fill(told, ...(await make()));
        told.querySelector<HTMLElement>("h2")?.focus();
      } catch (error) {
        const text = mistake(error);
        if (text === null) throw error;
        fill(told, alert("bad", text));
      }
    }),
  );
  // What was shown is of what was filled in then.
  const told = whole.querySelector("#order-told");
  whole.querySelector("form")?.addEventListener("input", () => told?.replaceChildren());
  return whole;
}

function mistake(error: unknown): string | null {
  if (error instanceof Wrong) return words.order.wrong[error.word];
  return error instanceof Mistake ? error.message : null;
}

/** A mistake of the reader, in words of this application. */
class Mistake extends Error {}

function need<T>(value: T | null, text: string): T {
  if (value === null) throw new Mistake(text);
  return value;
}

// Signatures

function transfer(app: App, wallets: readonly Wallet[], isToken: boolean): HTMLElement {
  const texts = words.order;
  const wallet = walletChoice(wallets);
  const path = pathInput("m/44/60/0/0/0");
  const chain = choice("chain", [...CHAINS, ["other", texts.otherChain]]);
  const chainId = input("chain-id", { inputmode: "numeric" });
  const other = field(texts.chainId, chainId);
  const showOther = (): void => void (other.hidden = chain.value !== "other");
  chain.addEventListener("change", showOther);
  showOther();
  const contract = input("contract");
  const decimals = input("decimals", { type: "number", min: 0, max: 77, value: 18, inputmode: "numeric" });
  const to = input("to");
  const amount = input("amount", { inputmode: "decimal" });
  const nonce = input("nonce", { inputmode: "numeric" });
  const gas = input("gas", { value: isToken ? "65000" : "21000", inputmode: "numeric" });
  const most = input("most", { inputmode: "decimal" });
  const tip = input("tip", { value: "1", inputmode: "decimal" });
  const more = wishFields();
  const fields = [
    wallet.element,
    h("div", { class: "grid" }, field(texts.chain, chain), other, field(words.task.path, path, texts.pathHint)),
    isToken
      ? h("div", { class: "grid" }, field(texts.contract, contract, texts.contractHint), field(texts.decimals, decimals, texts.decimalsHint))
      : null,
    field(texts.to, to, texts.toHint),
    field(texts.amount, amount, isToken ? texts.tokenAmountHint : texts.amountHint),
    h(
      "fieldset",
      {},
      h("legend", {}, texts.fees),
      h("p", { class: "hint" }, texts.feesHint),
      h("div", { class: "grid" }, field(texts.nonce, nonce, texts.nonceHint), field(texts.gas, gas), field(texts.most, most), field(texts.tip, tip)),
    ),
    more.element,
  ];
  return orderForm(fields, async () => {
    const wrong = texts.wrong;
    const destination = to.value.trim();
    if (!isAddress(destination)) throw new Mistake(wrong.to);
    const token = isToken ? contract.value.trim() : null;
    if (token !== null && !isAddress(token)) throw new Mistake(wrong.contract);
    const payment = {
      chain: need(wholeOf(chain.value === "other" ? chainId.value : chain.value), wrong.chain),
      nonce: need(wholeOf(nonce.value), wrong.nonce),
      gas: need(wholeOf(gas.value), wrong.gas),
      most: need(amountOf(most.value, GWEI), wrong.fees),
      tip: need(amountOf(tip.value, GWEI), wrong.fees),
      amount: need(amountOf(amount.value, isToken ? Number(decimals.value) : COIN), wrong.amount),
      to: destination,
      token,
    };
    if (payment.amount === 0n) throw new Mistake(wrong.amount);
    if (payment.tip > payment.most) throw new Mistake(wrong.tip);
    const subject = evmSubject(transaction(payment));
    return await reviewed(app, wallet.wallet(), path.value, subject, more.wishes(), (decoded) => {
      for (const address of token === null ? [destination] : [destination, token]) {
        const found = judged(address, decoded.lines);
        if (found !== "good") throw new Mistake(wrong[found]);
      }
      return token === null ? [] : [[texts.amount, texts.tokenAmount(amount.value.trim(), payment.amount.toString())]];
    });
  });
}

function bitcoin(app: App, wallets: readonly Wallet[]): HTMLElement {
  const texts = words.order;
  const wallet = walletChoice(wallets);
  const file = input("psbt-file", { type: "file", accept: ".psbt,.txt" });
  const text = h("textarea", { id: "psbt", rows: 5, spellcheck: "false", autocomplete: "off" });
  const more = wishFields();
  return orderForm([wallet.element, field(texts.psbtFile, file), field(texts.psbtText, text), more.element], async () => {
    const bytes = await contents(file, text.value.trim());
    return await reviewed(app, wallet.wallet(), "m", psbtSubject(bytes), more.wishes());
  });
}

function typedData(app: App, wallets: readonly Wallet[]): HTMLElement {
  const texts = words.order;
  const wallet = walletChoice(wallets);
  const path = pathInput("m/44/60/0/0/0");
  const file = input("typed-file", { type: "file", accept: ".json,application/json" });
  const text = h("textarea", { id: "typed", rows: 10, spellcheck: "false", autocomplete: "off" });
  const more = wishFields();
  const fields = [wallet.element, field(words.task.path, path, texts.pathHint), field(texts.typedFile, file), field(texts.typedText, text), more.element];
  return orderForm(fields, async () => {
    const given = new TextDecoder().decode(await contents(file, text.value));
    return await reviewed(app, wallet.wallet(), path.value, typedSubject(given), more.wishes());
  });
}

function message(app: App, wallets: readonly Wallet[]): HTMLElement {
  const texts = words.order;
  const wallet = walletChoice(wallets);
  const kinds: readonly MessageKind[] = ["message", "eip191", "bitcoin-message"];
  const kind = choice("message-kind", kinds.map((one) => [one, texts.messageKinds[one]]));
  const path = pathInput("m");
  const text = h("textarea", { id: "text", rows: 5, maxlength: 20_000 });
  const address = input("address", { maxlength: 100 });
  const by = field(texts.address, address, texts.addressHint);
  const show = (): void => void (by.hidden = kind.value !== "bitcoin-message");
  kind.addEventListener("change", show);
  show();
  const more = wishFields();
  const fields = [
    wallet.element,
    h("div", { class: "grid" }, field(texts.messageKind, kind), field(words.task.path, path, texts.pathHint)),
    by,
    field(texts.text, text),
    more.element,
  ];
  return orderForm(fields, async () => {
    const chosen = kinds.find((one) => one === kind.value) ?? "message";
    const subject = messageSubject(chosen, text.value, address.value.trim());
    return await reviewed(app, wallet.wallet(), path.value, subject, more.wishes());
  });
}

/** What was pasted, or else what is in the file. */
async function contents(file: HTMLInputElement, text: string): Promise<Uint8Array<ArrayBuffer>> {
  const [given] = file.files ?? [];
  if (text !== "" && given) throw new Mistake(words.order.wrong.both);
  if (text !== "") return new TextEncoder().encode(text);
  if (!given) throw new Mistake(words.order.wrong.nothing);
  if (given.size > LARGEST) throw new Mistake(words.order.wrong.large);
  return new Uint8Array(await given.arrayBuffer());
}

/**
 * The order of a signature, decoded by the module from the bytes that would be signed. `judge` throws if that is not what
 * the reader meant, and has more to show otherwise.
 */
async function reviewed(
  app: App,
  wallet: Wallet,
  pathText: string,
  subject: Subject,
  wishes: Wishes,
  judge: (decoded: Decoded) => readonly (readonly [string, Child])[] = () => [],
): Promise<readonly Child[]> {
  const texts = words.order;
  const path = pathText.trim();
  if (!/^m(?:\/\d{1,10})*$/.test(path)) throw new Mistake(texts.wrong.path);
  // Followed to its newest generation, and refused if the profile does not vouch for it.
  const newest = await app.client.newestWallet(wallet.id);
  const decoded = await app.client.decode(newest.id, subject.payload, path);
  const more = judge(decoded);
  const signed = decoded.inputs.map(({ signedBytes }) => toHex(signedBytes));
  const pinned = signed.every((one) => one.length === DIGEST) ? signed : [];
  const order = signature(newest.id, path, subject, pinned, wishes);
  const lines = decoded.lines.map((line) => h("li", {}, foreign(line, WHOLE)));
  return review(app, order, [
    decoded.blind ? alert("bad", words.task.blind) : null,
    h("div", { class: "whole", tabindex: 0, role: "group", "aria-label": words.reading.label }, h("ul", { class: "effect" }, lines)),
    labelList(app, decoded.lines),
    pairs([
      [words.task.wallet, [foreign(newest.name, SHORT), " ", id(newest.id), " ", verified()]],
      ...more,
      ...(await senders(app, newest, subject.payload.kind, decoded)),
      ...signed.slice(0, 10).map((digest) => [texts.signs, id(digest)] as const),
    ]),
  ]);
}

function verified(): HTMLElement {
  return h("span", { class: "state believed" }, words.order.verified);
}

/** The addresses of the children that sign. */
async function senders(app: App, wallet: Wallet, kind: string, { inputs }: Decoded): Promise<readonly (readonly [string, Child])[]> {
  const paths = [...new Set(inputs.map(({ path }) => path))].slice(0, 5);
  const rows: (readonly [string, Child])[] = [];
  for (const path of paths) {
    const { addresses } = await app.client.address(wallet.id, path);
    const own = Object.entries(addresses).filter(([family]) => isOf(kind, family));
    const shown = own.map(([family, address]) => {
      const known = labelOf(app.organisation.labels, address);
      return h("li", {}, h("span", { class: "hint" }, `${family} `), known === null ? id(address) : label({ address, label: known }));
    });
    rows.push([words.order.signer(path), h("ul", { class: "plain" }, shown)]);
  }
  return rows;
}

/** True if a payload of this kind is signed for an address of this one. */
function isOf(kind: string, family: string): boolean {
  if (kind.startsWith("evm") || kind.startsWith("eip")) return family === "evm";
  if (kind === "psbt" || kind === "bitcoin-message") return family.startsWith("bitcoin");
  return true;
}

// Wallets

function newWalletForm(app: App): HTMLElement {
  const texts = words.order;
  const name = input("name", { maxlength: 64 });
  const scheme = choice("scheme", SCHEMES.map((one) => [one, `${words.schemes[one]} – ${texts.schemeUses[one]}`]));
  const holders = nodeChoices(app, () => false);
  const threshold = input("threshold", { type: "number", min: 2, max: 9, value: 2, inputmode: "numeric" });
  const more = wishFields();
  const fields = [field(words.task.newName, name), field(words.task.scheme, scheme), holders.element, field(words.task.threshold, threshold, texts.thresholdHint), more.element];
  return orderForm(fields, async () => {
    const chosen = SCHEMES.find((one) => one === scheme.value) ?? SCHEMES[0];
    const wallet = { name: name.value.trim(), scheme: chosen, nodes: holders.chosen(), threshold: Number(threshold.value) };
    const order = newWallet(wallet, more.wishes());
    return review(app, order, [
      h("p", { class: "kind" }, texts.makes(words.schemes[chosen])),
      pairs([
        [words.task.newName, foreign(wallet.name, SHORT)],
        [words.task.threshold, words.wallets.threshold(wallet.threshold, wallet.nodes.length)],
        [words.task.members, nodeList(app, wallet.nodes)],
      ]),
    ]);
  });
}

function reshareForm(app: App, wallets: readonly Wallet[]): HTMLElement {
  const texts = words.order;
  const wallet = walletChoice(wallets);
  const holders = nodeChoices(app, (one) => wallets[0]?.nodes.includes(one) ?? false);
  const threshold = input("threshold", { type: "number", min: 2, max: 9, value: wallets[0]?.threshold ?? 2, inputmode: "numeric" });
  const more = wishFields();
  const fields = [wallet.element, holders.element, field(words.task.threshold, threshold, texts.thresholdHint), more.element];
  return orderForm(fields, async () => {
    const from = await app.client.newestWallet(wallet.wallet().id);
    const nodes = holders.chosen();
    const order = reshare({ id: from.id, descriptor: from.descriptor, nodes, threshold: Number(threshold.value) }, more.wishes());
    const leave = from.nodes.filter((one) => !nodes.includes(one));
    const come = nodes.filter((one) => !from.nodes.includes(one));
    return review(app, order, [
      h("p", { class: "kind" }, texts.hands),
      alert("note", texts.handsNote),
      pairs([
        [words.task.wallet, [foreign(from.name, SHORT), " ", id(from.id), " ", verified()]],
        [words.task.threshold, `${words.wallets.threshold(from.threshold, from.nodes.length)} → ${words.wallets.threshold(Number(threshold.value), nodes.length)}`],
        [texts.leave, leave.length === 0 ? words.nobody : nodeList(app, leave)],
        [texts.come, come.length === 0 ? words.nobody : nodeList(app, come)],
        [words.task.members, nodeList(app, nodes)],
      ]),
    ]);
  });
}

function checkForm(app: App, wallets: readonly Wallet[]): HTMLElement {
  const wallet = walletChoice(wallets);
  const more = wishFields();
  return orderForm([wallet.element, more.element], async () => {
    const from = await app.client.newestWallet(wallet.wallet().id);
    return review(app, checkUp(from.id, from.nodes, more.wishes()), [
      h("p", { class: "kind" }, words.order.checks),
      pairs([
        [words.task.wallet, [foreign(from.name, SHORT), " ", id(from.id), " ", verified()]],
        [words.task.members, nodeList(app, from.nodes)],
      ]),
    ]);
  });
}

function nodeChoices(app: App, ticked: (node: string) => boolean): ReturnType<typeof choices> {
  const options = [...app.nodes].map(([nodeId, name]) => [nodeId, [foreign(name, SHORT), " ", h("code", {}, shortId(nodeId))]] as const);
  return choices(words.order.holders, "holder", options, ticked);
}

function nodeList(app: App, nodes: readonly string[]): Child {
  return h("ul", {}, nodes.map((one) => h("li", {}, node(app, one), " ", h("code", {}, shortId(one)))));
}

/** What would be ordered, and how it goes on. */
function review(app: App, order: Order, shown: readonly Child[]): readonly Child[] {
  const texts = words.order;
  return [
    h(
      "section",
      { class: "review", "aria-labelledby": "review-head" },
      h("h2", { id: "review-head", tabindex: -1 }, texts.review),
      ...shown,
      order.note === null ? null : pairs([[words.task.note, foreign(order.note, LONG)]]),
      h("p", { class: "proof" }, order.operation["sign"] ? texts.decodedHere : texts.builtHere),
      submit(app, order),
    ),
  ];
}

/**
 * Ordering here, by a passkey that the profile trusts as a requester. The order is made by the module, decoded again from its
 * exact bytes, read to its end, signed once, and verified as nodes verify it before it leaves the page.
 */

import {
  NotFound,
  Pending,
  type OrderedTask,
  type OrderMessage,
  type Payload,
  type Task,
  type schema,
} from "../../../clients/typescript/src/index.js";
import { ownPasskeys, type App } from "../app.js";
import type { Order, Scheme } from "../compose.js";
import { alert, fill, h, pairs, type Child } from "../dom.js";
import { LONG, SHORT, foreign, id, plain, shortId } from "../foreign.js";
import { partsOf } from "../order.js";
import { requesterName } from "../organisation.js";
import { WrongKind, assertion, hasPasskeys } from "../passkey.js";
import { taskHash } from "../router.js";
import { words } from "../words.js";
import { labelList, node, problem, time, word } from "./parts.js";
import { reading } from "./reading.js";

/** An order with its signature. */
type Signed = schema.Submission;

/** Seconds for which a signature may be made: time to read it, and for the nodes. Others have more anyway. */
const LIFE = 600;
const HOUR = 3_600_000;

/** A passkey that may order. */
interface Orderer {
  readonly requester: string;
  readonly credential: string;
  readonly label: string;
}

/** The way to order here; null if no passkey of this browser is a requester. */
export function ordering(app: App, order: Order): HTMLElement | null {
  const texts = words.ordering;
  const { passkeys } = app.organisation.profile;
  if (!passkeys || !passkeys.origins.includes(location.origin) || !hasPasskeys()) return null;
  const [first, ...more] = orderers(app);
  if (!first) return null;
  const all = [first, ...more];
  const select = h("select", { id: "orderer" }, all.map(({ label }, index) => h("option", { value: index }, label)));
  const told = h("div", { id: "ordered", "aria-live": "polite" });
  const button = h("button", { id: "order-here", class: "primary" }, texts.open);
  const start = async (): Promise<void> => {
    button.disabled = true;
    fill(told, h("p", { role: "status", class: "loading" }, words.loading));
    try {
      const by = all[Number(select.value)] ?? first;
      const message = await messageOf(app, order, by.requester);
      const seen = await app.client.preview(message);
      fill(told);
      confirm(app, { by, message, seen, rpId: passkeys.rpId }, told, () => (button.disabled = false));
    } catch (error) {
      fill(told, problem(error));
      button.disabled = false;
    }
  };
  button.addEventListener("click", () => void start());
  return h(
    "div",
    {},
    h("h3", {}, texts.head),
    h("p", {}, texts.hint),
    h("p", {}, h("label", { for: "orderer" }, texts.as), select),
    h("p", { class: "row" }, button),
    told,
  );
}

/** The passkeys of this browser that the profile trusts as requesters. */
function orderers(app: App): readonly Orderer[] {
  return ownPasskeys(app).flatMap(({ approver, credential }) => {
    const requester = app.client.requesterOfApprover(approver);
    const name = requesterName(app.organisation.profile, requester);
    return name === null ? [] : [{ requester, credential, label: `${plain(name, SHORT)} (${shortId(requester)})` }];
  });
}

/** What the passkey is to sign. Its life begins now. */
async function messageOf({ client }: App, order: Order, requester: string): Promise<OrderMessage> {
  const by = { requester };
  const collect = order.collect && { votes: order.collect.votes, until: Date.now() + order.collect.hours * HOUR };
  const options = { ...(order.note === null ? {} : { note: order.note }), ...(collect ? { collect } : {}) };
  const [[kind, inner] = ["", {}]] = Object.entries(order.operation);
  const { wallet, path, payload, name, scheme, nodes, threshold, from } = inner as Readonly<{
    wallet: string;
    path: string;
    payload: Payload;
    name: string;
    scheme: Scheme;
    nodes: readonly string[];
    threshold: number;
    from: { readonly key: string };
  }>;
  switch (kind) {
    case "sign":
      return await client.signMessage(wallet, payload, by, { ...options, path, timeout: LIFE });
    case "create-wallet":
      return client.createWalletMessage({ ...options, name, scheme, nodes, threshold }, by);
    case "reshare":
      return await client.reshareMessage(from.key, { ...options, nodes, threshold }, by);
    case "check-up":
      return await client.checkUpMessage(wallet, by, { ...options, nodes, timeout: LIFE });
    default:
      throw new Error(words.order.wrong.wallet);
  }
}

/** What is about to be signed. */
interface Wish {
  readonly by: Orderer;
  readonly message: OrderMessage;
  /** The same, decoded again from its bytes. */
  readonly seen: OrderedTask;
  readonly rpId: string;
}

/** Shows the whole order once more. The passkey signs what is shown here, and once. */
function confirm(app: App, wish: Wish, told: HTMLElement, again: () => void): void {
  const texts = words.ordering;
  const { message, seen, by } = wish;
  const inside = h("div", { "aria-live": "polite" });
  const go = h("button", { id: "order-go", class: "primary" }, texts.go);
  const cancel = h("button", { id: "order-cancel" }, words.vote.cancel);
  const text = seen.decoded ? reading(seen.hash, seen.decoded.lines, app.read) : null;
  if (text && !text.isRead()) go.disabled = true;
  text?.whenRead(() => (go.disabled = false));
  const dialog = h(
    "dialog",
    { class: "wide", "aria-labelledby": "order-head" },
    h("h2", { id: "order-head" }, texts.confirm),
    seen.decoded?.blind ? alert("bad", words.task.blind) : null,
    text?.element,
    seen.decoded ? labelList(app, seen.decoded.lines) : null,
    facts(app, seen),
    h("p", {}, texts.check),
    h("p", {}, id(message.hash)),
    h("p", {}, `${texts.as}: `, foreign(by.label, SHORT)),
    inside,
    h("p", { class: "row" }, cancel, go),
  );
  const turn = { stopped: false, sent: false };
  const leave = (): void => {
    dialog.close();
    dialog.remove();
    document.getElementById("order-here")?.focus();
  };
  const stop = (event: Event): void => {
    event.preventDefault();
    if (turn.sent) return;
    turn.stopped = true;
    leave();
    fill(told, alert("note", texts.stopped));
    again();
  };
  cancel.addEventListener("click", stop);
  dialog.addEventListener("cancel", stop);
  go.addEventListener("click", () => {
    go.disabled = true;
    fill(inside, alert("note", words.vote.waiting));
    void signed(app, wish).then(
      async (order) => {
        // The person may have stopped meanwhile: what the authenticator returned is dropped.
        if (turn.stopped) return;
        turn.sent = true;
        fill(inside, alert("note", texts.sending));
        await handIn(app, message, order, told);
        leave();
      },
      (error: unknown) => {
        if (turn.stopped) return;
        fill(inside, unsigned(error));
        go.disabled = false;
      },
    );
  });
  document.body.append(dialog);
  dialog.showModal();
  cancel.focus();
}

/** The parts of an order besides its effect. */
function facts(app: App, seen: OrderedTask): Child {
  const texts = words.task;
  const parts = partsOf(seen);
  const { wallet } = seen;
  const list = (nodes: readonly string[]): Child => h("ul", {}, nodes.map((one) => h("li", {}, node(app, one))));
  const row = (name: string, value: Child): readonly (readonly [string, Child])[] => (value === null ? [] : [[name, value]]);
  return [
    h("p", { class: "kind" }, word(words.operations, parts.kind)),
    pairs([
      ...row(texts.wallet, wallet && [foreign(wallet.name, SHORT), " ", id(wallet.id)]),
      ...row(texts.path, parts.path),
      ...row(texts.newName, parts.name === null ? null : foreign(parts.name, SHORT)),
      ...row(texts.scheme, parts.scheme),
      ...row(texts.from, parts.from && list(parts.from)),
      ...row(texts.members, parts.members && list(parts.members)),
      ...row(texts.threshold, parts.threshold === null ? null : String(parts.threshold)),
      ...row(texts.members, parts.asked && list(parts.asked)),
      ...row(texts.note, parts.note === null ? null : foreign(parts.note, LONG)),
      [texts.notAfter, time(parts.notAfter)],
    ]),
  ];
}

/** Has the passkey sign, and checks the order as nodes do. */
async function signed({ client }: App, { by, message, rpId }: Wish): Promise<Signed> {
  const { response } = await assertion(rpId, message.challenge, by.credential);
  return client.orderFromAssertion(message, response);
}

function unsigned(error: unknown): HTMLElement {
  if (error instanceof DOMException || error instanceof WrongKind) return alert("note", words.ordering.stopped);
  return problem(error);
}

/** Hands the signed order in. It is never signed a second time: whatever comes of it, these are the bytes. */
async function handIn(app: App, message: OrderMessage, order: Signed, told: HTMLElement): Promise<void> {
  // Another order under this id is not taken for it.
  app.shownHashes.set(message.id, message.hash);
  try {
    const task = await app.client.handInOrder(order);
    if (isIt(task, order)) return follow(app, message.id);
    fill(told, alert("bad", words.ordering.other, " ", id(message.id)), retry(app, message, order, told));
  } catch (error) {
    const reason = error instanceof Pending ? alert("bad", words.ordering.unknown, " ", id(message.id)) : [problem(error), h("p", {}, words.ordering.refused, " ", id(message.id))];
    fill(told, reason, retry(app, message, order, told));
  }
}

/** True if the coordinator shows exactly these bytes. */
function isIt({ view }: Task, order: Signed): boolean {
  return view.task === order.task;
}

/** What a person can do if she does not know whether it was ordered. */
function retry(app: App, message: OrderMessage, order: Signed, told: HTMLElement): HTMLElement {
  const texts = words.ordering;
  const found = h("div", { id: "look-told", "aria-live": "polite" });
  const look = async (): Promise<void> => {
    fill(found, h("p", { role: "status", class: "loading" }, words.loading));
    try {
      const task = await app.client.task(message.id);
      if (isIt(task, order)) return follow(app, message.id);
      fill(found, alert("bad", texts.other));
    } catch (error) {
      fill(found, error instanceof NotFound ? alert("note", texts.absent) : problem(error));
    }
  };
  return h(
    "div",
    {},
    h("p", {}, texts.retry),
    h(
      "p",
      { class: "row" },
      h("button", { id: "look-again", click: () => void look() }, texts.look),
      h("button", { id: "same-again", click: () => void handIn(app, message, order, told) }, texts.again),
    ),
    found,
  );
}

/** Shows the task, which changes by itself. */
function follow(app: App, taskId: string): void {
  const place = taskHash(taskId);
  if (place === null) return;
  addEventListener("hashchange", () => app.page.notify(alert("good", words.ordering.done)), { once: true });
  location.hash = place;
}

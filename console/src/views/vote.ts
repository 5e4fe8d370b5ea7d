/** A vote by passkey on exactly the order that this page shows. */

import type { Choice, Examined } from "../../../clients/typescript/src/index.js";
import { ownPasskeys, type App } from "../app.js";
import { alert, fill, h, type Child } from "../dom.js";
import { LINE, SHORT, foreign, id, plain, shortId } from "../foreign.js";
import { approverName } from "../organisation.js";
import { WrongKind, assertion, hasPasskeys, remember } from "../passkey.js";
import { isOvertaken, lastVote, ownKeys } from "../waiting.js";
import { words } from "../words.js";
import { problem, section } from "./parts.js";
import type { Reading } from "./reading.js";

/** Somebody as whom a vote can be given. */
interface Candidate {
  readonly approver: string;
  /** Null: the person finds the passkey herself. */
  readonly credential: string | null;
  readonly label: string;
}

/** `text`: what has to be read before an approval; null if nothing is signed. */
export function ballot(app: App, examined: Examined, text: Reading | null): HTMLElement {
  const texts = words.vote;
  const { passkeys } = app.organisation.profile;
  if (!passkeys) return section(texts.head, alert("note", texts.noPages));
  if (!passkeys.origins.includes(location.origin)) return section(texts.head, alert("bad", texts.wrongPage(location.origin)));
  if (!hasPasskeys()) return section(texts.head, alert("bad", words.passkey.unsupported));
  const people = candidates(app);
  const told = h("div", { "aria-live": "polite" });
  if (people.length === 0) return section(texts.head, alert("note", texts.noKeys));
  const select = h(
    "select",
    { id: "voter" },
    people.map(({ label }, index) => h("option", { value: index }, label)),
  );
  const ask = (choice: Choice) => (): void => {
    const by = people[Number(select.value)];
    if (by) confirm(app, examined, { by, choice, rpId: passkeys.rpId }, told);
  };
  const approve = h("button", { id: "approve", class: "primary", click: ask("approve") }, texts.approve);
  const unread = h("p", { id: "unread", role: "status", class: "hint" });
  if (text && !text.isRead()) {
    approve.disabled = true;
    approve.setAttribute("aria-describedby", "unread");
    fill(approve, texts.approveUnread);
    fill(unread, texts.unread);
  }
  text?.whenRead(() => {
    approve.disabled = false;
    fill(approve, texts.approve);
    fill(unread);
  });
  return section(
    texts.head,
    h("p", {}, h("label", { for: "voter" }, texts.as), select),
    unread,
    h(
      "p",
      { class: "row" },
      approve,
      h("button", { id: "reject", class: "danger", click: ask("reject") }, texts.reject),
    ),
    told,
  );
}

/** First the passkeys of this browser, then everybody in the profile. */
function candidates(app: App): readonly Candidate[] {
  const { approvers } = app.organisation.profile;
  const own = ownPasskeys(app).map(({ approver, credential }) => {
    const name = approverName(app.organisation.profile, approver);
    return { approver, credential, label: `${labelOf(name, approver)} – ${words.vote.yours}` };
  });
  // An own passkey that the profile does not list would not count.
  const listed = own.filter(({ approver }) => !approvers || approverName(app.organisation.profile, approver) !== null);
  const others = Object.entries(approvers ?? {}).flatMap(([name, keys]) =>
    keys
      .filter((key) => !own.some(({ approver }) => approver === key))
      .map((approver) => ({ approver, credential: null, label: labelOf(name, approver) })),
  );
  return [...listed, ...others];
}

function labelOf(name: string | null, approver: string): string {
  return name === null ? shortId(approver) : `${plain(name, SHORT)} (${shortId(approver)})`;
}

interface Wish {
  readonly by: Candidate;
  readonly choice: Choice;
  readonly rpId: string;
}

/** How far a vote has come. */
interface Turn {
  stopped: boolean;
  sent: boolean;
}

/** A dialog, so that nobody votes by a slip. The order under it stays as it is meanwhile. */
function confirm(app: App, examined: Examined, wish: Wish, told: HTMLElement): void {
  const texts = words.vote;
  const { choice } = wish;
  const inside = h("div", { "aria-live": "polite" });
  const go = h("button", { id: "go", class: choice === "approve" ? "primary" : "danger" }, texts.go[choice]);
  const cancel = h("button", { id: "cancel" }, texts.cancel);
  const dialog = h(
    "dialog",
    { "aria-labelledby": "confirm-head" },
    h("h2", { id: "confirm-head" }, texts.confirm[choice]),
    summary(examined),
    h("p", {}, texts.check),
    h("p", {}, id(examined.hash)),
    h("p", {}, `${texts.as}: `, foreign(wish.by.label, LINE)),
    inside,
    h("p", { class: "row" }, cancel, go),
  );
  const turn: Turn = { stopped: false, sent: false };
  // The focus goes back to where it came from.
  const leave = (): void => {
    dialog.close();
    dialog.remove();
    document.getElementById(choice)?.focus();
  };
  const stop = (event: Event): void => {
    event.preventDefault();
    // What was sent cannot be taken back.
    if (turn.sent) return;
    turn.stopped = true;
    fill(told, alert("note", texts.stopped));
    leave();
  };
  cancel.addEventListener("click", stop);
  // Escape.
  dialog.addEventListener("cancel", stop);
  go.addEventListener("click", () => {
    go.disabled = true;
    fill(inside, alert("note", texts.waiting));
    void give(app, examined, wish, turn).then((outcome) => {
      if (turn.stopped) return;
      leave();
      app.page.notify(outcome);
      app.page.redraw();
    });
  });
  document.body.append(dialog);
  dialog.showModal();
  cancel.focus();
}

/** What matters most, once more. */
function summary({ decoded }: Examined): Child {
  const lines = decoded?.lines.slice(0, 8) ?? [];
  const left = (decoded?.lines.length ?? 0) - lines.length;
  if (lines.length === 0) return null;
  return [
    h("ul", { class: "effect" }, lines.map((line) => h("li", {}, foreign(line, LINE)))),
    left > 0 ? h("p", { class: "hint" }, words.vote.moreLines(left)) : null,
  ];
}

async function give(app: App, examined: Examined, { by, choice, rpId }: Wish, turn: Turn): Promise<HTMLElement> {
  const texts = words.vote;
  const { client } = app;
  try {
    const keys = ownKeys([by.approver], app.organisation.profile.approvers);
    const after = await newest(app, examined, keys);
    const { challenge, ballot } = client.voteMessage(examined, { approver: by.approver, choice, ...after });
    const asserted = await assertion(rpId, challenge, by.credential);
    // Checked as nodes check it, so a vote of another passkey never leaves the page.
    const vote = checked(() => client.voteFromAssertion(ballot, asserted.response));
    if (!vote) return alert("bad", texts.otherKey);
    // The person may have stopped while the authenticator was asked: what it returned is dropped.
    if (turn.stopped) return alert("note", texts.stopped);
    turn.sent = true;
    // From now on this browser knows whose it is.
    remember(app.store, { approver: by.approver, credential: asserted.credential });
    app.voted.set(examined.hash, ballot.time);
    const listed = await client.submitVote(examined, vote);
    if (isOvertaken(keys, listed, ballot.time)) return alert("bad", texts.notNewest);
    return alert("good", texts.done);
  } catch (error) {
    // The person closed the browser's own dialog, or took too long.
    if (error instanceof DOMException || error instanceof WrongKind) return alert("note", texts.stopped);
    return problem(error);
  }
}

/** The time of the person's newest vote: as votes prove it that are listed now, and as this page remembers it. */
async function newest(app: App, { task, hash }: Examined, keys: ReadonlySet<string>): Promise<{ readonly after?: number }> {
  const listed = await app.client.votes(task);
  const times = [listed ? lastVote(keys, listed) : null, app.voted.get(hash) ?? null].filter((time) => time !== null);
  return times.length === 0 ? {} : { after: Math.max(...times) };
}

function checked<T>(make: () => T): T | null {
  try {
    return make();
  } catch (error) {
    if ((error as { readonly code?: string }).code === "vote-not-made") return null;
    throw error;
  }
}

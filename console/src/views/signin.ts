/** Signing in. */

import { Core } from "../../../clients/typescript/src/core.js";
import { alert, fill, h } from "../dom.js";
import { LINE, foreign } from "../foreign.js";
import { WrongKind, hasPasskeys } from "../passkey.js";
import { Refused, Session } from "../session.js";
import { words } from "../words.js";

/** What signing in needs of the page around it. */
export interface Way {
  /** Gets the session. */
  entered(session: Session): void;
  /** The module, which makes what a passkey signs. */
  module(): Promise<WebAssembly.Module>;
}

/** The ways in. `ended`: a session ended by itself. */
export function signIn(way: Way, ended: boolean): HTMLElement[] {
  const byPasskey = h("div", {});
  // A server that does not answer says so by the form below.
  Session.passkeyDomain().then(
    (rpId) => {
      if (rpId !== null && hasPasskeys()) fill(byPasskey, passkeyWay(way, rpId));
    },
    () => undefined,
  );
  const told = ended ? alert("note", words.signIn.ended) : null;
  return [h("h1", { tabindex: -1 }, words.signIn.head), h("div", { "aria-live": "polite" }, told), byPasskey, keyForm(way)];
}

function passkeyWay(way: Way, rpId: string): HTMLElement {
  const texts = words.signIn.passkey;
  const told = h("div", { "aria-live": "polite" });
  const button = h("button", { id: "by-passkey", class: "primary" }, texts.submit);
  const submit = async (): Promise<void> => {
    button.disabled = true;
    fill(told, alert("note", texts.waiting));
    try {
      const core = await Core.load(await way.module());
      way.entered(await Session.beginByPasskey(core, rpId));
    } catch (error) {
      fill(told, alert("bad", passkeyProblem(error)));
      button.disabled = false;
      button.focus();
    }
  };
  button.addEventListener("click", () => void submit());
  return h(
    "section",
    { class: "card narrow", "aria-labelledby": "by-passkey-head" },
    h("h2", { id: "by-passkey-head" }, texts.head),
    h("p", {}, texts.intro),
    told,
    button,
  );
}

function passkeyProblem(error: unknown): string | Node {
  // The person closed the browser's own dialog, or took too long.
  if (error instanceof DOMException || error instanceof WrongKind) return words.signIn.passkey.stopped;
  return error instanceof Refused ? foreign(error.message, LINE) : words.errors.server;
}

function keyForm({ entered }: Pick<Way, "entered">): HTMLElement {
  const texts = words.signIn;
  const input = h("input", {
    id: "api-key",
    type: "password",
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
    maxlength: 400,
    required: true,
    "aria-describedby": "api-key-hint",
  });
  const told = h("div", { "aria-live": "polite" });
  const button = h("button", { type: "submit", class: "primary" }, texts.submit);
  const submit = async (): Promise<void> => {
    const key = input.value.trim();
    if (key === "") {
      fill(told, alert("bad", texts.empty));
      input.focus();
      return;
    }
    button.disabled = true;
    try {
      const session = await Session.begin(key);
      entered(session);
    } catch (error) {
      fill(told, alert("bad", problem(error)));
      input.focus();
    } finally {
      // Neither the field nor the page keeps it.
      input.value = "";
      button.disabled = false;
    }
  };
  return h(
    "form",
    {
      class: "card narrow",
      novalidate: true,
      submit: (event) => {
        event.preventDefault();
        void submit();
      },
    },
    h("h2", {}, texts.keyHead),
    h("p", {}, texts.intro),
    h("label", { for: "api-key" }, texts.label),
    input,
    h("p", { id: "api-key-hint", class: "hint" }, texts.hint),
    told,
    button,
  );
}

function problem(error: unknown): string | Node {
  if (!(error instanceof Refused)) return words.errors.server;
  return error.status === 401 ? words.signIn.wrong : foreign(error.message, LINE);
}

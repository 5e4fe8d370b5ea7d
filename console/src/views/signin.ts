/** Signing in. */

import { alert, fill, h } from "../dom.js";
import { LINE, foreign } from "../foreign.js";
import { Refused, Session } from "../session.js";
import { words } from "../words.js";

/** The form. `entered` gets the session. */
export function signIn(entered: (session: Session) => void, ended: boolean): HTMLElement[] {
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
  const told = h("div", { "aria-live": "polite" }, ended ? alert("note", texts.ended) : null);
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
  const form = h(
    "form",
    {
      class: "card narrow",
      submit: (event) => {
        event.preventDefault();
        void submit();
      },
    },
    h("p", {}, texts.intro),
    h("label", { for: "api-key" }, texts.label),
    input,
    h("p", { id: "api-key-hint", class: "hint" }, texts.hint),
    told,
    button,
  );
  return [h("h1", { tabindex: -1 }, texts.head), form];
}

function problem(error: unknown): string | Node {
  if (!(error instanceof Refused)) return words.errors.server;
  return error.status === 401 ? words.signIn.wrong : foreign(error.message, LINE);
}

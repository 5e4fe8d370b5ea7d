/** Making a passkey, and those that this browser knows. */

import { ownPasskeys, type App, type View } from "../app.js";
import { alert, fill, h, pairs, type Child } from "../dom.js";
import { SHORT, foreign, id } from "../foreign.js";
import { approverName } from "../organisation.js";
import { WrongKind, forget, hasPasskeys, make, remember, type Remembered } from "../passkey.js";
import { words } from "../words.js";
import { copied, field, heading, problem, section } from "./parts.js";

export async function passkey(app: App): Promise<View> {
  const texts = words.passkey;
  return {
    title: texts.head,
    about: "nothing",
    content: [heading(texts.head), section(texts.make, h("p", {}, texts.intro), maker(app)), section(texts.known, known(app))],
  };
}

function maker(app: App): Child {
  const texts = words.passkey;
  const { passkeys } = app.organisation.profile;
  if (!passkeys) return alert("note", words.vote.noPages);
  if (!hasPasskeys()) return alert("bad", texts.unsupported);
  if (!passkeys.origins.includes(location.origin)) return alert("bad", words.vote.wrongPage(location.origin));
  const input = h("input", { id: "passkey-name", maxlength: 64, autocomplete: "name", required: true });
  const told = h("div", { "aria-live": "polite" });
  const submit = async (): Promise<void> => {
    const name = input.value.trim();
    if (name === "") return fill(told, alert("bad", texts.noName));
    try {
      const made = await make(passkeys.rpId, name, ownPasskeys(app));
      const approver = app.client.approverOfPasskey(made.publicKey);
      remember(app.store, { approver, credential: made.credential });
      const { credential } = made;
      fill(told, alert("good", texts.made, " ", id(approver), h("p", {}, texts.hand), h("p", {}, texts.handSignIn), ...signInEntry({ approver, credential }, "made")));
    } catch (error) {
      fill(told, error instanceof WrongKind ? alert("bad", texts.wrongKind) : problem(error));
    }
  };
  return h(
    "form",
    {
      novalidate: true,
      submit: (event) => {
        event.preventDefault();
        void submit();
      },
    },
    h("div", { class: "row" }, field(texts.name, input), h("button", { type: "submit", class: "primary", id: "make" }, texts.make)),
    told,
  );
}

function known(app: App): Child {
  const texts = words.passkey;
  const passkeys = ownPasskeys(app);
  if (passkeys.length === 0) return h("p", {}, words.none);
  return passkeys.map(({ approver, credential }, index) => {
    const name = approverName(app.organisation.profile, approver);
    const told = h("div", { "aria-live": "polite" });
    const drop = (): void => {
      forget(app.store, approver);
      fill(told, alert("note", texts.forgotten));
    };
    return h(
      "div",
      { class: "entry" },
      pairs([
        ["Id", id(approver)],
        [texts.requester, id(app.client.requesterOfApprover(approver))],
        [texts.listedAs, name === null ? texts.notListed : foreign(name, SHORT)],
      ]),
      signInEntry({ approver, credential }, String(index)),
      approver === app.session.person?.approver
        ? h("p", { class: "hint" }, texts.signedIn)
        : h("button", { id: `forget-${index}`, click: drop }, texts.forget),
      told,
    );
  });
}

/** The entry of a passkey in the file of people who sign in at this console, in YAML as in JSON. */
function signInEntry({ approver, credential }: Remembered, name: string): readonly Child[] {
  return [
    h("p", { class: "hint" }, words.passkey.entryHint),
    copied(`entry-${name}`, JSON.stringify({ id: approver, credential }), words.passkey.entry),
  ];
}

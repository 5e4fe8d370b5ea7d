/** Requesters: whose orders the coordinator accepts, and whom the profile trusts. */

import type { App, View } from "../app.js";
import { alert, h, table, type Child } from "../dom.js";
import { SHORT, foreign, id } from "../foreign.js";
import { requesterName } from "../organisation.js";
import { words } from "../words.js";
import { empty, heading, section } from "./parts.js";

/** Requesters that are shown at most. */
const MOST = 1000;

export async function requesters(app: App): Promise<View> {
  const texts = words.requesters;
  const { any, requesters: told } = await app.api.requesters();
  const { profile } = app.organisation;
  const trusted = Object.entries(profile.trustedRequesters ?? {});
  const rows = told.slice(0, MOST).map((one): readonly Child[] => {
    const name = requesterName(profile, one);
    const standing = name === null ? h("span", { class: "state unknown" }, texts.strange) : h("span", { class: "state believed" }, texts.trusted);
    return [name === null ? "–" : foreign(name, SHORT), id(one), standing];
  });
  const own = trusted.map(([name, one]): readonly Child[] => [
    foreign(name, SHORT),
    id(one),
    any || told.includes(one) ? texts.accepted : h("span", { class: "doubt" }, `⚠ ${texts.notAccepted}`),
  ]);
  return {
    title: texts.head,
    about: "nothing",
    content: [
      heading(texts.head),
      h("p", { class: "lead" }, texts.lead),
      section(texts.profile, own.length === 0 ? empty(texts.noneTrusted) : table(texts.profile, texts.columns, own)),
      section(
        texts.told,
        h("p", { class: "hint" }, texts.word),
        any ? alert("note", texts.any) : null,
        rows.length === 0 ? empty(texts.noneTold) : table(texts.told, texts.columns, rows),
      ),
    ],
  };
}

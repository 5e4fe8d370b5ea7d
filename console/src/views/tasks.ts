/** The list of tasks. */

import type { schema } from "../../../clients/typescript/src/index.js";
import type { App, View } from "../app.js";
import { fill, h } from "../dom.js";
import { words } from "../words.js";
import { heading, problem, taskTable, walletNames } from "./parts.js";

const PAGE = 50;
/** Tasks that are shown at most; the command line has filters. */
const MOST = 1000;

export async function tasks(app: App): Promise<View> {
  const texts = words.tasks;
  const names = await walletNames(app);
  const first = await app.client.tasks({ limit: PAGE });
  let all: readonly schema.TaskSummary[] = first.tasks;
  let next = first.next ?? null;
  const list = h("div", { class: "card" }, taskTable(texts.caption, all, names));
  const told = h("div", { "aria-live": "polite" });
  const button = h("button", { id: "more", hidden: next === null, click: () => void more() }, words.more);
  const more = async (): Promise<void> => {
    if (next === null) return;
    button.disabled = true;
    try {
      const page = await app.client.tasks({ limit: PAGE, cursor: next });
      all = [...all, ...page.tasks];
      next = all.length < MOST ? (page.next ?? null) : null;
      fill(list, taskTable(texts.caption, all, names));
      fill(told);
    } catch (error) {
      fill(told, problem(error));
    }
    button.disabled = false;
    button.hidden = next === null;
  };
  return {
    title: texts.head,
    // Once older ones were asked for, drawing again would take them away.
    about: "nothing",
    content: [heading(texts.head), h("p", { class: "lead" }, texts.word), list, told, button],
  };
}

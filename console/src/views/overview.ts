/** The first page: what waits for the person in front of it, and what goes on. */

import type { schema, Votes } from "../../../clients/typescript/src/index.js";
import { keysOfOwner, type App, type View } from "../app.js";
import { alert, h, link, type Child } from "../dom.js";
import { waitsFor } from "../waiting.js";
import { words } from "../words.js";
import { empty, heading, section, taskTable, walletNames } from "./parts.js";

/** Tasks whose votes are looked at. */
const MOST = 50;
/** Tasks that are listed as ended. */
const ENDED = 10;

export async function overview(app: App): Promise<View> {
  const texts = words.overview;
  const { client } = app;
  const [open, running, last, nodes, names] = await Promise.all([
    client.tasks({ state: ["pending"], limit: MOST }),
    client.tasks({ state: ["waiting", "approving", "running"], limit: MOST }),
    client.tasks({ state: ["completed", "rejected", "failed", "expired", "cancelled"], limit: ENDED }),
    client.nodes(),
    walletNames(app),
  ]);
  const keys = keysOfOwner(app);
  const mine = keys.size === 0 ? [] : await waiting(app, open.tasks, keys);
  const others = open.tasks.filter((task) => !mine.includes(task));
  const known = keys.size > 0;
  const online = nodes.filter((node) => node.online).length;
  const waits = known
    ? mine.length === 0
      ? empty(texts.nothing, h("p", { class: "hint" }, texts.calm))
      : taskTable(texts.waiting, mine, names)
    : alert("note", texts.nobody, " ", link("#/passkey", words.nav.passkey));
  return {
    title: texts.head,
    about: "all",
    content: [
      heading(texts.head),
      h(
        "ul",
        { class: "figures" },
        figure(texts.tiles.waiting, known ? String(mine.length) : "?", "#/overview", mine.length > 0 ? "call" : ""),
        figure(texts.tiles.open, String(open.tasks.length), "#/tasks"),
        figure(texts.tiles.running, String(running.tasks.length), "#/tasks"),
        figure(texts.tiles.nodes, `${online}/${nodes.length}`, "#/nodes", online < nodes.length ? "doubtful" : ""),
      ),
      section(texts.waiting, waits),
      section(texts.open, taskTable(texts.open, others, names)),
      section(texts.running, taskTable(texts.running, running.tasks, names)),
      section(texts.ended, taskTable(texts.ended, last.tasks, names), h("p", {}, link("#/tasks", texts.all))),
    ],
  };
}

/** A number that leads to what it counts. */
function figure(text: string, number: string, hash: string, kind = ""): Child {
  return h("li", { class: `figure ${kind}` }, link(hash, h("strong", {}, number), h("span", {}, text)));
}

/** Those on which none of these keys has voted. A task whose votes cannot be read is one to look at. */
async function waiting(
  app: App,
  tasks: readonly schema.TaskSummary[],
  keys: ReadonlySet<string>,
): Promise<readonly schema.TaskSummary[]> {
  const found: schema.TaskSummary[] = [];
  for (const task of tasks) {
    let votes: Votes | null;
    try {
      votes = await app.client.votes(task.id);
    } catch {
      found.push(task);
      continue;
    }
    if (votes && waitsFor(keys, votes, Date.now())) found.push(task);
  }
  return found;
}

/** The coordinator's audit log, and how to make and verify a bundle that proves itself. */

import type { schema } from "../../../clients/typescript/src/index.js";
import type { App, View } from "../app.js";
import { COMMANDS, NODE_COMMANDS } from "../commands.js";
import { csv } from "../csv.js";
import { alert, fill, h, table, type Child } from "../dom.js";
import { LINE, SHORT, foreign, plain, shortId } from "../foreign.js";
import { taskHash, walletHash } from "../router.js";
import { save, textFile } from "../save.js";
import { commandLine } from "../shell.js";
import { isTime } from "../time.js";
import { words } from "../words.js";
import { empty, example, field, heading, problem, section, time, walletLink } from "./parts.js";
import { link } from "../dom.js";

const PAGE = 200;
/** Pages that one press of the button reads. */
const AT_ONCE = 10;
/** Entries that are kept, and those that are drawn. */
const MOST = 20_000;
const DRAWN = 200;

export async function audit(app: App): Promise<View> {
  const texts = words.audit;
  let all: readonly schema.AuditEntry[] = [];
  let next: string | undefined;
  let more = true;
  const list = h("div", {});
  const count = h("p", { role: "status", class: "hint" });
  const told = h("div", { "aria-live": "polite" });
  const search = h("input", { id: "filter", type: "search", maxlength: 200, spellcheck: "false", autocomplete: "off" });
  const later = h("button", { id: "later" }, texts.later);
  const draw = (): void => {
    const found = filtered(all, search.value);
    later.hidden = !more;
    fill(count, texts.count(found.length, all.length, more));
    // The newest on top; the log itself begins with the oldest.
    const rows = found.slice(-DRAWN).reverse().map(row);
    const left = found.length - rows.length;
    fill(list, rows.length === 0 ? empty(texts.none) : table(texts.caption, texts.columns, rows), left > 0 ? h("p", {}, texts.left(left)) : null);
  };
  const load = async (): Promise<void> => {
    for (let page = 0; page < AT_ONCE && more; page++) {
      const got = await app.api.audit(PAGE, next);
      all = [...all, ...got.entries];
      more = got.entries.length === PAGE && got.next !== next && all.length < MOST;
      next = got.next;
    }
  };
  await load();
  draw();
  search.addEventListener("input", draw);
  later.addEventListener("click", () => {
    later.disabled = true;
    load()
      .then(
        () => fill(told),
        (error: unknown) => fill(told, problem(error)),
      )
      .finally(() => {
        later.disabled = false;
        draw();
      });
  });
  const download = (): void => save(textFile("audit.csv", exported(filtered(all, search.value))));
  return {
    title: texts.head,
    about: "nothing",
    content: [
      heading(texts.head),
      h("p", { class: "lead" }, texts.lead),
      section(
        texts.log,
        h("div", { class: "row" }, field(texts.filter, search), h("button", { id: "download", click: download }, texts.download)),
        count,
        list,
        told,
        later,
      ),
      section(
        texts.bundle,
        h("p", {}, texts.bundleText),
        h(
          "ol",
          { class: "steps" },
          h("li", {}, h("p", {}, texts.steps[0]), example(NODE_COMMANDS.exportAudit)),
          h("li", {}, h("p", {}, texts.steps[1]), example(commandLine(COMMANDS.exportAudit))),
          h("li", {}, h("p", {}, texts.steps[2]), example(commandLine(COMMANDS.verifyAudit))),
        ),
        alert("note", texts.confidential),
      ),
    ],
  };
}

/** Entries that have every word of the filter somewhere. */
export function filtered(all: readonly schema.AuditEntry[], filter: string): readonly schema.AuditEntry[] {
  const wanted = filter.toLowerCase().split(/\s+/).filter((one) => one !== "");
  if (wanted.length === 0) return all;
  return all.filter((entry) => {
    const whole = [entry.by, entry.action, entry.target, entry.requester ?? "", day(entry.at)].join("\n").toLowerCase();
    return wanted.every((one) => whole.includes(one));
  });
}

export function exported(entries: readonly schema.AuditEntry[]): string {
  const rows = entries.map(({ at, by, action, target, requester, sha256 }) => [
    day(at),
    ...[by, action, target, requester ?? "", sha256 ?? ""].map((text) => plain(text, LINE)),
  ]);
  return csv([["time", "key", "action", "target", "requester", "sha256"], ...rows]);
}

function day(at: unknown): string {
  return isTime(at) ? new Date(at).toISOString() : "";
}

function row({ at, by, action, target, requester }: schema.AuditEntry): readonly Child[] {
  const who = requester ? [foreign(by, SHORT), " ", h("code", {}, shortId(requester))] : foreign(by, SHORT);
  return [time(at), who, foreign(action, SHORT), about(target)];
}

/** A target that is a task or a wallet leads there. */
function about(target: string): Child {
  const task = taskHash(target);
  if (task !== null) return link(task, h("code", {}, shortId(target)));
  return walletHash(target) === null ? foreign(target, LINE) : walletLink(target);
}

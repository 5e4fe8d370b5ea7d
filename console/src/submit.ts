/**
 * How a composed order goes on. This is the one place that knows: every composer ends here with an order that was decoded
 * and shown. A passkey that the profile trusts orders it here; it always becomes a command for a machine that has a requester
 * key, too.
 */

import type { App } from "./app.js";
import { question, type Order } from "./compose.js";
import { h } from "./dom.js";
import { save } from "./save.js";
import { ordering } from "./views/ordering.js";
import { copied } from "./views/parts.js";
import { commandLine } from "./shell.js";
import { words } from "./words.js";

/** The end of a composer. */
export function submit(app: App, order: Order): HTMLElement {
  const texts = words.order;
  const files = order.files.map((file) =>
    h("li", {}, h("button", { id: `file-${file.name.replace(/\W/g, "-")}`, click: () => save(file) }, texts.save(file.name))),
  );
  return h(
    "div",
    { class: "submit" },
    ordering(app, order),
    h("h3", {}, texts.next),
    h("p", {}, texts.nextHint),
    h(
      "ol",
      { class: "steps" },
      files.length === 0 ? null : h("li", {}, h("p", {}, texts.files), h("ul", { class: "plain" }, files)),
      h("li", {}, h("p", {}, texts.ask), copied("command-ask", commandLine(question(order)), texts.askLabel)),
      h("li", {}, h("p", {}, texts.order), copied("command-order", commandLine(order.command), texts.orderLabel)),
    ),
    order.collect === null ? null : h("p", { class: "hint" }, texts.collects(order.collect.votes)),
  );
}

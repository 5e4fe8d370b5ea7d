/** A text that a person reads to its end before she may approve it. */

import { h } from "../dom.js";
import { WHOLE, foreign } from "../foreign.js";
import { words } from "../words.js";

/** The text on the page, and whether its end was reached. */
export interface Reading {
  readonly element: HTMLElement;
  readonly isRead: () => boolean;
  /** Calls this once, as soon as it is read; at once if it is. */
  whenRead(then: () => void): void;
}

/**
 * All lines, with nothing left out and hidden characters written out, in a part of the page that scrolls by itself and by the
 * keyboard. It is read when its end has been in view, or when the reader says so. `read`: orders that were read before, by
 * their hashes.
 */
export function reading(hash: string, lines: readonly string[], read: Set<string>): Reading {
  const texts = words.reading;
  const waiting: (() => void)[] = [];
  const end = h("p", { class: "end" }, texts.end);
  const whole = h(
    "div",
    { id: "whole", class: "whole", tabindex: 0, role: "group", "aria-label": texts.label },
    h("ul", { class: "effect" }, lines.map((line) => h("li", {}, foreign(line, WHOLE)))),
    end,
  );
  const button = h("button", { id: "have-read" }, texts.haveRead);
  const rest = h("p", { class: "row" }, h("span", { class: "hint" }, texts.rest), button);
  const done = (): void => {
    read.add(hash);
    rest.hidden = true;
    for (const then of waiting.splice(0)) then();
  };
  button.addEventListener("click", () => {
    done();
    whole.focus();
  });
  if (read.has(hash)) rest.hidden = true;
  else seen(end, whole, done);
  return {
    element: h("div", {}, whole, rest),
    isRead: () => read.has(hash),
    whenRead: (then) => (read.has(hash) ? then() : void waiting.push(then)),
  };
}

/** Waits until the end has been in view: at once if everything fits. */
function seen(end: Element, within: Element, then: () => void): void {
  const observer = new IntersectionObserver(
    (entries) => {
      if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
      observer.disconnect();
      then();
    },
    { root: within, threshold: 0.5 },
  );
  observer.observe(end);
}

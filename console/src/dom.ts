/** Elements of the page. Texts become text nodes: no markup is ever parsed from a string. */

export type Child = Node | string | null | undefined | readonly Child[];

/** Attributes by name. `true` sets an empty one; `false`, null and undefined set none. Functions listen to events. */
export type Attributes = Readonly<
  Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>
>;

/** Attributes by which a string could become code or lead away. Links within the page have a function of their own. */
const FORBIDDEN = /^(?:on|src$|srcdoc$|href$|action$|formaction$|style$|xlink)/i;

/** An element with its attributes and children. */
export function h<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (FORBIDDEN.test(key)) throw new TypeError(`no attribute ${key}`);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, String(value));
  }
  add(element, children);
  return element;
}

/** A link to another view of this application. */
export function link(hash: string, ...children: readonly Child[]): HTMLAnchorElement {
  const element = h("a", {}, ...children);
  if (!/^#\/[\w/%.~-]*$/.test(hash)) throw new TypeError("not a place in this application");
  element.setAttribute("href", hash);
  return element;
}

/** Puts these children in place of the present ones. */
export function fill(parent: Element, ...children: readonly Child[]): void {
  parent.replaceChildren();
  add(parent, children);
}

function add(parent: Element, children: readonly Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined) continue;
    if (typeof child === "string") parent.append(document.createTextNode(child));
    else if (isList(child)) add(parent, child);
    else parent.append(child);
  }
}

function isList(child: Node | readonly Child[]): child is readonly Child[] {
  return Array.isArray(child);
}

/**
 * A table that scrolls sideways by itself and by the keyboard. On a phone its rows stand below each other, each cell with its
 * head beside it; the roles keep it a table for screen readers there.
 */
export function table(caption: string, heads: readonly string[], rows: readonly (readonly Child[])[]): HTMLElement {
  const head = h("tr", { role: "row" }, heads.map((text) => h("th", { scope: "col", role: "columnheader" }, text)));
  const body = rows.map((cells) =>
    h("tr", { role: "row" }, cells.map((cell, index) => h("td", { role: "cell", "data-head": heads[index] ?? "" }, h("div", {}, cell)))),
  );
  const whole = h(
    "table",
    { role: "table" },
    h("caption", {}, caption),
    h("thead", { role: "rowgroup" }, head),
    h("tbody", { role: "rowgroup" }, body),
  );
  return h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": caption }, whole);
}

/** Names with their values. */
export function pairs(entries: readonly (readonly [string, Child])[]): HTMLElement {
  return h("dl", {}, entries.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** A message that screen readers read out as soon as it appears. */
export function alert(kind: "bad" | "good" | "note", ...children: readonly Child[]): HTMLElement {
  return h("div", { class: `alert ${kind}`, role: kind === "bad" ? "alert" : "status" }, ...children);
}

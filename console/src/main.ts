/** The application: who is signed in, which page is shown, and when it is drawn again. */

import { enter, isSignedOut, type App, type View } from "./app.js";
import { alert, fill, h, link, type Child } from "./dom.js";
import { SHORT, foreign, plain } from "./foreign.js";
import { listen } from "./live.js";
import { placeOf, type Place } from "./router.js";
import { Session } from "./session.js";
import { applyTheme, setTheme, theme, type Theme } from "./theme.js";
import { audit } from "./views/audit.js";
import { keys } from "./views/keys.js";
import { nodes } from "./views/nodes.js";
import { compose, order } from "./views/order.js";
import { overview } from "./views/overview.js";
import { empty, heading, problem } from "./views/parts.js";
import { passkey } from "./views/passkey.js";
import { policies } from "./views/policies.js";
import { requesters } from "./views/requesters.js";
import { signIn } from "./views/signin.js";
import { task } from "./views/task.js";
import { tasks } from "./views/tasks.js";
import { wallet, wallets } from "./views/wallets.js";
import { webhook, webhooks } from "./views/webhooks.js";
import { words } from "./words.js";

/** The module with the rules: its place, and the digest without which it is not used. The build writes both. */
declare const MODULE: { readonly path: string; readonly integrity: string };

const main = part("main");
const menu = part("menu");
const live = part("live");
const notice = part("notice");

let app: App | null = null;
let listening = new AbortController();
let view: View | null = null;
/** The number of the last drawing: what comes late from an earlier one is dropped. */
let drawing = 0;

async function start(): Promise<void> {
  applyTheme();
  part("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  addEventListener("hashchange", () => void draw(true));
  try {
    const session = await Session.present();
    if (session) await begin(session);
    else leave(false);
  } catch (error) {
    fill(main, heading(words.errors.head), problem(error), again());
  }
}

async function begin(session: Session): Promise<void> {
  fill(main, waiting());
  const page = { redraw: () => void draw(false), notify: (told: Node) => fill(notice, told) };
  app = await enter(session, await module(), page);
  drawMenu();
  listening = new AbortController();
  void listen(app.client, { changed, live: showLive }, listening.signal);
  await draw(true);
}

/** The module, compiled once. The browser checks its digest. */
let compiled: Promise<WebAssembly.Module> | undefined;
function module(): Promise<WebAssembly.Module> {
  compiled ??= fetch(MODULE.path, { integrity: MODULE.integrity, credentials: "same-origin" })
    .then((response) => response.arrayBuffer())
    .then((bytes) => WebAssembly.compile(bytes));
  // A failure is not kept.
  compiled.catch(() => (compiled = undefined));
  return compiled;
}

/** Shows the form for signing in, and forgets everything of the session before. */
function leave(ended: boolean): void {
  listening.abort();
  app = null;
  view = null;
  drawing++;
  document.querySelectorAll("dialog").forEach((dialog) => dialog.remove());
  fill(live);
  fill(notice);
  drawMenu();
  openMenu(false);
  const entered = (session: Session): void => {
    begin(session).catch((error) => fill(main, heading(words.errors.head), problem(error), again()));
  };
  title(words.signIn.head);
  fill(main, ...signIn({ entered, module }, ended));
  document.getElementById("api-key")?.focus();
}

async function signOut(everywhere: boolean): Promise<void> {
  const present = app;
  try {
    await present?.session.end(everywhere);
  } catch (error) {
    if (present) {
      fill(main, heading(words.errors.head), problem(error), again());
      return;
    }
  }
  leave(false);
}

/** Draws the present place. `moved`: the reader came here just now, and starts at the top. */
async function draw(moved: boolean): Promise<void> {
  const present = app;
  if (!present) return;
  const number = ++drawing;
  const place = placeOf(location.hash);
  const focused = document.activeElement?.id ?? "";
  mark(place);
  if (moved) {
    openMenu(false);
    fill(notice);
    fill(main, waiting());
  }
  try {
    const drawn = await viewOf(present, place);
    if (number !== drawing) return;
    view = drawn;
    title(drawn.title);
    const scrolled = moved ? 0 : (document.getElementById("whole")?.scrollTop ?? 0);
    fill(main, ...drawn.content);
    // Who is in the middle of a text stays there.
    document.getElementById("whole")?.scrollTo(0, scrolled);
  } catch (error) {
    if (number !== drawing) return;
    if (isSignedOut(error)) return leave(true);
    view = null;
    fill(main, heading(words.errors.head), problem(error), again());
  }
  if (moved) main.querySelector<HTMLElement>("h1")?.focus();
  else if (focused !== "") document.getElementById(focused)?.focus({ preventScroll: true });
}

async function viewOf(present: App, place: Place): Promise<View> {
  switch (place.page) {
    case "overview":
      return await overview(present);
    case "tasks":
      return await tasks(present);
    case "task":
      return await task(present, place.id);
    case "wallets":
      return await wallets(present);
    case "wallet":
      return await wallet(present, place.id);
    case "nodes":
      return await nodes(present);
    case "passkey":
      return await passkey(present);
    case "order":
      return order();
    case "compose":
      return await compose(present, place.kind);
    case "policies":
      return await policies(present);
    case "keys":
      return await keys(present);
    case "requesters":
      return await requesters(present);
    case "webhooks":
      return await webhooks(present);
    case "webhook":
      return await webhook(present, place.id);
    case "audit":
      return await audit(present);
    case "nowhere":
      return { title: words.errors.head, about: "nothing", content: [heading(words.errors.head), empty(words.errors.noPage, link("#/", words.nav.overview))] };
  }
}

/** Draws again what has changed, unless somebody is typing or about to vote. */
function changed(about: ReadonlySet<string>, all: boolean): void {
  const shown = view?.about ?? "nothing";
  const concerned = shown !== "nothing" && (all || shown === "all" || [...shown].some((one) => about.has(one)));
  const busy = document.querySelector("dialog[open]") !== null || isTyping(document.activeElement);
  if (concerned && !busy) void draw(false);
}

function isTyping(element: Element | null): boolean {
  return (
    element instanceof HTMLInputElement || element instanceof HTMLSelectElement || element instanceof HTMLTextAreaElement
  );
}

function showLive(is: boolean): void {
  fill(live, h("span", { class: is ? "live on" : "live off" }, is ? words.live.on : words.live.off));
}

/** The pages in groups. */
const GROUPS = {
  work: ["overview", "tasks", "order", "passkey"],
  what: ["wallets", "nodes", "policies"],
  run: ["keys", "requesters", "webhooks", "audit"],
} as const;

function drawMenu(): void {
  document.body.classList.toggle("signed-in", app !== null);
  if (!app) return fill(menu, h("div", { class: "tools" }, themes()));
  const groups = (["work", "what", "run"] as const).map((group) =>
    h(
      "div",
      { class: "group" },
      h("h2", { id: `group-${group}` }, words.groups[group]),
      h("ul", { "aria-labelledby": `group-${group}` }, GROUPS[group].map((page) => h("li", {}, menuLink(page)))),
    ),
  );
  const pages = h("div", { id: "pages" }, h("nav", { "aria-label": words.menu }, groups), tools(app));
  fill(menu, menuButton(), pages);
}

function menuLink(page: keyof typeof words.nav): HTMLElement {
  const entry = link(`#/${page}`, words.nav[page]);
  entry.dataset["page"] = page;
  return entry;
}

/** On a phone the pages are behind a button. */
function menuButton(): HTMLElement {
  const button = h("button", { id: "open-menu", "aria-expanded": "false", "aria-controls": "pages" }, words.openMenu);
  button.addEventListener("click", () => openMenu(!document.body.classList.contains("menu-open")));
  return button;
}

function openMenu(open: boolean): void {
  document.body.classList.toggle("menu-open", open);
  document.getElementById("open-menu")?.setAttribute("aria-expanded", String(open));
}

function tools(present: App): HTMLElement {
  const { person } = present.session;
  return h(
    "div",
    { class: "tools" },
    h("p", { class: "hint" }, words.signedInAt(plain(hostOf(present.organisation.coordinator), SHORT))),
    person === null ? null : h("p", { id: "signed-in-as", class: "hint" }, words.signedInAs, " ", foreign(person.name, SHORT)),
    themes(),
    h("button", { id: "sign-out", click: () => void signOut(false) }, words.signOut),
    h("button", { id: "sign-out-all", class: "quiet", click: () => void signOut(true) }, words.signOutAll),
  );
}

function hostOf(url: string): string {
  return /^https?:\/\/([^/]+)/.exec(url)?.[1] ?? url;
}

function themes(): Child {
  const options: readonly Theme[] = ["auto", "light", "dark"];
  const select = h(
    "select",
    { id: "theme", "aria-label": words.theme.label },
    options.map((one) => h("option", { value: one, selected: one === theme() }, words.theme[one])),
  );
  select.addEventListener("change", () => setTheme(options.find((one) => one === select.value) ?? "auto"));
  return select;
}

/** The page of the menu under which another one is. */
const OWNERS: Readonly<Partial<Record<Place["page"], string>>> = {
  task: "tasks",
  wallet: "wallets",
  webhook: "webhooks",
  compose: "order",
};

function mark({ page }: Place): void {
  const own = OWNERS[page] ?? page;
  for (const entry of menu.querySelectorAll("a")) {
    if (entry.dataset["page"] === own) entry.setAttribute("aria-current", "page");
    else entry.removeAttribute("aria-current");
  }
}

/** What stands in place of a page that is on its way. */
function waiting(): HTMLElement {
  const lines = ["skeleton head", "skeleton", "skeleton"].map((name) => h("div", { class: name }));
  return h("div", { role: "status", class: "waiting" }, h("p", { class: "loading" }, words.loading), lines);
}

function again(): HTMLElement {
  return h("button", { id: "again", click: () => location.reload() }, words.retry);
}

function title(text: string): void {
  document.title = `${text} – ${words.title}`;
}

function part(name: string): HTMLElement {
  const found = document.getElementById(name);
  if (found) return found;
  fill(document.body, alert("bad", words.errors.head));
  throw new Error(`the page has no part ${name}`);
}

void start();

/** Texts of others, made fit for a screen or a log, as the command line does it: by the same code. */

/** Puts blanks in place of control characters and of those that hide or reverse others. */
export type Cleaner = (texts: readonly string[]) => readonly string[];

const PLAIN = /^[ -~]*$/;
/** The member with the exact text that a requester signed. It is verified, so it stays as it is. */
const SIGNED = "task";

let cleaner: Cleaner | undefined;

/** The module gives the cleaner when it is loaded, which is before anything is asked of a coordinator. */
export function cleanBy(given: Cleaner): void {
  cleaner = given;
}

/** One text, cleaned. */
export function clean(text: string): string {
  return PLAIN.test(text) ? text : (cleaned([text]).get(text) ?? "");
}

/** A document of the coordinator, with each text and name in it cleaned. If it is an order, its signed text stays. */
export function told<T>(document: T): T {
  const order = isOrder(document) ? document : undefined;
  const dirty = new Set<string>();
  collect(document, dirty, order);
  return dirty.size === 0 ? document : (replaced(document, cleaned([...dirty]), order) as T);
}

function cleaned(texts: readonly string[]): ReadonlyMap<string, string> {
  // JSON can name halves of characters, which UTF-8 cannot.
  const whole = texts.map((text) => text.replace(/\p{Surrogate}/gu, "\ufffd"));
  const by = cleaner ? cleaner(whole) : whole.map((text) => text.replace(/[^ -~]/gu, "?"));
  return new Map(texts.map((text, index) => [text, by[index] ?? ""]));
}

function collect(value: unknown, dirty: Set<string>, order: unknown): void {
  if (typeof value === "string") {
    if (!PLAIN.test(value)) dirty.add(value);
  } else if (typeof value === "object" && value !== null) {
    for (const [name, one] of Object.entries(value)) {
      if (!PLAIN.test(name)) dirty.add(name);
      if (name !== SIGNED || value !== order) collect(one, dirty, order);
    }
  }
}

function replaced(value: unknown, by: ReadonlyMap<string, string>, order: unknown): unknown {
  if (typeof value === "string") return by.get(value) ?? value;
  if (Array.isArray(value)) return value.map((one) => replaced(one, by, order));
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).map(([name, one]) => [
    by.get(name) ?? name,
    name === SIGNED && value === order ? one : replaced(one, by, order),
  ]);
  return Object.fromEntries(members);
}

/** An order has a signature beside its text. Everywhere else, a member `task` is an id, which nobody has signed. */
function isOrder(document: unknown): document is object {
  if (typeof document !== "object" || document === null) return false;
  return SIGNED in document && typeof document[SIGNED] === "string" && "signature" in document;
}

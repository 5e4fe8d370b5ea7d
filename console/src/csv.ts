/** Tables as files (RFC 4180). */

/** The first characters by which spreadsheets take a text for a formula. */
const FORMULA = /^[\s]*[=+\-@\t\r]/;

/** A table as text. Nothing in it is taken for a formula. */
export function csv(rows: readonly (readonly string[])[]): string {
  return rows.map((cells) => cells.map(cell).join(",")).join("\r\n") + "\r\n";
}

function cell(text: string): string {
  const harmless = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) || harmless !== text ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** A name for a file that no system takes for anything else. */
export function fileName(text: string, ending: string): string {
  const kept = text
    .normalize("NFKD")
    .replace(/[^A-Za-z0-9_-]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 60);
  return `${kept === "" ? "export" : kept}.${ending}`;
}

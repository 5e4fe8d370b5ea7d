/** Light or dark: as the device says, unless the reader chose. */

export type Theme = "auto" | "light" | "dark";

const PLACE = "countersign-theme";

export function theme(): Theme {
  const kept = stored();
  return kept === "light" || kept === "dark" ? kept : "auto";
}

export function setTheme(chosen: Theme): void {
  try {
    localStorage.setItem(PLACE, chosen);
  } catch {
    // Without storage the choice holds until the page is left.
  }
  applyTheme(chosen);
}

export function applyTheme(chosen: Theme = theme()): void {
  if (chosen === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", chosen);
}

function stored(): string | null {
  try {
    return localStorage.getItem(PLACE);
  } catch {
    return null;
  }
}

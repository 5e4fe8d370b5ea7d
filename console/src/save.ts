/** Files that a page hands to its reader. */

/** A file. Its name is a plain one of this application, or made by `fileName`. */
export interface Made {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Has the browser save a file. Nothing opens it. */
export function save({ name, bytes }: Made): void {
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** A text as a file. */
export function textFile(name: string, text: string): Made {
  return { name, bytes: new TextEncoder().encode(text) };
}

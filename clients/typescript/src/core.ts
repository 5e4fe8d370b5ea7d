/**
 * Runs the WebAssembly module with the requester's rules. No rule is written in TypeScript.
 *
 * The module asks nothing of its host: it gets no clock, no randomness, no files and no network.
 */

import { AnswerError, UsageError, byCode } from "./errors.js";
import { cleanBy } from "./text.js";

type Pointer = number;

interface Exports {
  readonly memory: WebAssembly.Memory;
  countersign_alloc(length: number): Pointer;
  countersign_call(name: Pointer, nameLength: number, document: Pointer, documentLength: number): Pointer;
}

/** A source of the module: its bytes, its URL, or the module itself. */
export type Source = WebAssembly.Module | BufferSource | URL | string;

/** One compiled module. Every call runs in memory of its own, so nothing of a key stays behind. */
export class Core {
  readonly #module: WebAssembly.Module;
  readonly #imports: WebAssembly.Imports;
  readonly #crypto: Pick<Crypto, "getRandomValues">;

  private constructor(module: WebAssembly.Module, crypto: Pick<Crypto, "getRandomValues">) {
    this.#module = module;
    this.#imports = traps(module);
    this.#crypto = crypto;
    cleanBy((texts) => this.call<string[]>("text.clean", { texts }));
  }

  /** Compiles the module. Without a source: the file `countersign.wasm` of this package. */
  static async load(source: Source = new URL("../countersign.wasm", import.meta.url)): Promise<Core> {
    // Node 18 has no global `crypto`.
    const crypto = globalThis.crypto ?? (await import("node:crypto")).webcrypto;
    if (source instanceof WebAssembly.Module) return new Core(source, crypto);
    const bytes = source instanceof URL || typeof source === "string" ? await fetched(new URL(source)) : source;
    return new Core(await WebAssembly.compile(bytes), crypto);
  }

  /** So many random bytes, in hexadecimal. */
  random(length: number): string {
    return toHex(this.#crypto.getRandomValues(new Uint8Array(length)));
  }

  /** Performs an operation on a document. Throws the error that the module reports. */
  call<T>(name: string, document: object): T {
    const answer = JSON.parse(this.#run(name, written(document))) as
      | { ok: T }
      | { error: { code: string; message: string; details: string[] } };
    if ("error" in answer) throw byCode(answer.error.code, answer.error.message, answer.error.details);
    return answer.ok;
  }

  #run(name: string, document: string): string {
    const exports = new WebAssembly.Instance(this.#module, this.#imports).exports as unknown as Exports;
    const put = (text: string): [Pointer, number] => {
      const bytes = new TextEncoder().encode(text);
      const block = exports.countersign_alloc(bytes.length) >>> 0;
      if (block === 0) throw new UsageError("usage", `${bytes.length} bytes are too many; give less at a time`);
      new Uint8Array(exports.memory.buffer, block, bytes.length).set(bytes);
      return [block, bytes.length];
    };
    try {
      const [namePlace, nameLength] = put(name);
      const [place, length] = put(document);
      const answer = exports.countersign_call(namePlace, nameLength, place, length) >>> 0;
      const size = new DataView(exports.memory.buffer).getUint32(answer, true);
      return new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(exports.memory.buffer, answer + 4, size));
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) {
        throw new AnswerError("answer", `the module stopped (${error.message}); report this, with what was asked of it`);
      }
      throw error;
    }
  }
}

function written(document: object): string {
  try {
    return JSON.stringify(document);
  } catch (error) {
    throw new UsageError("usage", `this cannot be written as JSON (${(error as Error).message}); correct it`);
  }
}

/** Nothing that the module could ask for is given: each import ends the call. */
function traps(module: WebAssembly.Module): WebAssembly.Imports {
  const imports: Record<string, Record<string, () => never>> = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    (imports[from] ??= {})[name] = () => {
      throw new WebAssembly.RuntimeError(`it asked for ${from} ${name}`);
    };
  }
  return imports;
}

async function fetched(url: URL): Promise<BufferSource> {
  // `fetch` of Node reads no files, and browsers have no `node:fs`.
  if (url.protocol === "file:") {
    const { readFile } = await import("node:fs/promises");
    return await readFile(url);
  }
  const response = await fetch(url);
  if (!response.ok) throw new UsageError("usage", `${url} cannot be fetched (${response.status}); serve the module there`);
  return await response.arrayBuffer();
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || /[^0-9a-fA-F]/.test(text)) {
    throw new UsageError("usage", "this is not hexadecimal text; give two digits for each byte");
  }
  return Uint8Array.from(text.match(/../g) ?? [], (digits) => parseInt(digits, 16));
}

/** For Node: profiles, keys and wallet books in files. */

import { constants } from "node:fs";
import { mkdir, open, readFile, rename, rmdir, stat, type FileHandle } from "node:fs/promises";
import { dirname, isAbsolute, join, resolve } from "node:path";

import { type WalletBook, type Write } from "./book.js";
import { Client } from "./client.js";
import { Core } from "./core.js";
import { FileError } from "./errors.js";
import type { Chains, Profile } from "./profile.js";

const MAX_SECRET = 1024;
/** Milliseconds between two attempts to hold a book, and the number of attempts. */
const PAUSE = 50;
const ATTEMPTS = 200;

/**
 * The client of a profile in a file, as docs/profile.md describes it: with its keys, and with a wallet book of its own
 * beside the one that `countersign` has, which it also reads.
 */
export async function clientOf(path: string): Promise<Client> {
  const core = await Core.load();
  const file = resolve(path);
  const text = await readOwn(file, "write a profile as docs/profile.md shows, for you alone");
  const read = core.call<ProfileDocument>("profile.read", { text });
  const base = dirname(file);
  const place = (name: string): string => (isAbsolute(name) ? name : join(base, name));
  if (read.coordinator_ca !== undefined) {
    throw new FileError("file", `${file}: Node cannot keep to \`coordinator_ca\`; use a certificate that Node believes`);
  }
  const profile: Profile = {
    coordinator: read.coordinator,
    ...(read.coordinator_id === undefined ? {} : { coordinatorId: read.coordinator_id }),
    nodes: read.nodes,
    trustedRequesters: read.trusted_requesters,
    webhookKeys: read.webhook_keys,
    chains: read.chains,
    ...(read.passkeys === undefined ? {} : { passkeys: { rpId: read.passkeys.rp_id, origins: read.passkeys.origins } }),
    ...(read.approvers === undefined ? {} : { approvers: read.approvers }),
  };
  const keys: { apiKey?: string; requesterKey?: string } = {};
  if (read.api_key_file !== undefined) {
    const advice = "make one with `countersign api-key create --out`, or write the one that you were given there, mode 600";
    keys.apiKey = (await readSecret(place(read.api_key_file), advice)).trim();
  }
  if (read.requester_key_file !== null) {
    keys.requesterKey = (await readSecret(place(read.requester_key_file), "make one with `createRequesterKey`")).trimEnd();
  }
  return await Client.create({ profile, ...keys, book: new FileBook(place(read.wallet_book)) });
}

/** Makes a new requester key in a new file of mode 0600, and returns its id. An existing file is left alone. */
export async function createRequesterKey(path: string): Promise<string> {
  const core = await Core.load();
  const made = core.call<{ key: string; requester: string }>("requester.new", { seed: core.random(32) });
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  const file = await orFileError(path, "choose a new file in a directory that you may write", open(path, flags, 0o600));
  try {
    await file.writeFile(`${made.key}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  return made.requester;
}

interface ProfileDocument {
  readonly coordinator: string;
  readonly coordinator_id?: string;
  readonly coordinator_ca?: string;
  readonly api_key_file?: string;
  readonly requester_key_file: string | null;
  readonly wallet_book: string;
  readonly nodes: Record<string, string>;
  readonly trusted_requesters: Record<string, string>;
  readonly webhook_keys: readonly string[];
  readonly chains: Chains;
  readonly approvers?: Readonly<Record<string, readonly string[]>>;
  readonly passkeys?: { readonly rp_id: string; readonly origins: readonly string[] };
}

/**
 * A book in a file, which need not exist yet. Node cannot take the lock with which `countersign` holds its book, so this
 * one is another file, `<path>.node`, and begins as a copy of that book.
 */
export class FileBook implements WalletBook {
  readonly #shared: string;
  readonly #path: string;

  constructor(path: string) {
    this.#shared = path;
    this.#path = `${path}.node`;
  }

  async read(): Promise<string> {
    const advice = "restore the wallet book from a backup, or correct its directory";
    for (const path of [this.#path, this.#shared]) {
      if (await exists(path)) return await readOwn(path, advice);
    }
    return "";
  }

  async change<T extends { readonly write: Write }>(decide: (text: string) => T): Promise<T> {
    return await held(`${this.#path}.lock`, async () => {
      const text = await this.read();
      const recorded = decide(text);
      const { write } = recorded;
      if (write === "nothing") return recorded;
      if ("append" in write && (await exists(this.#path))) await this.#append(write.append);
      else await this.#replace("append" in write ? text + write.append : write.whole);
      return recorded;
    });
  }

  async #append(text: string): Promise<void> {
    await this.#write(await open(this.#path, "a", 0o600), text);
  }

  async #replace(text: string): Promise<void> {
    const fresh = `${this.#path}.new`;
    await this.#write(await open(fresh, "w", 0o600), text);
    await rename(fresh, this.#path);
  }

  async #write(file: FileHandle, text: string): Promise<void> {
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

/** Holds a lock, which is a folder, while `act` runs. */
async function held<T>(lock: string, act: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      await mkdir(lock);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST" || attempt === ATTEMPTS) {
        throw new FileError("file", `${lock} cannot be made; remove it if no other program uses the wallet book`);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
  try {
    return await act();
  } finally {
    await rmdir(lock);
  }
}

/** Reads a small file that only its owner can read. */
async function readSecret(path: string, advice: string): Promise<string> {
  const file = await orFileError(path, advice, open(path, constants.O_RDONLY | constants.O_NONBLOCK));
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new FileError("file", `${path}: it is not a regular file; ${advice}`);
    if ((found.mode & 0o077) !== 0) {
      const remedy = "run `chmod 600` on it, and make a new one if it may have leaked";
      throw new FileError("file", `${path}: others can read this secret; ${remedy}`);
    }
    const { bytesRead, buffer } = await file.read(new Uint8Array(MAX_SECRET), 0, MAX_SECRET, 0);
    return new TextDecoder().decode(buffer.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

/** Reads a text that nobody but its owner and root can write, nor the folder that it lies in. */
async function readOwn(path: string, advice: string): Promise<string> {
  for (const place of [path, dirname(resolve(path))]) {
    const found = await orFileError(place, advice, stat(place));
    const sticky = found.isDirectory() && (found.mode & 0o1000) !== 0;
    if ((found.mode & 0o022) !== 0 && !sticky) {
      throw new FileError(
        "file",
        `${place} may be written by more than its owner, so somebody else could change it; look at its contents, then run ` +
          `\`chmod go-w ${place}\``,
      );
    }
    if (found.uid !== 0 && found.uid !== process.geteuid?.()) {
      throw new FileError(
        "file",
        `${place} belongs to user ${found.uid}, but must belong to root or to the user that runs this program; look at ` +
          "its contents, then change its owner with `chown`",
      );
    }
  }
  return await orFileError(path, advice, readFile(path, "utf8"));
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

async function orFileError<T>(path: string, advice: string, done: Promise<T>): Promise<T> {
  return await done.catch((error: unknown) => {
    throw new FileError("file", `${path}: ${(error as Error).message}; ${advice}`);
  });
}

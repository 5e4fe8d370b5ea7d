/** Follows the coordinator's events, and says when a page is worth drawing again. Events decide nothing else. */

import type { Client, Event } from "../../clients/typescript/src/index.js";

/** Pause in milliseconds between two drawings: a coordinator that tells without end costs no more than this. */
const PAUSE = 1_000;
/** Pause after a stream that ended with an error. */
const AWAY = 5_000;

export interface Listener {
  /** Something about one of these tasks or wallets has changed; `all`: anything may have. */
  changed(about: ReadonlySet<string>, all: boolean): void;
  /** Whether events arrive. */
  live(is: boolean): void;
}

/** Listens until `signal`. */
export async function listen(client: Client, listener: Listener, signal: AbortSignal): Promise<void> {
  const news = new News(listener);
  while (!signal.aborted) {
    try {
      listener.live(true);
      for await (const event of client.events({ after: "now", signal, patience: 20 })) news.add(event);
    } catch {
      // The reason does not matter here: whatever it is, every view shows it when it asks for itself.
    }
    if (signal.aborted) return;
    listener.live(false);
    await pause(AWAY, signal);
    news.missed();
  }
}

/** Events of the last moment, told together. */
class News {
  readonly #listener: Listener;
  #about = new Set<string>();
  #all = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(listener: Listener) {
    this.#listener = listener;
  }

  add({ data }: Event): void {
    const { task, wallet } = data;
    if (task) this.#about.add(task.id).add(task.wallet);
    if (wallet) this.#about.add(wallet.id);
    this.#later();
  }

  missed(): void {
    this.#all = true;
    this.#later();
  }

  #later(): void {
    this.#timer ??= setTimeout(() => {
      const about = this.#about;
      const all = this.#all;
      this.#timer = undefined;
      this.#about = new Set();
      this.#all = false;
      this.#listener.changed(about, all);
    }, PAUSE);
  }
}

async function pause(millis: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, millis);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

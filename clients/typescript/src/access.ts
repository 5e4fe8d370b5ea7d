/** How a client proves to a coordinator who it is: by an API key, or by a signature of each request. */

import type { Core } from "./core.js";
import { UsageError } from "./errors.js";

/** A request as it is sent. */
export interface Sent {
  readonly method: string;
  readonly url: URL;
  /** Empty if there is none. */
  readonly body: string;
}

/** The proof that a request is this client's. */
export interface Access {
  /** The headers to add to a request. */
  headers(sent: Sent): Readonly<Record<string, string>>;
}

/** A bearer secret. It does not show. */
export class ApiKey implements Access {
  readonly #text: string;

  constructor(text: string) {
    // The error of `fetch` would show it.
    if (!/^[!-~]+$/.test(text)) {
      throw new UsageError("usage", "the API key has characters that no header can hold; write it to its file again");
    }
    this.#text = text;
  }

  headers(): Record<string, string> {
    return { authorization: `Bearer ${this.#text}` };
  }
}

/** A signature of each request by the requester's key, for one coordinator. */
export class Signed implements Access {
  readonly #core: Core;
  readonly #key: string;
  readonly #coordinator: string;

  constructor(core: Core, key: string, coordinator: string) {
    this.#core = core;
    this.#key = key;
    this.#coordinator = coordinator;
  }

  /** Every call has a new nonce and the time of now, so a request that is sent again is signed again. */
  headers({ method, url, body }: Sent): Record<string, string> {
    return this.#core.call<Record<string, string>>("request.sign", {
      key: this.#key,
      coordinator: this.#coordinator,
      method,
      path: url.pathname,
      query: url.search.slice(1),
      body,
      time: Date.now(),
      nonce: this.#core.random(16),
    });
  }
}

interface Keys {
  readonly apiKey?: string | undefined;
  readonly requesterKey?: string | undefined;
  readonly coordinatorId?: string | undefined;
}

/** By the API key if there is one, otherwise by the requester's key. */
export function accessOf(core: Core, { apiKey, requesterKey, coordinatorId }: Keys): Access {
  if (apiKey !== undefined) return new ApiKey(apiKey);
  if (requesterKey === undefined) {
    throw new UsageError(
      "usage",
      "there is no key that the coordinator knows; pass `requesterKey`, or name `requester_key_file` in the profile; to read " +
        "only, `apiKey` or `api_key_file`",
    );
  }
  if (coordinatorId === undefined) {
    throw new UsageError(
      "usage",
      "the profile does not say which coordinator requests are signed for; add its `coordinator_id` (csc1…; `coordinatorId` " +
        "outside a file), which its operator has from `countersign-coordinator init`, or name an `api_key_file`",
    );
  }
  return new Signed(core, requesterKey, coordinatorId);
}

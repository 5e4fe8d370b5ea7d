/**
 * Deliveries of webhooks, verified.
 *
 * A delivery is worth what its key is worth. Keys that the coordinator's operator gave you, by another channel, stand for
 * that operator's coordinator whatever happens to the network. Keys that were fetched from the coordinator are its word:
 * they are as good as the TLS certificate under which they were fetched. Either way an event is the coordinator's word, so
 * fetch a result and have it verified before you act on it.
 */

import { Core, toHex } from "./core.js";
import { InvalidWebhook, UsageError } from "./errors.js";
import type { Event, WebhookKey, WebhookKeys } from "./schema.js";

/** Default tolerance in seconds, as Standard Webhooks has it. */
const TOLERANCE = 300;
/** Size limit of a body in bytes. */
const MAX_BODY = 1 << 20;

/** `whpk_…`, the 32 bytes, a JSON Web Key, or a set of them. */
export type Key = string | Uint8Array | WebhookKey | WebhookKeys | JsonWebKey | { readonly keys: readonly JsonWebKey[] };

/** Headers of `fetch`, an object such as Node's `request.headersDistinct`, or pairs in their order. */
export type DeliveryHeaders =
  | Headers
  | Readonly<Record<string, string | readonly string[] | undefined>>
  | Iterable<readonly [string, string]>;

export interface WebhookOptions {
  /** Limit of the time since signing, in seconds; 300 if absent. */
  readonly tolerance?: number;
  readonly format?: "standard" | "cobo-v2";
  /** Milliseconds since 1970; the clock's if absent. */
  readonly now?: number;
}

/** A delivery that a known key signed. */
export interface WebhookDelivery {
  /** The event's id: the same however often and by whatever way it is delivered. Remember it. */
  readonly id: string;
  readonly event: Event;
  /** The key that signed, as `whpk_…`. */
  readonly key: string;
  /** Its id, if it was given with one. */
  readonly kid: string | null;
}

let shared: Promise<Core> | undefined;

/**
 * The event of a delivery, if one of the keys signed exactly this body less than `tolerance` seconds ago.
 *
 * Give the body as it arrived, before anything parses it, and all headers. Several keys may be valid at a time: while a
 * key is replaced, deliveries carry a signature of each. Throws `InvalidWebhook`; answer 400 then.
 */
export async function verifyWebhook(
  headers: DeliveryHeaders,
  body: Uint8Array,
  keys: Key | readonly Key[],
  options: WebhookOptions = {},
): Promise<WebhookDelivery> {
  shared ??= Core.load();
  return verified(await shared, headers, body, keys, options);
}

export function verified(
  core: Core,
  headers: DeliveryHeaders,
  body: Uint8Array,
  keys: Key | readonly Key[],
  options: WebhookOptions,
): WebhookDelivery {
  if (!(body instanceof Uint8Array)) {
    throw new UsageError("usage", "the body is not bytes; give it as it arrived, before anything parses it");
  }
  if (body.length > MAX_BODY) {
    throw new InvalidWebhook("invalid-webhook", `the body is longer than ${MAX_BODY} bytes; answer 400`);
  }
  const several: readonly unknown[] = Array.isArray(keys) ? keys : [keys];
  const { event, key, kid } = core.call<{ event: Event; key: string; kid: string | null }>("webhook.verify", {
    headers: pairs(headers),
    body: toHex(body),
    keys: several.map((one) => (one instanceof Uint8Array ? whpk(one) : one)),
    format: options.format ?? "standard",
    now: Math.floor(options.now ?? Date.now()),
    tolerance_ms: Math.floor((options.tolerance ?? TOLERANCE) * 1000),
  });
  return { id: event.id, event, key, kid };
}

function whpk(bytes: Uint8Array): string {
  return `whpk_${btoa(String.fromCharCode(...bytes))}`;
}

/** Every header as often as it is there. Those who join several into one value break what was signed. */
function pairs(headers: DeliveryHeaders): [string, string][] {
  const entries = Symbol.iterator in headers ? [...headers] : Object.entries(headers);
  return entries.flatMap(([name, value]) => {
    const values: readonly string[] = Array.isArray(value) ? value : value === undefined ? [] : [value];
    return values.map((one): [string, string] => [name, String(one)]);
  });
}

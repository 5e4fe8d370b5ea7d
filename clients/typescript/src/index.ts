/**
 * Orders signatures from Countersign nodes, and verifies what comes back.
 *
 * The rules, what is signed, derived and believed, are those of the Rust client: the same code, as WebAssembly.
 */

export type { Access, Sent } from "./access.js";
export { MemoryBook, type WalletBook, type Write } from "./book.js";
export type { State } from "./api.js";
export { Client, type EventOptions, type NewWallet, type NewWebhook, type OrderOptions, type Reshare, type Settings, type SignOptions } from "./client.js";
export { Core, type Source } from "./core.js";
export * from "./errors.js";
export type {
  Address,
  CheckUp,
  Decoded,
  Finished,
  Input,
  InputSignature,
  Introduction,
  Listed,
  Signed,
  Task,
  Wallet,
} from "./models.js";
export { Payload } from "./payload.js";
export type { Chains, Passkeys, Profile } from "./profile.js";
export type * as schema from "./schema.js";
export type { Event } from "./schema.js";
export type {
  AssertionResponse,
  Ballot,
  ByPasskey,
  Choice,
  Collect,
  Examined,
  JudgedVote,
  OrderedTask,
  OrderMessage,
  VoteMessage,
  Votes,
} from "./votes.js";
export { verifyWebhook, type DeliveryHeaders, type Key, type WebhookDelivery, type WebhookOptions } from "./webhooks.js";

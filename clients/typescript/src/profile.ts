/** The profile: the coordinator, and the names of nodes and requesters (docs/profile.md). */

import { UsageError } from "./errors.js";

/**
 * A requester's settings. `nodes` and `trustedRequesters` decide which wallets are believed. Take each id from the
 * operator or requester that it belongs to, through another channel, and never from a coordinator.
 */
export interface Profile {
  /** URL of the coordinator's API. */
  readonly coordinator: string;
  /** The coordinator's id (`csc1…`), from its operator. Requests are signed for it if there is no API key. */
  readonly coordinatorId?: string;
  /** Names of your own for nodes, each with its id (`csn1…`). */
  readonly nodes: Readonly<Record<string, string>>;
  /** Names of other requesters whose wallets you use (`csr1…`). Your own key needs no entry. */
  readonly trustedRequesters?: Readonly<Record<string, string>>;
  /** Keys (`whpk_…`) of the coordinator's webhooks, from its operator. Absent: those that the coordinator tells. */
  readonly webhookKeys?: readonly string[];
  /** Networks of chains whose transactions do not name theirs. Absent: the main networks. */
  readonly chains?: Chains;
  /** Absent: votes of passkeys are shown, and not counted, and their orders are not believed. */
  readonly passkeys?: Passkeys;
  /**
   * People who vote, each with the ids of her keys (`csv1…`), from herself. Only votes of these keys count then. Absent: who
   * has which key is the coordinator's word.
   */
  readonly approvers?: Readonly<Record<string, readonly string[]>>;
}

/** The pages that may ask passkeys for votes and orders, as the nodes have them in quorum.yaml and node.yaml. */
export interface Passkeys {
  /** The domain to which the passkeys are bound. */
  readonly rpId: string;
  /** The origins of the pages themselves, such as `https://console.treasury.example`. */
  readonly origins: readonly string[];
}

export interface Chains {
  /** `mainnet`, `testnet`, `testnet4`, `signet`, `regtest`, or a CAIP-2 id. */
  readonly bitcoin?: string;
  /** `mainnet`, `devnet`, `testnet`, or a CAIP-2 id. */
  readonly solana?: string;
}

/** The id of the node with this name, or with this id. */
export function nodeOf(profile: Profile, text: string): string {
  const named = Object.hasOwn(profile.nodes, text) ? profile.nodes[text] : undefined;
  if (named !== undefined) return named;
  if (text.startsWith("csn1")) return text;
  throw new UsageError(
    "usage",
    `\`${text}\` is neither a node id nor a name under \`nodes\` in the profile; write the id (csn1…), or add the name ` +
      "there with the id that the node's operator gave you",
  );
}

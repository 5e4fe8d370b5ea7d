/** The place in the application, which stands behind the `#` of its address. */

export type Place =
  | { readonly page: (typeof PLAIN)[number] }
  | { readonly page: "task" | "wallet" | "webhook"; readonly id: string }
  | { readonly page: "compose"; readonly kind: Composer }
  | { readonly page: "nowhere" };

const PLAIN = [
  "overview",
  "tasks",
  "order",
  "wallets",
  "nodes",
  "policies",
  "passkey",
  "keys",
  "requesters",
  "webhooks",
  "audit",
] as const;

/** What can be composed. */
export const COMPOSERS = ["coin", "token", "bitcoin", "message", "typed-data", "new-wallet", "reshare", "check"] as const;
export type Composer = (typeof COMPOSERS)[number];

/** Reads what stands behind the `#`. Whatever leads nowhere is `nowhere`, and never an error. */
export function placeOf(hash: string): Place {
  const [head, first, second, ...rest] = hash.replace(/^#/, "").split("/");
  if (hash === "" || hash === "#" || hash === "#/") return { page: "overview" };
  if (head !== "" || rest.length > 0 || first === undefined) return { page: "nowhere" };
  const page = PLAIN.find((one) => one === first);
  if (page !== undefined && second === undefined) return { page };
  // Ids of tasks are 32 hexadecimal digits, those of wallets bech32m.
  if (first === "tasks" && /^[0-9a-f]{32}$/.test(second ?? "")) return { page: "task", id: second ?? "" };
  if (first === "wallets" && /^csk1[02-9ac-hj-np-z]{6,100}$/.test(second ?? "")) return { page: "wallet", id: second ?? "" };
  const kind = COMPOSERS.find((one) => one === second);
  if (first === "order" && kind !== undefined) return { page: "compose", kind };
  if (first === "webhooks" && /^[a-z][a-z0-9-]{0,39}$/.test(second ?? "")) return { page: "webhook", id: second ?? "" };
  return { page: "nowhere" };
}

/** The hash of a task's page; nothing for an id that no task has. */
export function taskHash(id: string): string | null {
  return leading(`#/tasks/${id}`, "task");
}

export function walletHash(id: string): string | null {
  return leading(`#/wallets/${id}`, "wallet");
}

export function webhookHash(name: string): string | null {
  return leading(`#/webhooks/${name}`, "webhook");
}

function leading(hash: string, page: Place["page"]): string | null {
  return placeOf(hash).page === page ? hash : null;
}

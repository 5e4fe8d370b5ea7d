/** The organisation's own names of addresses. Neither the coordinator nor a node has a part in them. */

export type Labels = ReadonlyMap<string, string>;

/** An address with its label. */
export interface Labelled {
  readonly address: string;
  readonly label: string;
}

/** Addresses of Ethereum are equal in any case; others are not. */
function plain(address: string): string {
  return /^0x[0-9a-fA-F]{40}$/.test(address) || /^(?:bc|tb|bcrt)1[0-9a-z]+$/i.test(address) ? address.toLowerCase() : address;
}

export function labelsOf(told: Readonly<Record<string, string>>): Labels {
  return new Map(Object.entries(told).map(([address, label]) => [plain(address), label]));
}

export function labelOf(labels: Labels, address: string): string | null {
  return labels.get(plain(address)) ?? null;
}

/** The labels of the addresses in some lines, each once. */
export function labelled(labels: Labels, lines: readonly string[]): readonly Labelled[] {
  const found = new Map<string, Labelled>();
  for (const [address] of lines.join("\n").matchAll(/[0-9A-Za-z]{20,128}/g)) {
    const label = labelOf(labels, address);
    if (label !== null) found.set(plain(address), { address, label });
  }
  return [...found.values()];
}

/** Commands that pages name beside orders. Each is tested: `countersign` takes it. */

export const COMMANDS = {
  exportAudit: [
    "countersign", "audit", "export", "--from", "2026-07-01", "--to", "2026-10-01",
    "--node", "alice.audit", "--node", "bob.audit", "--out", "q3.audit",
  ],
  verifyAudit: ["countersign", "audit", "verify", "q3.audit"],
  rotateKey: ["countersign", "api-key", "rotate", "desk", "--out", "desk.key", "--overlap", "3600"],
  resend: ["countersign", "webhook", "resend", "ops", "--state", "failed", "--since", "24h"],
  listen: ["countersign", "webhook", "listen", "--forward", "http://127.0.0.1:3000/hook"],
  webhookKeys: ["countersign", "webhook", "keys"],
} as const;

/** Commands for operators of nodes, as their pages have them. */
export const NODE_COMMANDS = {
  exportAudit:
    "countersign-node audit export --from 2026-07-01 --to 2026-08-01 --out alice.audit --config node.yaml",
  policyStatus: "countersign-node policy status",
} as const;

// What a coordinator refuses that takes signed requests only. Node's own cryptography judges them, by
// docs/api-authentication.md.

import { createHash, createPrivateKey, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

import { problem } from "./stream.mjs";

const PAGE = readFileSync(new URL("../../../docs/api-authentication.md", import.meta.url), "utf8");
export const EXAMPLE = PAGE.split("### Example")[1].split("\n## ")[0];
/** The key and the coordinator of the page's example. */
export const [KEY] = EXAMPLE.match(/csr-secret1\w+/);
export const [COORDINATOR] = EXAMPLE.match(/csc1\w+/);
const [REQUESTER] = EXAMPLE.match(/csr1\w+/);
// PKCS#8 of Ed25519 (RFC 8410), then the seed.
const seed = Buffer.from(Array.from({ length: 32 }, (_, index) => index));
const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
export const PUBLIC = createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }));

/** `nonces`: those of all requests that were accepted. `first`: refusals that come first, of what is otherwise right. */
export function gate() {
  const nonces = new Set();
  const first = [];
  const refuse = ({ method, url, headers }, body) => {
    if ("authorization" in headers || headers["countersign-requester"] !== REQUESTER) return problem(401, "unauthorised");
    const begin = url.includes("?") ? url.indexOf("?") : url.length;
    const [at, nonce, told, signature] = ["time", "nonce", "content-sha256", "signature"].map((name) => headers[`countersign-${name}`]);
    const lines = ["countersign/2 http request", COORDINATOR, method, url.slice(0, begin), url.slice(begin + 1), told, at, nonce];
    const good = verify(null, Buffer.from(lines.join("\n")), PUBLIC, Buffer.from(signature, "hex"));
    if (!good) return problem(401, "unauthorised");
    if (Math.abs(Date.now() - Number(at)) > 5000) return problem(401, "request-time");
    if (nonces.has(nonce) || !/^[\w-]{16,64}$/.test(nonce)) return problem(401, "request-repeated");
    nonces.add(nonce);
    if (told !== createHash("sha256").update(body).digest("hex")) return problem(401, "request-body");
    return first.shift();
  };
  return { nonces, first, refuse };
}

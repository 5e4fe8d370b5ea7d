/** The content security policy of the page. */

/**
 * The one script runs by its digest. `wasm-unsafe-eval` lets it compile the module, whose digest it checks, and evaluates no
 * text. Trusted Types without a policy make every way from a text to markup an error.
 */
export function policy(scriptIntegrity) {
  return [
    "default-src 'none'",
    `script-src '${scriptIntegrity}' 'wasm-unsafe-eval'`,
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
}

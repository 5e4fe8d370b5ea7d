/** Paths of child keys that lie beside each other. */

const MOST = 500;
/** The first number that is no plain child's (BIP-32). */
const END = 2 ** 31;

/** So many paths below a base; null if that makes no sense. The module judges each path itself. */
export function childPaths(base: string, first: number, count: number): readonly string[] | null {
  const path = base.trim().replace(/\/+$/, "");
  if (!/^m(?:\/\d{1,10})*$/.test(path)) return null;
  if (!Number.isInteger(first) || !Number.isInteger(count)) return null;
  if (first < 0 || count < 1 || count > MOST || first + count > END) return null;
  return Array.from({ length: count }, (_, index) => `${path}/${first + index}`);
}

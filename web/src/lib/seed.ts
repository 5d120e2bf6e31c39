// Seeds are 64-bit. Those above 2^53 do not fit a JavaScript number, so here a seed is always text.

/** A seed as decimal text, `0` to `18446744073709551615`. */
export type Seed = string;

const LARGEST = (1n << 64n) - 1n;
const EXACT = 1n << 53n;

/** The seed a person typed, or null where it is none. Leading zeros and spaces around it are dropped. */
export function readSeed(text: string): Seed | null {
  const trimmed = text.trim();
  if (!/^\d{1,40}$/.test(trimmed)) return null;
  const value = BigInt(trimmed);
  return value <= LARGEST ? value.toString() : null;
}

/** The seed of a JSON value: a number up to 2^53, text above. */
export function seedOf(value: unknown): Seed | null {
  if (typeof value === "string") return readSeed(value);
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return String(value);
  // 2^53 itself is exact, though it is no safe integer.
  if (value === 2 ** 53) return String(EXACT);
  return null;
}

/** A seed as it is sent: a number where it is exact, text above. */
export function seedToJson(seed: Seed): number | string {
  return BigInt(seed) <= EXACT ? Number(seed) : seed;
}

/** The seed `by` further on; past the largest it starts again at 0. */
export function seedPlus(seed: Seed, by: number): Seed {
  return BigInt.asUintN(64, BigInt(seed) + BigInt(by)).toString();
}

/** Parses JSON whose `seed` fields may be numbers beyond 2^53, which become text instead of being rounded. */
export function parseJson(text: string): unknown {
  return JSON.parse(text.replace(/("seed"\s*:\s*)(\d{16,})(?=\s*[,}\]])/g, '$1"$2"'));
}

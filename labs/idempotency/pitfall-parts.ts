/** For pitfalls that do by hand what `onceEach` does: which calls of a batch are new, given the keys that are known. */
import type { Call } from "./payment.ts";

/** @param known payload hashes by key; not changed */
export function newAndConflicting(
  calls: readonly Call[],
  known: ReadonlyMap<string, Uint8Array>,
): { readonly fresh: Call[]; readonly conflicts: Call[] } {
  const seen = new Map(known);
  const fresh: Call[] = [];
  const conflicts: Call[] = [];
  for (const call of calls) {
    const before = seen.get(call.key);
    if (before === undefined) {
      seen.set(call.key, call.payloadHash);
      fresh.push(call);
    } else if (Buffer.compare(before, call.payloadHash) !== 0) conflicts.push(call);
  }
  return { fresh, conflicts };
}

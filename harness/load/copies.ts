/** Which messages of a load are an event sent before: a pure function of the seed, like the rest of the plan. */
import type { CopyKind } from "../lab.ts";
import { integer, randomFor } from "./random.ts";

export interface PlannedCopy {
  /** Index of the event it repeats; always an event's first message. */
  readonly of: number;
  /** Index into the load's kinds of copies. */
  readonly kind: number;
  /** How many partitions further than the original's it goes. */
  readonly partitionsOn: number;
}

export interface CopyPlanner {
  /** Undefined when message `index` is an event of its own. */
  at(index: number): PlannedCopy | undefined;
}

/**
 * @param due when each message is due, ms
 * @param isOriginal whether an earlier message is an event's first one
 */
export function planCopies(
  seed: number,
  kinds: readonly CopyKind[],
  due: Float64Array,
  partitions: number,
  isOriginal: (index: number) => boolean,
): CopyPlanner {
  return {
    at(index) {
      const random = randomFor(seed ^ 0x2545f491, index);
      for (const [kind, { oneIn, afterMs, elsewhere }] of kinds.entries()) {
        if (random() * oneIn >= 1) continue;
        const [least, most] = afterMs;
        const of = originalAt((due[index] ?? 0) - integer(random, least, most), index, most === 0);
        if (of === undefined) return undefined;
        return {
          of,
          kind,
          partitionsOn: elsewhere === true && partitions > 1 ? integer(random, 1, partitions - 1) : 0,
        };
      }
      return undefined;
    },
  };

  /** The last original that was due by then. */
  function originalAt(dueMs: number, before: number, together: boolean): number | undefined {
    if (together) return before > 0 && isOriginal(before - 1) ? before - 1 : undefined;
    let low = 0;
    let high = before;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((due[middle] ?? 0) <= dueMs) low = middle + 1;
      else high = middle;
    }
    for (let i = low - 1; i >= 0; i -= 1) if (isOriginal(i)) return i;
    return undefined;
  }
}

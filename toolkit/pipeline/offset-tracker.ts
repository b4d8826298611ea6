/**
 * Which offset of a partition may be committed, when messages finish in any order.
 *
 * The answer is the lowest offset that is still in work, or one more than the last one started when nothing is: every
 * offset below it that was ever started is finished. On a dense partition this is Kafka's "last contiguous finished
 * offset + 1"; where offsets have gaps (compacted or transactional topics) the gaps are stepped over.
 *
 * Memory is O(offsets in work), not O(distance between the oldest of them and the newest). `started` and `finished`
 * cost O(1) amortised on a dense partition and O(log n) at worst.
 */
export interface OffsetTracker {
  /** An offset was pulled. Offsets must ascend; throws a RangeError if one does not. */
  started(offset: number): void;
  /** A started offset is done. One that is not in work (finished before, never started) is ignored. */
  finished(offset: number): void;
  /** The offset to commit: the next one to read after a restart. Undefined until it has moved past the first one started. */
  committable(): number | undefined;
  /** Offsets started and not finished. */
  readonly inWork: number;
}

/** A tracker for one partition and one generation. */
export function createOffsetTracker(): OffsetTracker {
  // Invariant: offsets[head..tail) ascend; done[i] is 1 when offsets[i] is finished; offsets[head] is in work
  // or head === tail. Finished entries in the middle are squeezed out when room is needed.
  let offsets = new Float64Array(64);
  let done = new Uint8Array(64);
  let head = 0;
  let tail = 0;
  let inWork = 0;
  let first: number | undefined;
  let last = -1;

  function makeRoom(): void {
    const room = inWork * 2 > offsets.length ? offsets.length * 2 : offsets.length;
    const nextOffsets = room === offsets.length ? offsets : new Float64Array(room);
    const nextDone = room === offsets.length ? done : new Uint8Array(room);
    let kept = 0;
    for (let i = head; i < tail; i++) {
      if (done[i] === 1) continue;
      nextOffsets[kept++] = offsets[i] as number;
    }
    nextDone.fill(0, 0, tail);
    offsets = nextOffsets;
    done = nextDone;
    head = 0;
    tail = kept;
  }

  /** Index of an offset in [head, tail), or -1. On a dense stretch the first guess is right. */
  function find(offset: number): number {
    if (head === tail) return -1;
    let low = head;
    let high = Math.min(tail - 1, head + (offset - (offsets[head] as number)));
    while (low <= high) {
      const guess = high - low < 2 || offsets[high] === offset ? high : (low + high) >> 1;
      const found = offsets[guess] as number;
      if (found === offset) return guess;
      if (found < offset) low = guess + 1;
      else high = guess - 1;
    }
    return -1;
  }

  return {
    started(offset) {
      if (offset <= last)
        throw new RangeError(`offset ${offset} was started after ${last}: offsets must ascend`);
      first ??= offset;
      last = offset;
      if (tail === offsets.length) makeRoom();
      offsets[tail++] = offset;
      inWork++;
    },
    finished(offset) {
      const at = find(offset);
      if (at === -1 || done[at] === 1) return;
      done[at] = 1;
      inWork--;
      while (head < tail && done[head] === 1) done[head++] = 0;
      if (head === tail) {
        head = 0;
        tail = 0;
      }
    },
    committable() {
      if (first === undefined) return undefined;
      const offset = head === tail ? last + 1 : (offsets[head] as number);
      return offset > first ? offset : undefined;
    },
    get inWork() {
      return inWork;
    },
  };
}

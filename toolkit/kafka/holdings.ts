/**
 * What the group has given to this worker, and until when.
 *
 * kafkajs has no hook that says "this partition is no longer yours", so every join of the group begins a new
 * generation: all partitions of the one before are revoked, the same partition gets a new assignment, and its work
 * starts again at the committed offset. Work of an older generation can then neither be written nor committed.
 */
import type { Assignment } from "../pipeline/message.ts";
import { createOffsetTracker, type OffsetTracker } from "../pipeline/offset-tracker.ts";

/** A partition in one generation. */
export interface HeldPartition extends Assignment {
  readonly tracker: OffsetTracker;
  /** The next offset to deliver; undefined before the first. Only grows. */
  position: number | undefined;
  /** What the group has accepted; undefined before the first commit of this generation. */
  committed: number | undefined;
  /** Where the last fetch that was not taken began; see `admits`. */
  unconfirmedStart: number | undefined;
  /** Of records delivered and not finished. */
  bytesInWork: number;
}

export interface Holdings {
  /** Joins so far; 0 before the first. */
  readonly generation: number;
  /** False until the first join, and from the moment the generation is known to end until the next. */
  readonly active: boolean;
  /** Begins a generation with these partitions; everything held before is revoked. */
  join(partitions: readonly { readonly topic: string; readonly partition: number }[]): void;
  /** The generation ends: nothing more is to be given out, but what is finished may still be committed. */
  suspend(): void;
  /** The partitions are gone: what is in work of them is revoked. */
  lose(): void;
  find(topic: string, partition: number): HeldPartition | undefined;
  /** Gives a partition whose log began anew (its offsets went back) a new assignment in the same generation. */
  restart(held: HeldPartition): HeldPartition;
  /** Messages delivered and not finished, of the current generation. */
  inWork(): number;
  bytesInWork(): number;
}

export function createHoldings(): Holdings {
  let partitions = new Map<string, HeldPartition>();
  let generation = 0;
  let active = false;

  const hold = (topic: string, partition: number): HeldPartition => ({
    topic,
    partition,
    generation,
    revoked: false,
    tracker: createOffsetTracker(),
    position: undefined,
    committed: undefined,
    unconfirmedStart: undefined,
    bytesInWork: 0,
  });
  const keyOf = (topic: string, partition: number) => `${partition} ${topic}`;

  function lose(): void {
    active = false;
    for (const held of partitions.values()) held.revoked = true;
    partitions = new Map();
  }

  return {
    get generation() {
      return generation;
    },
    get active() {
      return active;
    },
    join(given) {
      lose();
      generation++;
      active = true;
      for (const { topic, partition } of given)
        partitions.set(keyOf(topic, partition), hold(topic, partition));
    },
    suspend() {
      active = false;
    },
    lose,
    find: (topic, partition) => partitions.get(keyOf(topic, partition)),
    restart(held) {
      held.revoked = true;
      const next = hold(held.topic, held.partition);
      partitions.set(keyOf(held.topic, held.partition), next);
      return next;
    },
    inWork() {
      let count = 0;
      for (const held of partitions.values()) count += held.tracker.inWork;
      return count;
    },
    bytesInWork() {
      let bytes = 0;
      for (const held of partitions.values()) bytes += held.bytesInWork;
      return bytes;
    },
  };
}

/**
 * May a fetch that begins at this offset be delivered?
 *
 * With several brokers kafkajs can join again because of one of them while a fetch from another is under way. What
 * that fetch brings was asked for from the position of the old generation, and nothing on it says so: to deliver it
 * would leap over what the old generation had not finished, and the commit behind it would lose that. So the first
 * fetch of a partition after a join is taken only when the next one, asked for anew, begins at the same offset.
 */
export function admits(held: HeldPartition, firstOffset: number): boolean {
  if (held.position !== undefined || held.generation === 1) return true;
  if (held.unconfirmedStart === firstOffset) return true;
  held.unconfirmedStart = firstOffset;
  return false;
}

import { ChunkQueue } from "./chunk-queue.ts";
import type { Dispatcher, Place } from "./dispatcher.ts";

export interface PartitionDispatcherOptions<Event> {
  /** How many partitions there are. Minimum 1. */
  readonly partitions: number;
  /**
   * Where an event belongs: a key, which is hashed, or the number of a partition (taken modulo `partitions`).
   * Must not throw.
   */
  by(event: Event): string | number;
}

/**
 * Events with equal keys go to the same subscriber, in order (GenStage.PartitionDispatcher). An event whose partition
 * has no demand left is kept for it. So a slow partition in time holds up the others: what is kept counts against the
 * demand of all, or it would grow without end.
 */
export function partitionDispatcher<Event>(options: PartitionDispatcherOptions<Event>): Dispatcher<Event> {
  const { partitions, by } = options;
  const places: (Place<Event> | undefined)[] = new Array(partitions).fill(undefined);
  const queues = Array.from({ length: partitions }, () => new ChunkQueue<Event>());
  // Invariant: `asked` is the sum of the places' demand, `kept` that of the queues' lengths; a queue
  // is empty where its place has demand.
  let asked = 0;
  let kept = 0;

  function partitionOf(event: Event): number {
    return partitions === 1 ? 0 : partitionIndex(by(event), partitions);
  }

  function hand(place: Place<Event>, events: Event[]): void {
    place.demand -= events.length;
    asked -= events.length;
    place.receive(events);
  }

  /** Events of one partition, in order: to its subscriber as far as it asked, the rest is kept. */
  function route(partition: number, events: Event[]): void {
    const place = places[partition];
    const now = Math.min(place?.demand ?? 0, events.length);
    if (place !== undefined && now > 0) hand(place, now === events.length ? events : events.slice(0, now));
    if (now === events.length) return;
    kept += events.length - now;
    (queues[partition] as ChunkQueue<Event>).push(now === 0 ? events : events.slice(now));
  }

  return {
    get demand() {
      return Math.max(0, asked - kept);
    },
    get kept() {
      return kept;
    },
    join(place, { partition }) {
      if (partition === undefined || !(partition in places)) {
        throw new RangeError(`partition ${partition} does not exist: there are 0 to ${partitions - 1}`);
      }
      if (places[partition] !== undefined)
        throw new RangeError(`partition ${partition} has a subscriber already`);
      places[partition] = place;
    },
    ask(place, count) {
      place.demand += count;
      asked += count;
      if (kept === 0) return;
      const waiting = (queues[places.indexOf(place)] as ChunkQueue<Event>).take(place.demand);
      if (waiting.length === 0) return;
      kept -= waiting.length;
      hand(place, waiting);
    },
    leave(place, undelivered) {
      const partition = places.indexOf(place);
      places[partition] = undefined;
      asked -= place.demand;
      place.demand = 0;
      kept += undelivered.length;
      (queues[partition] as ChunkQueue<Event>).unshift(undelivered);
      return [];
    },
    takeKept() {
      kept = 0;
      return queues.flatMap((queue) => queue.take(queue.length));
    },
    dispatch(events) {
      const first = partitionOf(events[0] as Event);
      let same = 1;
      while (same < events.length && partitionOf(events[same] as Event) === first) same++;
      if (same === events.length) {
        route(first, events);
        return;
      }
      const parts: (Event[] | undefined)[] = new Array(partitions).fill(undefined);
      for (const event of events) {
        const partition = partitionOf(event);
        const part = parts[partition];
        if (part === undefined) parts[partition] = [event];
        else part.push(event);
      }
      for (let partition = 0; partition < partitions; partition++) {
        const part = parts[partition];
        if (part !== undefined) route(partition, part);
      }
    },
  };
}

/** The partition of a key: a whole number modulo `partitions`, anything else by its hash. */
export function partitionIndex(key: string | number, partitions: number): number {
  const number = partitionNumber(key);
  return ((number % partitions) + partitions) % partitions;
}

/** A whole number for a key: itself, if it is one, else its hash (FNV-1a, 32 bits, folded). */
export function partitionNumber(key: string | number): number {
  if (typeof key === "number" && Number.isSafeInteger(key)) return key;
  const text = String(key);
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  // The low bits of FNV-1a alone spread short, similar keys badly; the high ones are folded in.
  return (hash ^ (hash >>> 15)) >>> 0;
}

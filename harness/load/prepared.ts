/** Requests made ahead of the time at which they are due, so that only a write is left to do then. */
import type { Load } from "../lab.ts";
import type { Plan } from "./messages.ts";
import { requestTimeoutMs } from "./produce.ts";
import { type OutgoingRecord, produceRequest } from "./produce-request.ts";

/** Messages due within as much of each other go together: the resolution of the load. */
const slotMs = 2;
/**
 * Of large events, which are sent to pile up, and not to see how quickly one of them passes: a request for each costs
 * broker and generator half a core at 400 a second, which the worker's calls then wait for.
 */
const largeSlotMs = 10;
/** Bound of one request, well under the broker's message.max.bytes. */
const maxRequestBytes = 400_000;
const maxRequestMessages = 2_000;
/**
 * A fetch that ends inside of a batch brings that batch again: each event of this weight is a batch of its own, so a
 * request has one for a partition, and bytes at the proxy tell events.
 */
const largeEventBytes = 8_000;

/** The messages from `first` up to `end`, ready to be sent. */
export interface Prepared {
  readonly first: number;
  readonly end: number;
  /** When its last message is due. */
  readonly dueMs: number;
  readonly partitions: Int16Array;
  /** One for each broker. */
  readonly requests: readonly { readonly leader: number; readonly bytes: Buffer }[];
}

export interface PreparerOptions {
  readonly plan: Plan;
  readonly topic: string;
  readonly due: Float64Array;
  readonly startEpochMs: number;
  readonly leaderOf: (partition: number) => number;
  /** About what an event weighs. */
  readonly eventBytes: number;
}

/** The padding and what surrounds it; a tenth for escapes and characters of several bytes. */
export const aboutEventBytes = ({ paddingLength }: Load): number => 400 + paddingLength * 1.1;

/**
 * Makes the request that begins with message `first`.
 * @param at what is due until then may go into it; a generator that is late sends fewer and larger ones
 */
export function prepare(options: PreparerOptions, first: number, at: number): Prepared {
  const { plan, due, topic, startEpochMs, leaderOf } = options;
  const isLarge = options.eventBytes >= largeEventBytes;
  const widthMs = isLarge ? largeSlotMs : slotMs;
  const slotEnd = (Math.floor((due[first] ?? 0) / widthMs) + 1) * widthMs;
  const byLeader = new Map<number, OutgoingRecord[]>();
  const partitions: number[] = [];
  let bytes = 0;
  let end = first;
  while (end < plan.length && end - first < maxRequestMessages) {
    const dueMs = due[end] ?? 0;
    // Copies that belong together with their original are in its request.
    if (end > first && dueMs >= slotEnd && dueMs > at && !isTogether(plan, end)) break;
    const value = plan.value(end);
    bytes += value?.length ?? 0;
    if (end > first && bytes > maxRequestBytes) break;
    const { accountId, partition } = plan.at(end);
    if (isLarge && partitions.includes(partition)) break;
    const trace = plan.trace(end);
    const record = {
      partition,
      key: Buffer.from(accountId),
      value,
      headers: trace === undefined ? {} : { trace },
      timestamp: Math.round(startEpochMs + dueMs),
    };
    partitions.push(partition);
    const leader = leaderOf(partition);
    const some = byLeader.get(leader);
    if (some === undefined) byLeader.set(leader, [record]);
    else some.push(record);
    end += 1;
  }
  return {
    first,
    end,
    dueMs: due[end - 1] ?? 0,
    partitions: Int16Array.from(partitions),
    requests: Array.from(byLeader, ([leader, records]) => ({
      leader,
      bytes: produceRequest(topic, records, requestTimeoutMs),
    })),
  };
}

function isTogether(plan: Plan, index: number): boolean {
  const { copyOf, copy } = plan.at(index);
  return copy?.afterMs[1] === 0 && copyOf === index - 1;
}

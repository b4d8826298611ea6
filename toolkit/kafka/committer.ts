/**
 * Commits offsets behind finished work: promptly when there is little to do, and few requests when there is much.
 * One request is under way at a time, with the newest offset of every partition that moved; what moves meanwhile
 * goes into the next.
 */
import type { Offsets } from "kafkajs";
import type { Clock, Timer } from "../pipeline/clock.ts";
import { kafkaTrouble } from "./errors.ts";
import type { HeldPartition } from "./holdings.ts";

export interface CommitterOptions {
  /** Sends one request. Must refuse, not retry, when the generation has ended. */
  readonly send: (offsets: Offsets) => Promise<void>;
  /** Shortest time from the start of one request to the start of the next. */
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly committed: (held: HeldPartition, offset: number) => void;
  /** A request failed. After `lost` nothing of its generation is tried again; all else is, while it is held. */
  readonly failed: (error: unknown, generation: number) => void;
}

export interface Committer {
  /** Something of this partition was finished. */
  moved(held: HeldPartition): void;
  /** Sends what can be committed, now; resolves when all is committed or `deadlineMs` has passed. */
  flush(deadlineMs: number): Promise<void>;
  /** Sends nothing more. */
  close(): void;
}

const firstRetryMs = 50;
const longestRetryMs = 1_000;

export function createCommitter(options: CommitterOptions): Committer {
  const { clock, intervalMs } = options;
  const dirty = new Set<HeldPartition>();
  let timer: Timer | undefined;
  let sending = false;
  let closed = false;
  let retryMs = firstRetryMs;
  let nextStart = 0;
  let idle: (() => void)[] = [];

  function schedule(): void {
    if (timer !== undefined || sending || closed) return;
    // Always from a timer, never from the continuation of a promise: kafkajs takes over a new generation and
    // tells of it within one turn of the event loop, and no request may be made up in between.
    timer = clock.setTimer(run, Math.max(0, nextStart - clock.now()));
  }

  function run(): void {
    timer = undefined;
    const batch: { held: HeldPartition; offset: number }[] = [];
    for (const held of dirty) {
      const offset = held.tracker.committable();
      if (!held.revoked && offset !== undefined && offset > (held.committed ?? -1))
        batch.push({ held, offset });
    }
    dirty.clear();
    if (batch.length === 0) {
      settle();
      return;
    }
    sending = true;
    nextStart = clock.now() + intervalMs;
    options.send(offsetsOf(batch)).then(
      () => {
        retryMs = firstRetryMs;
        for (const { held, offset } of batch) {
          held.committed = offset;
          options.committed(held, offset);
        }
        sent();
      },
      (error: unknown) => {
        nextStart = clock.now() + retryMs;
        retryMs = Math.min(retryMs * 2, longestRetryMs);
        if (kafkaTrouble(error) !== "lost") for (const { held } of batch) dirty.add(held);
        options.failed(error, batch[0]?.held.generation ?? 0);
        sent();
      },
    );
  }

  function sent(): void {
    sending = false;
    if (dirty.size > 0) schedule();
    else settle();
  }

  function settle(): void {
    const waiting = idle;
    idle = [];
    for (const resolve of waiting) resolve();
  }

  return {
    moved(held) {
      dirty.add(held);
      schedule();
    },
    flush(deadlineMs) {
      if (!sending && dirty.size === 0) return Promise.resolve();
      nextStart = 0;
      timer?.cancel();
      timer = undefined;
      schedule();
      return new Promise((resolve) => {
        const deadline = clock.setTimer(resolve, deadlineMs);
        idle.push(() => {
          deadline.cancel();
          resolve();
        });
      });
    },
    close() {
      closed = true;
      timer?.cancel();
    },
  };
}

function offsetsOf(batch: readonly { held: HeldPartition; offset: number }[]): Offsets {
  const topics = new Map<string, { partition: number; offset: string }[]>();
  for (const { held, offset } of batch) {
    const partitions = topics.get(held.topic) ?? [];
    partitions.push({ partition: held.partition, offset: String(offset) });
    topics.set(held.topic, partitions);
  }
  return { topics: Array.from(topics, ([topic, partitions]) => ({ topic, partitions })) };
}

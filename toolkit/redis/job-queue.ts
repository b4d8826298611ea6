/**
 * A queue of jobs that survives everything but its Redis's disk: BullMQ, as far as jobs are put in.
 *
 * Each queue has a name, workers with their own concurrency (job-worker.ts), and its keys under
 * `<prefix>:<name>:`, so that queues do not disturb one another.
 */
import { Queue } from "bullmq";
import type { JobState } from "../jobs/job-state.ts";
import { type Log, logToStderr } from "../worker/log.ts";
import { openRedis, type RedisClient } from "./connect.ts";
import { storedId } from "./job-id.ts";

export interface QueuePlace {
  /** `REDIS_URL` */
  readonly url: string;
  /** What all keys begin with; a colon at its end is as good as none. */
  readonly prefix: string;
  /** Without a colon. */
  readonly name: string;
  readonly log?: Log;
}

export interface NewJob<Data> {
  /**
   * A second job with the id of one that waits, runs, or ended within the hour, is ignored: with the event's id a
   * second delivery of the event does no harm. Any text.
   */
  readonly id: string;
  readonly state: JobState<Data>;
}

export interface JobQueue<Data> {
  /**
   * Resolves when Redis has them all. Rejects when Redis is away or does not answer within 3 s; it may have some of
   * them then, and adding all of them again is right.
   */
  add(jobs: readonly NewJob<Data>[]): Promise<void>;
  /** How many wait for their time, wait for a worker, and are being worked on. */
  count(): Promise<{ readonly delayed: number; readonly waiting: number; readonly active: number }>;
  close(): Promise<void>;
}

const readyWithinMs = 500;

export function openJobQueue<Data>(place: QueuePlace): JobQueue<Data> {
  const { url, name, prefix, log = logToStderr } = place;
  const connection = openRedis(url, { whenAway: "fail", log });
  let queue: Queue | undefined;

  /** BullMQ looks at its Redis once, at the beginning; a queue for which that failed stays broken, so it gets a new one. */
  async function opened(): Promise<Queue> {
    await isReady(connection);
    const bull = queue ?? new Queue(name, { connection, prefix: bullPrefix(prefix) });
    // The connection tells what is wrong with it.
    if (queue === undefined) bull.on("error", () => undefined);
    queue = bull;
    try {
      await bull.waitUntilReady();
      return bull;
    } catch (error) {
      queue = undefined;
      throw error;
    }
  }

  return {
    async add(jobs) {
      const bull = await opened();
      const now = Date.now();
      await bull.addBulk(
        jobs.map(({ id, state }) => ({
          name,
          data: state,
          opts: {
            jobId: storedId(id),
            timestamp: now,
            delay: Math.max(0, state.notBefore - now),
            // The policy decides when it is enough, and the backoff strategy of the worker how long to wait.
            attempts: Number.MAX_SAFE_INTEGER,
            backoff: { type: "state" },
          },
        })),
      );
    },
    async count() {
      const bull = await opened();
      const {
        delayed = 0,
        waiting = 0,
        active = 0,
      } = await bull.getJobCounts("delayed", "waiting", "active");
      return { delayed, waiting, active };
    },
    async close() {
      if (queue !== undefined) await queue.close().catch(() => undefined);
      connection.disconnect();
    },
  };
}

/** Rejects when there is no connection within the time a start or a reconnection takes. */
async function isReady(connection: RedisClient): Promise<void> {
  if (connection.status === "ready") return;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      connection.off("ready", done);
      reject(new Error("Redis is away"));
    }, readyWithinMs);
    function done(): void {
      clearTimeout(timer);
      resolve();
    }
    connection.once("ready", done);
  });
}

export const bullPrefix = (prefix: string): string => prefix.replace(/:$/, "");

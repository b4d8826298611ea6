/**
 * The worker as a member of its group: joins, joins again when kafkajs gives up, leaves. What kafkajs does by itself
 * (rebalance, reconnect, retry) it does; this fills its gaps: a crash it does not recover from is started again,
 * and closing has an end though the broker may be away.
 */
import type { Consumer, EachBatchPayload } from "kafkajs";
import type { Client } from "./client.ts";

export interface MembershipOptions {
  readonly client: Client;
  readonly topic: string;
  readonly groupId: string;
  readonly sessionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly maxWaitMs: number;
  readonly maxBytesPerPartition: number;
  /** Must not throw anything but errors of kafkajs: any other ends the consumer. */
  readonly batch: (payload: EachBatchPayload) => Promise<void>;
  readonly joined: (partitions: readonly number[]) => void;
  /** The consumer stopped because of this; it starts again by itself. */
  readonly crashed: (error: unknown) => void;
  /** It crashed again and again without a batch in between, for a reason that waiting does not mend. */
  readonly failed: (error: unknown) => void;
}

export interface Membership {
  /** Connects and joins; resolves when the group has given partitions (perhaps none). */
  join(): Promise<void>;
  /** Leaves the group, so that others get the partitions now. `join` may follow. */
  leave(): Promise<void>;
  /** Leaves and disconnects; has no effect on what is still in work. Never rejects. */
  close(deadlineMs: number): Promise<void>;
}

/** kafkajs goes through as many workers at each fetch. */
const mostPartitionsAtOnce = 32;
const restartDelayMs = 500;
const crashesBeforeFailure = 5;
const forgottenAfterMs = 300_000;

export function createMembership(options: MembershipOptions): Membership {
  const { client, topic, groupId } = options;
  let closed = false;
  /** Crashes that kafkajs does not restart from, since a batch came or after a time without any. */
  let crashes = 0;
  let crashedAt = 0;
  let restartTimer: NodeJS.Timeout | undefined;
  let waiting: { resolve: () => void; reject: (error: unknown) => void }[] = [];

  const consumer: Consumer = client.kafka.consumer({
    groupId,
    sessionTimeout: options.sessionTimeoutMs,
    rebalanceTimeout: options.rebalanceTimeoutMs,
    heartbeatInterval: options.heartbeatIntervalMs,
    maxBytesPerPartition: options.maxBytesPerPartition,
    minBytes: 1,
    maxWaitTimeInMs: options.maxWaitMs,
    allowAutoTopicCreation: false,
    // Kept short of a crash as long as it may be a passing cut: a crash costs the membership, and with it a wait
    // for the old member's session to end.
    retry: {
      initialRetryTime: 50,
      maxRetryTime: 1_000,
      retries: 15,
      restartOnFailure: async () => !closed,
    },
  });

  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    options.joined(payload.memberAssignment[topic] ?? []);
    const joined = waiting;
    waiting = [];
    for (const { resolve } of joined) resolve();
  });

  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (closed) return;
    options.crashed(payload.error);
    if (payload.restart) return;
    // An idle topic brings no batch: what happens once a day must not add up.
    if (performance.now() - crashedAt > forgottenAfterMs) crashes = 0;
    crashedAt = performance.now();
    crashes++;
    if (crashes > crashesBeforeFailure) fail(payload.error);
    else restartTimer = setTimeout(() => run().catch(fail), restartDelayMs);
  });

  function fail(error: unknown): void {
    const failed = waiting;
    waiting = [];
    if (failed.length === 0) options.failed(error);
    for (const { reject } of failed) reject(error);
  }

  async function run(): Promise<void> {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      // All that a fetch brought is handed over at once, whatever partition it is of.
      partitionsConsumedConcurrently: mostPartitionsAtOnce,
      eachBatch(payload) {
        // Not at a join: a fetch that cannot be read fails again after each of them.
        crashes = 0;
        return options.batch(payload);
      },
    });
  }

  return {
    async join() {
      const joined = new Promise<void>((resolve, reject) => waiting.push({ resolve, reject }));
      run().catch(fail);
      await joined;
    },
    async leave() {
      await consumer.stop();
    },
    async close(deadlineMs) {
      closed = true;
      clearTimeout(restartTimer);
      let timer: NodeJS.Timeout | undefined;
      const deadline = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, deadlineMs);
      });
      await Promise.race([consumer.disconnect().catch(() => undefined), deadline]);
      clearTimeout(timer);
      client.destroy();
    },
  };
}

import type { ConsumerRunConfig, EachBatchPayload } from "kafkajs";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Client } from "./client.ts";
import { createMembership } from "./membership.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A member whose consumer joins at once, and crashes when the test says so. */
async function joined() {
  const listeners = new Map<string, (event: unknown) => void>();
  let config: ConsumerRunConfig | undefined;
  let joins = 0;
  const consumer = {
    events: { GROUP_JOIN: "join", CRASH: "crash" },
    on: (name: string, listener: (event: unknown) => void) => listeners.set(name, listener),
    connect: () => Promise.resolve(),
    subscribe: () => Promise.resolve(),
    async run(given: ConsumerRunConfig) {
      config = given;
      joins++;
      listeners.get("join")?.({ payload: { memberAssignment: { payments: [0] } } });
    },
    stop: () => Promise.resolve(),
    disconnect: () => Promise.resolve(),
  };
  const failures: unknown[] = [];
  const membership = createMembership({
    client: { kafka: { consumer: () => consumer }, destroy() {} } as unknown as Client,
    topic: "payments",
    groupId: "payments",
    sessionTimeoutMs: 1_000,
    heartbeatIntervalMs: 250,
    rebalanceTimeoutMs: 1_000,
    maxWaitMs: 100,
    maxBytesPerPartition: 1_000,
    batch: () => Promise.resolve(),
    joined() {},
    crashed() {},
    failed: (error) => failures.push(error),
  });
  await membership.join();
  return {
    failures,
    joins: () => joins,
    batch: () => config?.eachBatch?.({} as EachBatchPayload),
    async crash() {
      listeners.get("crash")?.({ payload: { error: new Error("cannot decompress"), restart: false } });
      await vi.advanceTimersByTimeAsync(1_000);
    },
  };
}

test("a member that joins and crashes before any batch, again and again, fails", async () => {
  const { crash, failures, joins } = await joined();
  for (let times = 1; times <= 6; times++) await crash();
  expect(failures).toMatchObject([{ message: "cannot decompress" }]);
  expect(joins()).toBe(6);
});

test("crashes with a batch in between, or hours, do not add up", async () => {
  const { crash, batch, failures, joins } = await joined();
  for (let times = 1; times <= 20; times++) {
    await crash();
    if (times <= 10) await batch();
    else await vi.advanceTimersByTimeAsync(3_600_000);
  }
  expect(failures).toEqual([]);
  expect(joins()).toBe(21);
});

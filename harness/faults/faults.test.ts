import { expect, test } from "vitest";
import type { FaultPlan } from "../lab.ts";
import type { Fault } from "../record/record.ts";
import type { Stack } from "../stack/stack.ts";
import { breakThings, type FaultContext } from "./faults.ts";
import { killWorker } from "./kills.ts";

/** Of two workers that share four partitions, until something else is said; nothing is broken, and nothing is stored. */
function contextOf(change: Record<string, unknown>): FaultContext {
  return {
    workers: 2,
    partitions: 4,
    partitionOf: (message: number) => message,
    sessionTimeoutMs: 4_000,
    committed: async () => [],
    now: () => 7,
    signal: new AbortController().signal,
    onFault: () => undefined,
    ...change,
  } as unknown as FaultContext;
}
const kill = { kind: "kill-worker", atMs: 0, recoveryMs: 100, meets: "write" } as const;

test("a fault that is over is on record though the run is cut short before the next", async () => {
  const cutShort = new AbortController();
  const stack: Pick<Stack, "kill" | "restart" | "cannot"> = {
    kill: async () => undefined,
    restart: async () => cutShort.abort(),
    cannot: () => undefined,
  };
  const context = contextOf({ stack, seed: 1, signal: cutShort.signal });
  const restart = (atMs: number): FaultPlan => ({
    kind: "restart",
    service: "redis",
    atMs,
    forMs: 0,
    recoveryMs: 100,
  });
  const done: Fault[] = [];
  await expect(breakThings([restart(0), restart(60_000)], context, done)).rejects.toThrow(/abort/i);
  expect(done).toEqual([{ name: "restart of redis", kind: "restart", startMs: 7, healMs: 7, clearMs: 107 }]);
});

test("a kill behind a held commit waits for rows that tell their partition, from more than the other worker can hold", async () => {
  let looks = 0;
  // Messages 0 to 9 were sent to another partition as well; 10 on tell where they came from, four partitions in turn.
  const stored = [
    [0, 1, 2, 3],
    [0, 1, 10, 11],
    [10, 11, 14],
    [10, 11, 12],
  ];
  let looksAtKill = 0;
  const context = contextOf({
    partitionOf: (message: number) => (message < 10 ? undefined : message % 4),
    stack: { link: () => ({ stall: () => undefined, releaseLiving: () => undefined }) },
    probe: {
      look: async () => void looks++,
      storedSince: () => stored[looks - 1] ?? [],
      newestCommitEpochMs: () => 0,
    },
    crew: {
      kill: async () => {
        looksAtKill = looks;
        return { id: "w1" };
      },
      start: async () => ({ startedAt: Date.now() }),
    },
  });
  const fault = await killWorker(kill, context);
  expect(looksAtKill).toBe(4);
  expect(fault.note).toBeUndefined();
});

test("a kill whose moment comes after the load meets a worker that still works something off, and no other", async () => {
  const killsOf = async (newestCommitEpochMs: () => number) => {
    let kills = 0;
    const context = contextOf({
      workers: 1,
      // No time to recover: rows flow, or they do not.
      sessionTimeoutMs: -4_000,
      loadMs: 5,
      seed: 1,
      stack: { link: () => undefined },
      probe: { newestCommitEpochMs },
      crew: {
        kill: async () => void kills++,
        start: async () => ({ startedAt: Date.now() }),
      },
    });
    const done: Fault[] = [];
    await breakThings([{ ...kill, meets: "anything" }], context, done);
    expect(done.length).toBe(kills);
    return kills;
  };
  expect(await killsOf(() => Date.now())).toBe(1);
  expect(await killsOf(() => 0)).toBe(0);
});

test.each([
  [
    "the run is cut short",
    async (over: AbortController) => {
      over.abort();
      return [];
    },
  ],
  ["the broker does not tell the offsets", () => Promise.reject(new Error("no coordinator"))],
])(
  "when %s between a kill and its successor, the way is open again and no worker starts",
  async (_when, committed) => {
    const over = new AbortController();
    const done: string[] = [];
    const context = contextOf({
      workers: 1,
      partitionOf: () => 0,
      stack: { link: () => ({ stall: () => done.push("stall"), releaseLiving: () => done.push("release") }) },
      probe: { look: async () => undefined, storedSince: () => [1] },
      crew: {
        kill: async () => void done.push("kill"),
        start: async () => void done.push("start"),
      },
      committed: () => committed(over),
      signal: over.signal,
    });
    await expect(killWorker(kill, context)).rejects.toThrow();
    expect(done).toEqual(["stall", "kill", "release"]);
  },
);

test("a hold behind which nothing is stored is let go and made again", async () => {
  const done: string[] = [];
  let holds = 0;
  const link = {
    stall: () => {
      holds += 1;
      done.push("stall");
    },
    release: () => done.push("release"),
    releaseLiving: () => done.push("release the living"),
  };
  const context = contextOf({
    stack: { link: () => link },
    probe: {
      look: async () => undefined,
      storedSince: () => (holds < 3 ? [] : [0, 1, 2]),
      newestCommitEpochMs: () => 0,
    },
    crew: {
      kill: async () => void done.push("kill"),
      start: async () => ({ startedAt: Date.now() }),
    },
    sessionTimeoutMs: 100,
  });
  const fault = await killWorker(kill, context);
  expect(done).toEqual(["stall", "release", "stall", "release", "stall", "kill", "release the living"]);
  expect(fault.note).toBeUndefined();
});

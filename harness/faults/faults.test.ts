import { expect, test } from "vitest";
import type { FaultPlan } from "../lab.ts";
import type { Fault } from "../record/record.ts";
import type { Stack } from "../stack/stack.ts";
import { breakThings, type FaultContext } from "./faults.ts";

test("a fault that is over is on record though the run is cut short before the next", async () => {
  const cutShort = new AbortController();
  const stack: Pick<Stack, "kill" | "restart" | "cannot"> = {
    kill: async () => undefined,
    restart: async () => cutShort.abort(),
    cannot: () => undefined,
  };
  const context = {
    stack,
    seed: 1,
    now: () => 7,
    signal: cutShort.signal,
    onFault: () => undefined,
  } as unknown as FaultContext;
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

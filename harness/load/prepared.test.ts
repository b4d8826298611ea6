import { expect, test } from "vitest";
import { planMessages } from "./messages.ts";
import { prepare } from "./prepared.ts";
import { dueTimes, schedule } from "./schedule.ts";

/** Partitions of each request of a load of one second, made when it is due. */
function requests(paddingLength: number, perSecond: number): number[][] {
  const phases = [{ name: "steady", forMs: 1_000, perSecond }];
  const plan = planMessages(1, { accounts: 20, paddingLength, malformedOneIn: 0, phases }, 4);
  const due = dueTimes(schedule(phases));
  const options = {
    plan,
    due,
    topic: "t",
    startEpochMs: 0,
    leaderOf: () => 1,
    eventBytes: 400 + paddingLength,
  };
  const made: number[][] = [];
  for (let first = 0; first < plan.length; ) {
    const { end, dueMs, partitions } = prepare(options, first, due[first] ?? 0);
    expect(dueMs - (due[first] ?? 0)).toBeLessThan(10);
    made.push([...partitions]);
    first = end;
  }
  return made;
}

test("what is due within 2 ms goes together", () => {
  expect(new Set(requests(8, 1_000).map(({ length }) => length))).toEqual(new Set([2]));
  expect(new Set(requests(8, 400).map(({ length }) => length))).toEqual(new Set([1]));
});

test("large events go together for 10 ms, and never two of one partition, which would be one batch", () => {
  const made = requests(16_000, 400);
  for (const partitions of made) expect(new Set(partitions).size).toBe(partitions.length);
  expect(made.length).toBeLessThan(300);
  expect(Math.max(...made.map(({ length }) => length))).toBeGreaterThan(2);
});

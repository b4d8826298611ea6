import { expect, test } from "vitest";
import { planMessages } from "./messages.ts";
import { prepare } from "./prepared.ts";
import { dueTimes, schedule } from "./schedule.ts";

/** Sizes of the requests of a load of one second, each made when it is due. */
function requests(paddingLength: number, perSecond: number): number[] {
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
  const sizes: number[] = [];
  for (let first = 0; first < plan.length; ) {
    const { end, dueMs } = prepare(options, first, due[first] ?? 0);
    expect(dueMs - (due[first] ?? 0)).toBeLessThan(10);
    sizes.push(end - first);
    first = end;
  }
  return sizes;
}

test("what is due within 2 ms goes together", () => {
  expect(new Set(requests(8, 1_000))).toEqual(new Set([2]));
  expect(new Set(requests(8, 400))).toEqual(new Set([1]));
});

test("large events go together for 10 ms, and never more than four", () => {
  expect(new Set(requests(16_000, 400))).toEqual(new Set([4]));
  expect(new Set(requests(16_000, 200))).toEqual(new Set([2]));
  expect(Math.max(...requests(16_000, 1_000))).toBe(4);
});

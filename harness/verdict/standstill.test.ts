import { expect, test } from "vitest";
import { areStandstills } from "./standstill.ts";

/** Events that were due every 5 ms, and all came when the standstill was over. */
const heldUp = (fromMs: number, untilMs: number) =>
  Array.from({ length: Math.ceil((untilMs - fromMs) / 5) }, (_, i) => ({
    dueMs: fromMs + i * 5,
    cameMs: untilMs + i,
  }));

test("events that were due in one moment are one standstill, however many, and two are not too many", () => {
  expect(areStandstills([])).toBe(true);
  expect(areStandstills(heldUp(1_000, 1_300))).toBe(true);
  expect(areStandstills([...heldUp(5_000, 5_300), ...heldUp(1_000, 1_300)])).toBe(true);
});

test("late ones again and again, for long, or for ever are no standstills", () => {
  expect(areStandstills([1_000, 2_000, 3_000].flatMap((at) => heldUp(at, at + 200)))).toBe(false);
  expect(areStandstills(heldUp(1_000, 1_600))).toBe(false);
  // Each is late by little, and the next one is due before it came.
  expect(
    areStandstills(Array.from({ length: 20 }, (_, i) => ({ dueMs: i * 100, cameMs: i * 100 + 150 }))),
  ).toBe(false);
  expect(areStandstills([{ dueMs: 0, cameMs: Number.POSITIVE_INFINITY }])).toBe(false);
});

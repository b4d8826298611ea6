import { expect, test } from "vitest";
import { createPatience } from "./patience.ts";

test("it comes again soon at first, then later and later, and bears with a trial no longer than it was away", () => {
  const patience = createPatience(60_000, 5_000);
  expect(patience.limitMs).toBe(60_000);
  const seen = Array.from({ length: 5 }, () => {
    patience.left();
    return [patience.awayMs, patience.limitMs];
  });
  const waits = [7_500, 15_000, 30_000, 60_000, 60_000];
  expect(seen).toEqual(waits.map((ms) => [ms, ms]));
});

test("finished work ends the trial: patience is whole again, and the next time away is short", () => {
  const patience = createPatience(60_000, 5_000);
  for (let i = 0; i < 3; i += 1) patience.left();
  patience.finished();
  expect(patience.limitMs).toBe(60_000);
  patience.left();
  expect(patience.awayMs).toBe(7_500);
});

test("it stays away for long enough to be noticed, and never longer than it may be stuck", () => {
  const noticed = createPatience(4_000, 1_000);
  noticed.left();
  expect(noticed.awayMs).toBe(1_000);
  const hasty = createPatience(500, 1_000);
  hasty.left();
  expect(hasty.awayMs).toBe(500);
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { retryWaitMs } from "./retry.ts";

const policy = { isTransient: () => true, maxAttempts: 9, baseMs: 50, factor: 2, capMs: 2_000, jitter: 0 };

test("waits double from the base up to the cap", () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 8].map((failures) => retryWaitMs(policy, failures, () => 0.5));
  expect(waits).toEqual([50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
});

test("jitter only shortens a wait, by no more than its share", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2_000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (failures, jitter, draw) => {
        const whole = retryWaitMs(policy, failures, () => 0);
        const wait = retryWaitMs({ ...policy, jitter }, failures, () => draw);
        expect(wait).toBeLessThanOrEqual(whole);
        expect(wait).toBeGreaterThanOrEqual(whole * (1 - jitter));
      },
    ),
  );
});

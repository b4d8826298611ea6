import { afterEach, expect, test, vi } from "vitest";
import { systemClock } from "./clock.ts";

afterEach(() => void vi.useRealTimers());

test("a timer of a month, or for ever, does not ring at once", () => {
  vi.useFakeTimers();
  let rung = 0;
  for (const delayMs of [30 * 86_400_000, Number.POSITIVE_INFINITY])
    systemClock.setTimer(() => rung++, delayMs);
  vi.advanceTimersByTime(86_400_000);
  expect(rung).toBe(0);
  vi.clearAllTimers();
});

import { afterEach, expect, test, vi } from "vitest";
import { monotonicOf } from "./monotonic.ts";

afterEach(() => vi.restoreAllMocks());

test("a moment is as far away on the monotonic clock as on the wall's, also after the machine slept for an hour", () => {
  const soon = () => monotonicOf(Date.now() + 500) - performance.now();
  expect(soon()).toBeGreaterThan(495);
  expect(soon()).toBeLessThan(505);
  const awake = Date.now;
  vi.spyOn(Date, "now").mockImplementation(() => awake() + 3_600_000);
  expect(soon()).toBeGreaterThan(495);
  expect(soon()).toBeLessThan(505);
});

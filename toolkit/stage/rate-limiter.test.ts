import fc from "fast-check";
import { expect, test } from "vitest";
import { fakeClock } from "../testing/fake-clock.ts";
import { RateLimiter } from "./rate-limiter.ts";

test("no interval sees more arrivals than are allowed, however demand and arrivals are spread", async () => {
  const script = fc.array(
    fc.record({ waitMs: fc.integer({ min: 0, max: 250 }), wanted: fc.nat(30), arrive: fc.nat(30) }),
    { maxLength: 60 },
  );
  await fc.assert(
    fc.asyncProperty(script, fc.integer({ min: 1, max: 20 }), async (steps, allowed) => {
      let now = 0;
      const clock = { ...fakeClock(), now: () => now };
      const limiter = new RateLimiter(clock, { allowed, intervalMs: 100 });
      limiter.allowance(0);
      const arrivals = new Map<number, number>();
      let outstanding = 0;
      for (const { waitMs, wanted, arrive } of steps) {
        now += waitMs;
        outstanding += Math.min(wanted, limiter.allowance(outstanding));
        const count = Math.min(arrive, outstanding);
        outstanding -= count;
        limiter.arrived(count);
        const interval = Math.floor(now / 100);
        arrivals.set(interval, (arrivals.get(interval) ?? 0) + count);
      }
      for (const count of arrivals.values()) expect(count).toBeLessThanOrEqual(allowed);
    }),
  );
});

test("the whole allowance is there again when the next interval begins, and waitMs says when", () => {
  let now = 50;
  const limiter = new RateLimiter({ ...fakeClock(), now: () => now }, { allowed: 5, intervalMs: 100 });
  expect(limiter.allowance(0)).toBe(5);
  limiter.arrived(5);
  expect(limiter.allowance(0)).toBe(0);
  now = 120;
  expect(limiter.waitMs).toBe(30);
  now = 150;
  expect(limiter.allowance(2)).toBe(3);
});

test("a changed limit counts from now on; without one there is no end", () => {
  const limiter = new RateLimiter({ ...fakeClock(), now: () => 0 }, { allowed: 5, intervalMs: 100 });
  expect(limiter.allowance(0)).toBe(5);
  limiter.arrived(4);
  limiter.set({ allowed: 10, intervalMs: 100 });
  expect(limiter.allowance(0)).toBe(6);
  limiter.set(undefined);
  expect(limiter.allowance(0)).toBe(Number.POSITIVE_INFINITY);
});

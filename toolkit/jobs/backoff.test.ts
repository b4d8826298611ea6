import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { capped, decorrelated, exponential, fixed, jittered, linear, retryAfterMs } from "./backoff.ts";

const failures = fc.integer({ min: 1, max: 200 });
const ms = fc.double({ min: 0.1, max: 60_000, noNaN: true });
const factor = fc.double({ min: 1, max: 10, noNaN: true });
const share = fc.double({ min: 0, max: 1, noNaN: true });
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe("formulas", () => {
  test("exponential: each wait is the one before times the factor, and the first is the base", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), ms, factor, (n, baseMs, grows) => {
        const formula = exponential({ baseMs, factor: grows });
        expect(formula(1)).toBeCloseTo(baseMs, 9);
        expect(formula(n + 1) / formula(n)).toBeCloseTo(grows, 6);
      }),
    );
  });

  test("linear: each wait is the one before plus the step", () => {
    fc.assert(
      fc.property(failures, ms, ms, (n, baseMs, stepMs) => {
        const formula = linear({ baseMs, stepMs });
        expect(formula(1)).toBe(baseMs);
        expect(formula(n + 1) - formula(n)).toBeCloseTo(stepMs, 5);
      }),
    );
    expect([1, 2, 3].map(linear({ baseMs: 100 }))).toEqual([100, 200, 300]);
  });

  test("fixed: always the same", () => {
    fc.assert(fc.property(failures, ms, (n, baseMs) => fixed(baseMs)(n) === baseMs));
  });

  test("a cap is never exceeded, not even at Infinity, and changes nothing below it", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5_000 }), ms, factor, ms, (n, baseMs, grows, capMs) => {
        const formula = exponential({ baseMs, factor: grows });
        const wait = capped(formula, capMs)(n);
        expect(wait).toBeLessThanOrEqual(capMs);
        if (formula(n) <= capMs) expect(wait).toBe(formula(n));
      }),
    );
  });

  test("a number out of range is refused by name", () => {
    expect(() => exponential({ baseMs: -1, factor: 2 })).toThrow("baseMs");
    expect(() => exponential({ baseMs: 1, factor: 0.5 })).toThrow("factor");
    expect(() => capped(fixed(1), Number.NaN)).toThrow("capMs");
    expect(() => jittered(fixed(1), 1.5)).toThrow("jitter");
  });
});

describe("jitter", () => {
  test("takes at most its share off, and never adds", () => {
    fc.assert(
      fc.property(failures, ms, share, chance, (n, baseMs, part, at) => {
        const wait = jittered(fixed(baseMs), part)({ failures: n, random: () => at });
        expect(wait).toBeLessThanOrEqual(baseMs);
        expect(wait).toBeGreaterThanOrEqual(baseMs * (1 - part) * (1 - 1e-12));
      }),
    );
  });

  test("none leaves the formula as it is; more chance is a shorter wait", () => {
    const formula = capped(exponential({ baseMs: 100, factor: 3 }), 2_000);
    for (let n = 1; n < 9; n += 1) {
      expect(jittered(formula, 0)({ failures: n, random: () => 0.9 })).toBe(formula(n));
    }
    const half = jittered(formula, 0.5);
    const waits = [0, 0.5, 0.999].map((at) => half({ failures: 2, random: () => at }));
    expect(waits.map(Math.round)).toEqual([300, 225, 150]);
  });

  test("decorrelated: between the base and three times the wait before, under the cap", () => {
    fc.assert(
      fc.property(ms, ms, ms, chance, (baseMs, capMs, previousMs, at) => {
        const backoff = decorrelated({ baseMs, capMs });
        const wait = backoff({ failures: 2, previousMs, random: () => at });
        expect(wait).toBeLessThanOrEqual(capMs);
        expect(wait).toBeLessThanOrEqual(Math.max(baseMs, 3 * previousMs) * (1 + 1e-12));
        expect(wait).toBeGreaterThanOrEqual(Math.min(baseMs, capMs));
      }),
    );
  });

  test("decorrelated grows in the mean until it reaches the cap", () => {
    const backoff = decorrelated({ baseMs: 100, capMs: 5_000 });
    let previousMs: number | undefined;
    const waits = Array.from({ length: 12 }, (_, i) => {
      previousMs = backoff({ failures: i + 1, previousMs, random: () => 0.6 });
      return previousMs;
    });
    expect(waits.every((one, i) => i === 0 || one >= (waits[i - 1] ?? 0))).toBe(true);
    expect(waits.at(-1)).toBe(5_000);
  });
});

describe("Retry-After", () => {
  const now = Date.UTC(2026, 0, 5, 8);
  test.each([
    ["120", 120_000],
    [" 0 ", 0],
    ["Mon, 05 Jan 2026 08:00:30 GMT", 30_000],
    ["Mon, 05 Jan 2026 07:00:00 GMT", 0],
    ["1.5", undefined],
    ["-3", undefined],
    ["soon", undefined],
    ["2026", 2_026_000],
    ["", undefined],
    [undefined, undefined],
  ])("%j asks for %s ms", (header, expected) => {
    expect(retryAfterMs(header, now)).toBe(expected);
  });
});

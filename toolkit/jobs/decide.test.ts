import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { exponential, fixed, jittered } from "./backoff.ts";
import { decide, type Step } from "./decide.ts";
import { type JobState, newJob } from "./job-state.ts";
import { cancel, dead, type Outcome, ok, outcomeOfThrown, retry, snooze } from "./outcome.ts";
import { policyOf, type RetryPolicy } from "./policy.ts";

const policy = policyOf({ maxAttempts: 4, baseMs: 100, factor: 2, capMs: 1_000, jitter: 0 });
const times = { startedAt: 1_000, endedAt: 1_020 };
const step = (state: JobState<string>, outcome: Outcome, by: RetryPolicy = policy): Step<string> =>
  decide(state, outcome, by, times, () => 0);

/** The state after so many failures. */
function failed(count: number, by: RetryPolicy = policy): JobState<string> {
  let state = newJob("a");
  for (let i = 0; i < count; i += 1) {
    const next = step(state, retry("unavailable", "503"), by);
    if (next.kind !== "wait") throw new Error(`it was to wait, and is ${next.kind}`);
    state = next.state;
  }
  return state;
}

describe("each outcome has one step", () => {
  test("ok and cancel are done", () => {
    expect(step(newJob("a"), ok)).toEqual({ kind: "done" });
    expect(step(newJob("a"), cancel("refunded"))).toEqual({ kind: "done", reason: "refunded" });
  });

  test("retry waits from the end of the attempt, and keeps what came of it", () => {
    const next = step(newJob("a"), retry("unavailable", "503"));
    expect(next).toEqual({
      kind: "wait",
      isAttempt: true,
      state: {
        data: "a",
        failures: 1,
        notBefore: 1_120,
        snoozes: 0,
        history: [
          {
            attempt: 1,
            at: "1970-01-01T00:00:01.000Z",
            tookMs: 20,
            errorClass: "unavailable",
            message: "503",
            waitMs: 100,
          },
        ],
      },
    });
  });

  test("snooze waits and uses no attempt", () => {
    const next = step(failed(3), snooze(30_000));
    expect(next).toMatchObject({ kind: "wait", isAttempt: false });
    expect(next).toMatchObject({ state: { failures: 3, notBefore: 31_020, snoozes: 1 } });
  });

  test("dead is buried at once, whatever attempts are left", () => {
    const next = step(newJob("a"), dead("refused", "422"));
    expect(next).toMatchObject({ kind: "bury", error: { errorClass: "refused", message: "422" } });
    expect(next).toMatchObject({ state: { failures: 1, history: [{ attempt: 1, waitMs: null }] } });
  });

  test("the last attempt that fails is buried, with all that came before it", () => {
    const next = step(failed(3), retry("timeout", "no answer"));
    expect(next).toMatchObject({ kind: "bury", error: { errorClass: "timeout" } });
    if (next.kind === "bury") {
      expect(next.state.history.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4]);
      expect(next.state.history.map(({ waitMs }) => waitMs)).toEqual([100, 200, 400, null]);
    }
  });
});

describe("the policy", () => {
  test("Retry-After is respected when it is longer, and never shortens a wait", () => {
    expect(step(newJob("a"), retry("busy", "429", 5_000))).toMatchObject({ state: { notBefore: 6_020 } });
    expect(step(newJob("a"), retry("busy", "429", 10))).toMatchObject({ state: { notBefore: 1_120 } });
  });

  test("an error class may have its own attempts and waits, and no name of Object is one", () => {
    const own: RetryPolicy = {
      ...policy,
      byClass: { timeout: { maxAttempts: 2 }, busy: { backoff: jittered(fixed(7_000), 0) } },
    };
    expect(step(failed(1), retry("timeout", "t"), own).kind).toBe("bury");
    expect(step(failed(1), retry("busy", "b"), own)).toMatchObject({ state: { notBefore: 8_020 } });
    expect(step(failed(1), retry("constructor", "c"), own)).toMatchObject({ state: { notBefore: 1_220 } });
  });

  test("no job is tried more often than the policy says, and no wait is shorter than its formula", () => {
    const any = fc.record({
      maxAttempts: fc.integer({ min: 1, max: 30 }),
      baseMs: fc.double({ min: 0, max: 1_000, noNaN: true }),
      factor: fc.double({ min: 1, max: 4, noNaN: true }),
      capMs: fc.double({ min: 0, max: 10_000, noNaN: true }),
      jitter: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(any, chance, (given, at) => {
        const rules = policyOf(given);
        let state = newJob("a");
        for (let attempt = 1; ; attempt += 1) {
          const next = decide(state, retry("unavailable", "503"), rules, times, () => at);
          if (next.kind !== "wait") {
            expect(next.kind).toBe("bury");
            expect(attempt).toBe(given.maxAttempts);
            return;
          }
          const ideal = Math.min(given.capMs, given.baseMs * given.factor ** (attempt - 1));
          const wait = next.state.notBefore - times.endedAt;
          expect(wait).toBeGreaterThanOrEqual(ideal * (1 - given.jitter) - 1e-6);
          expect(wait).toBeLessThanOrEqual(ideal + 1);
          state = next.state;
        }
      }),
    );
  });

  test("without a cap and a bound the wait stays a time, and the history stays short", () => {
    const endless: RetryPolicy = {
      maxAttempts: Number.POSITIVE_INFINITY,
      backoff: jittered(exponential({ baseMs: 1_000, factor: 10 }), 0),
    };
    const state = failed(500, endless);
    expect(state.failures).toBe(500);
    expect(state.history.map(({ attempt }) => attempt)).toEqual(
      Array.from({ length: 100 }, (_, i) => 401 + i),
    );
    expect(JSON.parse(JSON.stringify(state))).toEqual(state);
  });
});

test("what is thrown is a retry under the error's name", () => {
  expect(outcomeOfThrown(new RangeError("too far"))).toEqual(retry("RangeError", "too far"));
  expect(outcomeOfThrown("no")).toEqual(retry("thrown", "no"));
  expect(() => snooze(Number.NaN)).toThrow(RangeError);
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dead, type Outcome, ok, retry } from "../jobs/outcome.ts";
import { createTelemetry } from "../telemetry/telemetry.ts";
import { fakeClock } from "../testing/fake-clock.ts";
import { ask, type BreakerOptions, type BreakerState, closedBreaker, report } from "./breaker.ts";
import { openBreakers } from "./breakers.ts";

const options: BreakerOptions = { windowMs: 1_000, minCalls: 4, failureShare: 0.5, openMs: 500, trials: 2 };

function reported(results: readonly boolean[], from: BreakerState = closedBreaker, atMs = 0): BreakerState {
  const { openings } = from;
  return results.reduce((state, succeeded) => report(state, options, atMs, { openings, succeeded }), from);
}
const open = reported([false, false, false, false]);

describe("closed", () => {
  test("it opens at the share of failures, and not before there are enough calls to tell", () => {
    expect(reported([false, false, false]).kind).toBe("closed");
    expect(open).toEqual({ kind: "open", openings: 1, untilMs: 500 });
    expect(reported([true, true, true, false, false]).kind).toBe("closed");
    expect(reported([true, true, true, false, false, false]).kind).toBe("open");
  });

  test("calls older than the window no longer count", () => {
    const old = reported([false, false, false]);
    expect(reported([false], old, 2_000).kind).toBe("closed");
  });
});

describe("open", () => {
  test("it refuses, and says until when", () => {
    expect(ask(open, options, 499).permission).toEqual({ kind: "refused", untilMs: 500 });
  });

  test("what is reported of earlier calls changes nothing", () => {
    expect(report(open, options, 100, { openings: 0, succeeded: true })).toBe(open);
  });
});

describe("half-open", () => {
  const first = ask(open, options, 500);
  const second = ask(first.state, options, 510);

  test("as many calls are let through as there are trials, and no more", () => {
    expect([first, second].map(({ permission }) => permission.kind)).toEqual(["granted", "granted"]);
    expect(ask(second.state, options, 520).permission).toEqual({ kind: "refused", untilMs: 1_000 });
  });

  test("all must succeed to close it; one failure opens it again", () => {
    expect(reported([true], second.state, 530).kind).toBe("half-open");
    expect(reported([true, true], second.state, 530)).toEqual({ ...closedBreaker, openings: 1 });
    expect(reported([true, false], second.state, 530)).toEqual({ kind: "open", openings: 2, untilMs: 1_030 });
  });

  test("a call from before it opened that ends late, well or badly, neither closes it nor opens it again", () => {
    for (const succeeded of [true, false]) {
      const late = { openings: 0, succeeded };
      expect(report(second.state, options, 530, late)).toBe(second.state);
      const closed = reported([true, true], second.state, 530);
      expect(report(closed, options, 540, late)).toBe(closed);
    }
  });

  test("trials whose caller never came back do not keep it half-open for ever", () => {
    expect(ask(second.state, options, 1_000).permission.kind).toBe("granted");
  });
});

test("whatever happens, it opens only after a failure and grants no call before its time is up", () => {
  const steps = fc.array(fc.tuple(fc.nat(300), fc.boolean()), { maxLength: 200 });
  fc.assert(
    fc.property(steps, (history) => {
      let state: BreakerState = closedBreaker;
      let now = 0;
      for (const [afterMs, succeeds] of history) {
        now += afterMs;
        const before = state;
        const asked = ask(before, options, now);
        if (before.kind === "open" && now < before.untilMs) {
          expect(asked.permission).toEqual({ kind: "refused", untilMs: before.untilMs });
        }
        if (asked.permission.kind === "refused") {
          expect(asked.permission.untilMs).toBeGreaterThan(now);
          continue;
        }
        const { openings } = asked.permission;
        state = report(asked.state, options, now, { openings, succeeded: succeeds });
        if (state.kind === "open") expect(succeeds).toBe(false);
      }
    }),
  );
});

describe("breakers of a worker", () => {
  test("an open one answers with a snooze in place of the call; other kinds go on", async () => {
    const clock = fakeClock();
    const telemetry = createTelemetry();
    const changes: string[] = [];
    telemetry.on("breaker.changed", ({ kind, to }) => changes.push(`${kind} ${to}`));
    const breakers = openBreakers({ ...options, clock, telemetry, random: () => 0.5 });
    let calls = 0;
    const failing = async () => {
      calls += 1;
      return retry("unavailable", "503");
    };
    for (let i = 0; i < 4; i += 1) await breakers.through("payments", failing);
    expect(await breakers.through("payments", failing)).toEqual({ kind: "snooze", forMs: 550 });
    expect(calls).toBe(4);
    expect(await breakers.through("refunds", async () => ok)).toEqual(ok);
    await clock.advance(500);
    for (let i = 0; i < 2; i += 1) await breakers.through("payments", async () => ok);
    expect(breakers.stateOf("payments").kind).toBe("closed");
    expect(changes).toEqual(["payments open", "payments half-open", "payments closed"]);
  });

  test("calls that began before it opened and succeed late do not close it", async () => {
    const clock = fakeClock();
    const breakers = openBreakers({ ...options, clock, random: () => 0 });
    const ends: (() => void)[] = [];
    const slow = () => new Promise<Outcome>((resolve) => ends.push(() => resolve(ok)));
    const before = [1, 2, 3].map(() => breakers.through("a", slow));
    for (let i = 0; i < 4; i += 1) await breakers.through("a", async () => retry("unavailable", "503"));
    await clock.advance(500);
    const trial = breakers.through("a", slow);
    for (const end of ends.slice(0, 3)) end();
    await Promise.all(before);
    expect(breakers.stateOf("a").kind).toBe("half-open");
    ends[3]?.();
    await trial;
    await breakers.through("a", async () => ok);
    expect(breakers.stateOf("a").kind).toBe("closed");
  });

  test("a service that says no is well; a call that throws is a failure, and its error goes on", async () => {
    const breakers = openBreakers({ ...options, clock: fakeClock() });
    for (let i = 0; i < 9; i += 1) await breakers.through("a", async () => dead("refused", "422"));
    expect(breakers.stateOf("a").kind).toBe("closed");
    const thrown = () => breakers.through("b", () => Promise.reject(new Error("reset")));
    for (let i = 0; i < 4; i += 1) await expect(thrown()).rejects.toThrow("reset");
    expect(breakers.stateOf("b").kind).toBe("open");
  });

  test("an option out of range is refused by name", () => {
    expect(() => openBreakers({ ...options, failureShare: 0 })).toThrow("failureShare");
    expect(() => openBreakers({ ...options, trials: 0 })).toThrow("trials");
  });
});

import { describe, expect, test } from "vitest";
import { randomFor } from "../load/random.ts";
import {
  calmRate,
  capacityCurve,
  capacityFinding,
  capacityOf,
  overheadBetween,
  overheadByWork,
  type RatedStep,
} from "./capacity.ts";

test("capacity is Little's law: places over the time each call holds one", () => {
  expect(capacityOf(2, 9, 1)).toBe(200);
  expect(capacityOf(4, 50, 0)).toBe(80);
});

describe("overhead beside the load", () => {
  const reference = {
    atMs: Array.from({ length: 20 }, (_, i) => Math.floor(i / 5) * 50 + (i % 5)),
    overheadMs: Array.from({ length: 20 }, (_, i) => (i < 10 ? 1 : 3)),
  };

  test("is that of the calls in the stretch asked for, and no others", () => {
    expect(overheadBetween(reference, 0, 100)).toEqual({ meanMs: 1, marginMs: 0, samples: 10 });
    expect(overheadBetween(reference, 100, 200)).toEqual({ meanMs: 3, marginMs: 0, samples: 10 });
    expect(overheadBetween(reference, 0, 200)).toMatchObject({ meanMs: 2, samples: 20 });
  });

  const inOneStretch = (overheadMs: number[]) =>
    overheadBetween({ atMs: overheadMs.map(() => 0), overheadMs }, 0, 1);

  test("is a mean without the quickest and the slowest tenth", () => {
    expect(inOneStretch([0, 5, 5, 5, 5, 6, 6, 6, 6, 1_000])).toMatchObject({ meanMs: 5.5, samples: 10 });
  });

  test("is not known from fewer than ten calls", () => {
    const none = { meanMs: undefined, marginMs: Number.POSITIVE_INFINITY };
    expect(overheadBetween(reference, 0, 54)).toEqual({ ...none, samples: 9 });
    expect(overheadBetween({ atMs: [], overheadMs: [] }, 0, 70)).toEqual({ ...none, samples: 0 });
  });

  /** Bursts of calls 10 ms apart, as the reference caller makes them: one every 200 ms. */
  const inBursts = (...bursts: number[][]) => {
    const calls = bursts.flatMap((burst, i) =>
      burst.map((overheadMs, j) => ({ atMs: i * 200 + j * 10, overheadMs })),
    );
    return overheadBetween(
      { atMs: calls.map(({ atMs }) => atMs), overheadMs: calls.map(({ overheadMs }) => overheadMs) },
      0,
      1e6,
    );
  };
  const fiveOf = (overheadMs: number) => Array.from({ length: 5 }, () => overheadMs);

  test("has a margin by how its bursts differ, and not its calls", () => {
    // Burst means 2, 2 and 2: the calls differ as much as in the next.
    expect(inBursts([1, 2, 2, 2, 3], [3, 2, 2, 2, 1], [1, 2, 2, 2, 3]).marginMs).toBeCloseTo(0, 9);
    // Burst means 1, 2 and 3: a standard deviation of 1, t of 9.92 for two degrees of freedom, 13 of 15 calls kept.
    const expected = ((9.92 * 1) / Math.sqrt(3)) * (15 / 13);
    expect(inBursts(fiveOf(1), fiveOf(2), fiveOf(3)).marginMs).toBeCloseTo(expected, 6);
    // What a stretch cuts off a burst is none.
    const cut = inBursts([9, 9], fiveOf(1), fiveOf(2), fiveOf(3)).marginMs;
    expect(cut).toBeGreaterThan(0.9 * expected);
    expect(cut).toBeLessThan(1.2 * expected);
  });

  test("has a margin that one stall does not widen, and none within one burst", () => {
    const calm = Array.from({ length: 6 }, (_, i) => [2, 2.1, 2.2, 2.3, 2.4 + i / 10]);
    const stalled = calm.with(2, [2, 2.1, 900, 2.3, 2.6]);
    expect(inBursts(...stalled).marginMs).toBeLessThan(0.1);
    expect(inBursts([...fiveOf(1), ...fiveOf(2)]).marginMs).toBe(Number.POSITIVE_INFINITY);
  });

  test("has a margin that holds the true mean in about 99 of 100 stretches, with neighbours that come and go", () => {
    const random = randomFor(7, 0);
    const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    let held = 0;
    const stretches = 2_000;
    for (let i = 0; i < stretches; i += 1) {
      // Six bursts and what is left of one, as in a step of the lab; each has its own neighbours.
      const bursts = Array.from({ length: 7 }, () => 10 + normal()).map((neighbours, n) =>
        Array.from({ length: n === 0 ? 2 : 5 }, () => neighbours + normal() / 2),
      );
      const { meanMs = 0, marginMs } = inBursts(...bursts);
      if (Math.abs(meanMs - 10) <= marginMs) held += 1;
    }
    expect(held / stretches).toBeGreaterThan(0.97);
  });
});

describe("a step off the curve", () => {
  const words = { done: "finished", backlog: "there was a backlog", lookAt: "" };
  const step = (
    workMs: number,
    { marginMs = 0.5, share = 1, calmShare }: { marginMs?: number; share?: number; calmShare?: number } = {},
  ): RatedStep => {
    const capacityPerSecond = capacityOf(2, workMs, 3);
    return {
      workMs,
      servedMs: workMs,
      capacityPerSecond,
      overhead: { meanMs: 3, marginMs, samples: 25 },
      saturated: true,
      donePerSecond: share * capacityPerSecond,
      calmPerSecond: (calmShare ?? share) * capacityPerSecond,
    };
  };
  const judged = (one: RatedStep) => capacityFinding([step(2), one, step(10), step(20), step(50)], words);

  test("decides nothing by as much as its calls beside the load leave open, whatever the others say", () => {
    const slow = judged(step(5, { marginMs: 3, share: 0.8 }));
    expect(slow).toMatchObject({ verdict: "unknown", measured: 20, samples: 4 });
    expect(slow.detail).toContain("With 5 ms of work the rate is off the curve by no more than");
    expect(slow.detail).toContain("5 ms: 200 of 250/s (3.0 ± 3.0 ms overhead, 25 calls)");
    expect(judged(step(5, { marginMs: 3, share: 1.3 })).verdict).toBe("unknown");
  });

  test("fails where no overhead within the margin explains its rate, and where the calls agree", () => {
    expect(judged(step(5, { marginMs: 3, share: 0.5 })).verdict).toBe("fail");
    expect(judged(step(5, { share: 0.75 })).verdict).toBe("fail");
    expect(judged(step(5, { share: 1.7 })).verdict).toBe("fail");
  });

  test("fails whatever its calls tell when it is a fraction of what the places allow", () => {
    expect(judged(step(5, { marginMs: 100, share: 0.25 })).verdict).toBe("fail");
  });

  test("decides nothing when one standstill took it there", () => {
    expect(judged(step(5, { share: 0.75, calmShare: 0.95 })).verdict).toBe("unknown");
    expect(judged(step(5, { share: 0.75, calmShare: 0.8 })).verdict).toBe("fail");
  });

  test("is off by one standstill when the rest of it is not", () => {
    const done = (gapMs: number) => (fromMs: number, toMs: number) =>
      Array.from({ length: 200 }, (_, i) => (i < 100 ? i * 5 : i * 5 + gapMs)).filter(
        (at) => at >= fromMs && at < toMs,
      ).length;
    expect(calmRate(done(200), 0, 1_200)).toBeCloseTo(200, -1);
    expect(calmRate(done(0), 0, 1_000)).toBeCloseTo(200, -1);
    expect(calmRate(done(500), 0, 1_500)).toBeLessThan(165);
  });
});

describe("the curve's overhead", () => {
  const step = (workMs: number, servedMs: number, meanMs: number | undefined) => ({
    workMs,
    servedMs,
    overhead: { meanMs, marginMs: 0.5, samples: 20 },
  });

  test("goes in straight lines from step to step, and stays as in the nearest outside of them", () => {
    const at = overheadByWork([step(10, 10, 2), step(20, 20, 1), step(50, 50, 1)], 9);
    expect([5, 10, 15, 20, 40, 80].map(at)).toEqual([2, 2, 1.5, 1, 1, 1]);
  });

  test("takes steps of the same work time as one, and leaves out those that know none", () => {
    const at = overheadByWork([step(2, 2, 1), step(10, 10, undefined), step(2, 4, 3)], 9);
    expect([1, 3, 10].map(at)).toEqual([2, 2, 2]);
  });

  test("is that before the load where no step has one", () => {
    expect(overheadByWork([{ workMs: 2, servedMs: 2 }], 9)(5)).toBe(9);
  });

  test("lies under the curve's points", () => {
    const points = capacityCurve([{ servedMs: 10 }, { servedMs: 40 }], 2, (servedMs) => servedMs);
    expect(points.length).toBe(61);
    expect(points[0]?.[0]).toBeCloseTo(8);
    expect(points.at(-1)?.[0]).toBeCloseTo(50);
    for (const [servedMs, perSecond] of points) expect(perSecond).toBeCloseTo(1_000 / servedMs);
  });
});

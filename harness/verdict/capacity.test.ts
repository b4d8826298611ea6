import { describe, expect, test } from "vitest";
import { randomFor } from "../load/random.ts";
import {
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
    atMs: Array.from({ length: 20 }, (_, i) => i * 10),
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
    expect(overheadBetween(reference, 0, 90)).toEqual({ ...none, samples: 9 });
    expect(overheadBetween({ atMs: [], overheadMs: [] }, 0, 70)).toEqual({ ...none, samples: 0 });
  });

  test("has a margin by how its batches of five differ, and not its calls", () => {
    // Batch means 2, 2 and 2: the calls differ as much as in the next.
    expect(inOneStretch([1, 2, 2, 2, 3, 3, 2, 2, 2, 1, 1, 2, 2, 2, 3]).marginMs).toBeCloseTo(0, 9);
    // Batch means 1, 2 and 3: a standard deviation of 1, t of 9.92 for two degrees of freedom, 13 of 15 calls kept.
    const { marginMs } = inOneStretch([1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3]);
    expect(marginMs).toBeCloseTo(((9.92 * 1) / Math.sqrt(3)) * (15 / 13), 6);
  });

  test("has a margin that one stall does not widen", () => {
    const calm = Array.from({ length: 30 }, (_, i) => 2 + (i % 5) / 10);
    const stalled = calm.with(12, 900);
    expect(inOneStretch(stalled).marginMs).toBeLessThan(2 * Math.max(0.1, inOneStretch(calm).marginMs));
  });

  test("has a margin that holds the true mean in about 99 of 100 stretches, with neighbours that come and go", () => {
    // Each batch has its own neighbours; six batches as in a step of the lab.
    const random = randomFor(7, 0);
    const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    let held = 0;
    const stretches = 2_000;
    for (let i = 0; i < stretches; i += 1) {
      const overheadMs = Array.from({ length: 6 }, () => 10 + normal()).flatMap((batch) =>
        Array.from({ length: 5 }, () => batch + normal() / 2),
      );
      const { meanMs = 0, marginMs } = inOneStretch(overheadMs);
      if (Math.abs(meanMs - 10) <= marginMs) held += 1;
    }
    expect(held / stretches).toBeGreaterThan(0.97);
  });
});

describe("a step whose calls beside the load differ too much", () => {
  const words = { done: "finished", backlog: "there was a backlog", lookAt: "" };
  const step = (workMs: number, { marginMs = 0.5, share = 1 } = {}): RatedStep => {
    const capacityPerSecond = capacityOf(2, workMs, 3);
    return {
      workMs,
      servedMs: workMs,
      capacityPerSecond,
      overhead: { meanMs: 3, marginMs, samples: 25 },
      saturated: true,
      donePerSecond: share * capacityPerSecond,
    };
  };
  const quickest = step(2);

  test("decides nothing, and the others decide", () => {
    const slow = step(5, { marginMs: 3, share: 0.8 });
    const finding = capacityFinding([quickest, slow, step(10), step(20), step(50)], words);
    expect(finding).toMatchObject({ verdict: "pass", measured: 0, samples: 3 });
    expect(finding.detail).toContain(
      "5 ms: 200 of 250/s (3.0 ± 3.0 ms overhead, 25 calls), which decides nothing",
    );
    const quick = step(5, { marginMs: 3, share: 1.3 });
    expect(capacityFinding([quickest, quick, step(10), step(20), step(50)], words)).toMatchObject({
      verdict: "pass",
      samples: 3,
    });
  });

  test("leaves a pass to three others, and not to two", () => {
    const slow = step(5, { marginMs: 3, share: 0.8 });
    const finding = capacityFinding([quickest, slow, step(10), step(20)], words);
    expect(finding).toMatchObject({ verdict: "unknown", samples: 2 });
    expect(finding.detail).toContain("Only 2 steps decide (at least 3)");
  });

  test("fails all the same where no overhead within the margin explains its rate, and where they agree", () => {
    const far = step(5, { marginMs: 3, share: 0.5 });
    expect(capacityFinding([quickest, far, step(10), step(20), step(50)], words).verdict).toBe("fail");
    const sure = step(5, { share: 0.75 });
    expect(capacityFinding([quickest, sure, step(10), step(20), step(50)], words).verdict).toBe("fail");
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

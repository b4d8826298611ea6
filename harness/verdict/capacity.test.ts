import { describe, expect, test } from "vitest";
import { capacityCurve, capacityOf, overheadBetween, overheadByWork } from "./capacity.ts";

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
    expect(overheadBetween(reference, 0, 100)).toEqual({ meanMs: 1, samples: 10 });
    expect(overheadBetween(reference, 100, 200)).toEqual({ meanMs: 3, samples: 10 });
    expect(overheadBetween(reference, 0, 200)).toEqual({ meanMs: 2, samples: 20 });
  });

  test("is a mean without the quickest and the slowest tenth", () => {
    const overheadMs = [0, 5, 5, 5, 5, 6, 6, 6, 6, 1_000];
    expect(overheadBetween({ atMs: overheadMs.map(() => 0), overheadMs }, 0, 1)).toEqual({
      meanMs: 5.5,
      samples: 10,
    });
  });

  test("is not known from fewer than eight calls", () => {
    expect(overheadBetween(reference, 0, 70)).toEqual({ meanMs: undefined, samples: 7 });
    expect(overheadBetween({ atMs: [], overheadMs: [] }, 0, 70)).toEqual({ meanMs: undefined, samples: 0 });
  });
});

describe("the curve's overhead", () => {
  const step = (workMs: number, servedMs: number, meanMs: number | undefined) => ({
    workMs,
    servedMs,
    overhead: { meanMs, samples: 20 },
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

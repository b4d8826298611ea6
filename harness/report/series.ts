/** From observations to points: rates, percentiles over time, and the shaded windows of a record. */
import type { AnyRecord } from "../record/record.ts";
import type { Chart } from "./chart.ts";

type Point = readonly [x: number, y: number];

/**
 * Moments per second, by windows.
 * @param momentsMs in ms, any order; NaN and negative ones are left out
 * @returns points at the middle of each window: seconds, moments per second
 */
export function perSecond(momentsMs: readonly number[], windowMs: number): Point[] {
  const counts: number[] = [];
  for (const at of momentsMs) {
    if (!(at >= 0)) continue;
    const window = Math.floor(at / windowMs);
    counts[window] = (counts[window] ?? 0) + 1;
  }
  return Array.from(
    counts,
    (count, i) => [((i + 0.5) * windowMs) / 1000, ((count ?? 0) * 1000) / windowMs] as const,
  );
}

/**
 * Percentiles of a quantity by windows of time; a window without samples has no point.
 * @param samples [at ms, value], any order
 * @param quantiles each in [0, 1]
 * @returns one list of points for each quantile
 */
export function percentilesOverTime(
  samples: readonly Point[],
  windowMs: number,
  quantiles: readonly number[],
): Point[][] {
  const windows: number[][] = [];
  for (const [at, value] of samples) {
    const window = Math.max(0, Math.floor(at / windowMs));
    const values = windows[window] ?? [];
    values.push(value);
    windows[window] = values;
  }
  return quantiles.map((quantile) =>
    [...windows.entries()].flatMap(([i, values]): Point[] => {
      if (values === undefined) return [];
      const sorted = Float64Array.from(values).sort();
      const value = sorted[Math.max(0, Math.ceil(quantile * sorted.length) - 1)] ?? 0;
      return [[((i + 0.5) * windowMs) / 1000, value]];
    }),
  );
}

/** Phases, and fault windows from the fault until its consequences had to be over; in seconds. */
export function bandsOf({ phases, faults }: AnyRecord): NonNullable<Chart["bands"]> {
  return [
    ...phases.map(({ name, startMs, endMs }) => ({
      label: name,
      from: startMs / 1000,
      to: endMs / 1000,
      role: "phase" as const,
    })),
    ...faults.map(({ name, startMs, clearMs }) => ({
      label: name,
      from: startMs / 1000,
      to: clearMs / 1000,
      role: "fault" as const,
    })),
  ];
}

/** Fewer points, the same picture: what a pixel column would show is kept, the rest is dropped. */

export type Point = readonly [x: number, y: number];

/** Pixels, not values: decimation must see what the eye sees, also on a log axis. */
export interface Projection {
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
}

/**
 * Thins a joined series. Of each run of neighbouring points that fall into one pixel column the first,
 * lowest, highest and last are kept, in their order (M4: Jugel et al., VLDB 2014), which draws the same
 * pixels as all of them would. Points that are not finite end a run and are kept: they are gaps.
 *
 * Gives a subsequence of `points`; at most 4 points a run.
 */
export function decimateLine(points: readonly Point[], columnOf: (x: number) => number): Point[] {
  const kept: Point[] = [];
  let start = 0;
  while (start < points.length) {
    const column = columnAt(points, start, columnOf);
    let end = start + 1;
    if (column !== undefined) while (columnAt(points, end, columnOf) === column) end++;
    keepRun(points, start, end, kept);
    start = end;
  }
  return kept;
}

/** The pixel column of a point, or undefined for a gap (and past the end). */
function columnAt(points: readonly Point[], index: number, columnOf: (x: number) => number) {
  const point = points[index];
  if (point === undefined || !Number.isFinite(point[0]) || !Number.isFinite(point[1])) return undefined;
  return Math.floor(columnOf(point[0]));
}

function keepRun(points: readonly Point[], start: number, end: number, kept: Point[]): void {
  let lowest = start;
  let highest = start;
  for (let at = start; at < end; at++) {
    if (valueAt(points, at) < valueAt(points, lowest)) lowest = at;
    if (valueAt(points, at) > valueAt(points, highest)) highest = at;
  }
  const wanted = [...new Set([start, lowest, highest, end - 1])].sort((a, b) => a - b);
  for (const at of wanted) kept.push(points[at] as Point);
}

function valueAt(points: readonly Point[], at: number): number {
  return points[at]?.[1] ?? Number.NaN;
}

/**
 * Thins unjoined points: one per pixel cell, the first that fell there. Every cell that had a point keeps
 * one, so the picture is the same; values move by less than a pixel.
 */
export function decimateDots(points: readonly Point[], to: Projection): Point[] {
  const taken = new Set<string>();
  return points.filter(([x, y]) => {
    if (!Number.isFinite(x) || !Number.isFinite(y)) return false;
    const cell = `${Math.round(to.x(x))} ${Math.round(to.y(y))}`;
    if (taken.has(cell)) return false;
    taken.add(cell);
    return true;
  });
}

import fc from "fast-check";
import { expect, test } from "vitest";
import { decimateDots, decimateLine, type Point } from "./decimate.ts";

const columns = 50;
const columnOf = (x: number) => (x / 100) * columns;
const number = fc.double({ min: 0, max: 100, noNaN: true });
const series = fc
  .array(
    fc.tuple(
      number,
      fc.oneof({ weight: 9, arbitrary: number }, { weight: 1, arbitrary: fc.constant(Number.NaN) }),
    ),
  )
  .map((points): Point[] => points.sort((a, b) => a[0] - b[0]));

test("every pixel column keeps its lowest, highest, first and last value", () => {
  fc.assert(
    fc.property(series, (points) => {
      const finite = points.filter(([, y]) => !Number.isNaN(y));
      const kept = decimateLine(finite, columnOf);
      for (let column = 0; column <= columns; column++) {
        const inColumn = (all: readonly Point[]) =>
          all.filter(([x]) => Math.floor(columnOf(x)) === column).map(([, y]) => y);
        const [before, after] = [inColumn(finite), inColumn(kept)];
        if (before.length === 0) continue;
        expect(Math.min(...after)).toBe(Math.min(...before));
        expect(Math.max(...after)).toBe(Math.max(...before));
        expect(after[0]).toBe(before[0]);
        expect(after.at(-1)).toBe(before.at(-1));
        expect(after.length).toBeLessThanOrEqual(4);
      }
    }),
  );
});

test("what is kept is in the order it was, and gaps stay gaps", () => {
  fc.assert(
    fc.property(series, (points) => {
      const kept = decimateLine(points, columnOf);
      let at = -1;
      for (const point of kept) {
        at = points.indexOf(point, at + 1);
        expect(at).toBeGreaterThanOrEqual(0);
      }
      const gaps = (all: readonly Point[]) => all.filter(([, y]) => Number.isNaN(y)).length;
      expect(gaps(kept)).toBe(gaps(points));
    }),
  );
});

test("a hundred thousand points become at most four a column, with the one that sticks out", () => {
  const points = Array.from({ length: 100_000 }, (_, index): Point => [index / 1_000, Math.sin(index)]);
  points[43_217] = [43.217, 9_000];
  const kept = decimateLine(points, columnOf);
  expect(kept.length).toBeLessThanOrEqual(4 * columns);
  expect(kept).toContainEqual([43.217, 9_000]);
});

test("every pixel that had a dot keeps one, and only one", () => {
  const to = { x: columnOf, y: (value: number) => value };
  const cell = ([x, y]: Point) => `${Math.round(to.x(x))},${Math.round(to.y(y))}`;
  fc.assert(
    fc.property(series, (points) => {
      const finite = points.filter(([, y]) => !Number.isNaN(y));
      const kept = decimateDots(points, to).map(cell);
      expect(kept.length).toBe(new Set(kept).size);
      expect(new Set(kept)).toEqual(new Set(finite.map(cell)));
    }),
  );
});

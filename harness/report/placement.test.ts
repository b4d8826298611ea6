import fc from "fast-check";
import { expect, test } from "vitest";
import { clear, inLanes, spread } from "./placement.ts";

const spans = fc.array(
  fc.record({
    centre: fc.double({ min: -20, max: 320, noNaN: true }),
    size: fc.double({ min: 1, max: 60, noNaN: true }),
  }),
  { maxLength: 12 },
);

test("spread labels never overlap, never leave their room, and keep their order", () => {
  fc.assert(
    fc.property(spans, (wanted) => {
      const centres = spread(wanted, 0, 300);
      const total = wanted.reduce((sum, one) => sum + one.size, 0);
      if (total > 300) {
        expect(centres).toBeUndefined();
        return;
      }
      const placed = wanted
        .map(({ centre, size }, index) => ({ wanted: centre, at: centres?.[index] ?? Number.NaN, size }))
        .sort((a, b) => a.at - b.at);
      let end = -1e-6;
      for (const { at, size } of placed) {
        expect(at - size / 2).toBeGreaterThanOrEqual(end - 1e-6);
        end = at + size / 2;
      }
      expect(end).toBeLessThanOrEqual(300 + 1e-6);
      const asWanted = placed.map((one) => one.wanted);
      expect(asWanted).toEqual([...asWanted].sort((a, b) => a - b));
    }),
  );
});

test("labels that do not collide stay where they want to be; two that do part evenly", () => {
  expect(
    spread(
      [
        { centre: 50, size: 10 },
        { centre: 80, size: 10 },
      ],
      0,
      100,
    ),
  ).toEqual([50, 80]);
  expect(
    spread(
      [
        { centre: 50, size: 10 },
        { centre: 50, size: 10 },
      ],
      0,
      100,
    ),
  ).toEqual([45, 55]);
  expect(
    spread(
      [
        { centre: 2, size: 10 },
        { centre: 3, size: 10 },
      ],
      0,
      100,
    ),
  ).toEqual([5, 15]);
});

test("labels in one lane never touch", () => {
  fc.assert(
    fc.property(spans, (wanted) => {
      const places = inLanes(wanted, 0, 300, 8);
      for (const [a, one] of places.entries()) {
        const size = wanted[a]?.size ?? 0;
        expect(one.left).toBeGreaterThanOrEqual(0);
        expect(one.left + size).toBeLessThanOrEqual(300 + 1e-9);
        for (const [b, other] of places.entries()) {
          if (b <= a || other.lane !== one.lane) continue;
          const [left, right] =
            one.left < other.left
              ? [{ ...one, size }, other]
              : [{ ...other, size: wanted[b]?.size ?? 0 }, one];
          expect(right.left).toBeGreaterThanOrEqual(left.left + left.size + 8 - 1e-9);
        }
      }
    }),
  );
});

test("an upright line is interrupted where words are, and only there", () => {
  const word = { left: 0, right: 20, top: 30, bottom: 40 };
  expect(clear(10, { top: 0, bottom: 100 }, [word])).toEqual([
    { top: 0, bottom: 30 },
    { top: 40, bottom: 100 },
  ]);
  expect(clear(60, { top: 0, bottom: 100 }, [word])).toEqual([{ top: 0, bottom: 100 }]);
});

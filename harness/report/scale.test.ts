import fc from "fast-check";
import { expect, test } from "vitest";
import { formatNumber, project, scaleFor } from "./scale.ts";

const axis = { label: "" };
const labels = (scale: { ticks: readonly { label: string }[] }) =>
  scale.ticks.map((tick) => tick.label).filter((label) => label !== "");

test("a rate axis begins at zero, ends on a tick and has thousands separators", () => {
  const scale = scaleFor({ axis, values: [2_950, 6_020], room: 5, fit: "zero-to-tick" });
  expect(labels(scale)).toEqual(["0", "2,000", "4,000", "6,000", "8,000"]);
  expect([scale.min, scale.max]).toEqual([0, 8_000]);
});

test("a time axis fits its data and is marked in whole seconds", () => {
  const scale = scaleFor({ axis: { label: "", min: 0 }, values: [0.3, 42.18], room: 6, fit: "data" });
  expect(labels(scale)).toEqual(["0", "10", "20", "30", "40"]);
  expect(scale.max).toBe(42.18);
});

test("small steps carry no binary dust", () => {
  expect(labels(scaleFor({ axis, values: [0.3], room: 3, fit: "zero-to-tick" }))).toEqual([
    "0",
    "0.1",
    "0.2",
    "0.3",
  ]);
});

test("a log axis marks decades when it is long, and 1, 2, 5 when it is short", () => {
  const log = { label: "", scale: "log" } as const;
  expect(labels(scaleFor({ axis: log, values: [0.8, 90_000], room: 6, fit: "zero-to-tick" }))).toEqual([
    "1",
    "10",
    "100",
    "1,000",
    "10,000",
    "100,000",
  ]);
  expect(labels(scaleFor({ axis: log, values: [12, 180], room: 8, fit: "zero-to-tick" }))).toEqual([
    "10",
    "20",
    "50",
    "100",
    "200",
  ]);
});

test("a log axis leaves out what it cannot show, and an axis without data still is one", () => {
  const log = { label: "", scale: "log" } as const;
  for (const values of [[], [0, -3, Number.NaN], [0, 7]]) {
    const scale = scaleFor({ axis: log, values, room: 5, fit: "zero-to-tick" });
    expect(scale.min).toBeGreaterThan(0);
    expect(scale.max).toBeGreaterThan(scale.min);
  }
});

test("every value lies within its axis, and ticks too, in order", () => {
  const value = fc
    .double({ min: -1e9, max: 1e9, noNaN: true })
    .filter((one) => one === 0 || Math.abs(one) > 1e-6);
  fc.assert(
    fc.property(
      fc.array(value, { minLength: 1 }),
      fc.boolean(),
      fc.integer({ min: 2, max: 9 }),
      (values, isLog, room) => {
        const scale = scaleFor({
          axis: { label: "", scale: isLog ? "log" : "linear" },
          values,
          room,
          fit: "zero-to-tick",
        });
        const slack = (scale.max - scale.min) * 1e-9;
        for (const one of values) {
          if (isLog && one <= 0) continue;
          expect(one).toBeGreaterThanOrEqual(scale.min - slack);
          expect(one).toBeLessThanOrEqual(scale.max + slack);
        }
        const ticks = scale.ticks.map((tick) => tick.value);
        expect(ticks).toEqual([...ticks].sort((a, b) => a - b));
        expect(labels(scale).length).toBeLessThanOrEqual(isLog ? room * 3 + 3 : room + 3);
        expect(new Set(labels(scale)).size).toBe(labels(scale).length);
        const at = project(scale, 0, 100);
        for (const tick of ticks) expect(at(tick)).toBeGreaterThanOrEqual(-1e-6);
      },
    ),
  );
});

test("numbers have separators and a real minus sign", () => {
  expect(formatNumber(-1_234_567.891, 1)).toBe("\u22121,234,567.9");
});

test("an axis that tells kinds apart has their names, and room for each", () => {
  const ticks = [
    { value: 1, label: "malformed" },
    { value: 2, label: "refused" },
  ];
  const scale = scaleFor({
    axis: { label: "", min: 0.5, max: 2.5, ticks },
    values: [1, 2],
    room: 9,
    fit: "zero-to-tick",
  });
  expect(scale).toEqual({ kind: "linear", min: 0.5, max: 2.5, ticks });
});

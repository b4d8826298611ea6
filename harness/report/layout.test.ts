import fc from "fast-check";
import { expect, test } from "vitest";
import type { Chart, Panel, Role } from "./chart.ts";
import { layOut } from "./layout.ts";
import { roles } from "./palette.ts";
import { overlaps } from "./placement.ts";
import type { Layout } from "./shapes.ts";
import { simulatedRun } from "./testing.ts";
import type { Font } from "./text.ts";

/** DejaVu's average: wide enough to be careful. */
const measure = (text: string, font: Font) => text.length * font.size * 0.64;

const label = fc.string({ minLength: 1, maxLength: 40 });
const y = fc.double({ min: 0, max: 1e6, noNaN: true });
const series = fc.record({
  label,
  role: fc.constantFrom(...(Object.keys(roles) as Role[])),
  kind: fc.constantFrom("line" as const, "step" as const, "dots" as const, "area" as const),
  points: fc.array(fc.tuple(fc.double({ min: 0, max: 60, noNaN: true }), y), { maxLength: 30 }),
  axis: fc.constantFrom("left" as const, "right" as const),
});
const axis = fc.record({ label, scale: fc.constantFrom("linear" as const, "log" as const) });
const panel: fc.Arbitrary<Panel> = fc
  .record({
    left: axis,
    right: fc.option(axis),
    series: fc.array(series, { maxLength: 5 }),
    limits: fc.array(fc.record({ label, value: y }), { maxLength: 2 }),
  })
  .map(({ right, ...rest }) => (right === null ? rest : { ...rest, right }));
const moment = fc.double({ min: -5, max: 65, noNaN: true });
const chart: fc.Arbitrary<Chart> = fc.record({
  id: fc.constant("any"),
  title: fc.string({ minLength: 1, maxLength: 120 }),
  caption: fc.constant(""),
  criteria: fc.constant([]),
  x: fc.constant({ label: "time since load began (s)" }),
  panels: fc.array(panel, { minLength: 1, maxLength: 3 }),
  bands: fc.array(
    fc.record({ label, from: moment, to: moment, role: fc.constantFrom("fault" as const, "phase" as const) }),
    { maxLength: 8 },
  ),
  marks: fc.array(fc.record({ label, at: moment }), { maxLength: 4 }),
});

function collisions({ texts }: Layout): string[] {
  const found: string[] = [];
  for (const [index, one] of texts.entries()) {
    for (const other of texts.slice(index + 1)) {
      if (overlaps(one.box, other.box)) found.push(`"${one.text}" on "${other.text}"`);
    }
  }
  return found;
}

test.each([860, 400])("in no chart %i px wide does a word lie on another or leave the picture", (width) => {
  fc.assert(
    fc.property(chart, (any) => {
      const layout = layOut(any, width, measure);
      expect(collisions(layout)).toEqual([]);
      for (const { box } of layout.texts) {
        expect(box.left).toBeGreaterThanOrEqual(0);
        expect(box.right).toBeLessThanOrEqual(width);
        expect(box.top).toBeGreaterThanOrEqual(0);
        expect(box.bottom).toBeLessThanOrEqual(layout.height);
      }
    }),
    { numRuns: 300 },
  );
});

test("panels of a chart share their left and right edge and do not overlap", () => {
  fc.assert(
    fc.property(chart, (any) => {
      const { panels, plotLeft, plotRight } = layOut(any, 860, measure);
      expect(plotRight - plotLeft).toBeGreaterThan(300);
      for (const [index, { top, bottom }] of panels.entries()) {
        expect(bottom).toBeGreaterThan(top);
        expect(top).toBeGreaterThan(panels[index - 1]?.bottom ?? 0);
      }
    }),
  );
});

test("no upright line runs through a word above the panels", () => {
  for (const one of simulatedRun().charts) {
    for (const width of [860, 400]) {
      const { strokes, texts, panels } = layOut(one, width, measure);
      const first = panels[0]?.top ?? 0;
      const upright = strokes.filter(({ from, to }) => from[0] === to[0] && from[1] < first);
      expect(upright.length).toBeGreaterThan(0);
      for (const { from, to } of upright) {
        const line = { left: from[0], right: from[0] + 0.1, top: from[1] + 0.1, bottom: to[1] - 0.1 };
        expect(texts.filter(({ box }) => overlaps(box, line)).map(({ text }) => text)).toEqual([]);
      }
    }
  }
});

test("series of one role in one panel differ in dash and marker", () => {
  const latency = simulatedRun().charts.find((one) => one.id === "latency") as Chart;
  const styles = layOut(latency, 860, measure).panels[0]?.series.map(
    ({ style }) => `${style.dash} ${style.marker}`,
  );
  expect(new Set(styles).size).toBe(3);
});

test("every series and threshold is named exactly once", () => {
  for (const one of simulatedRun().charts) {
    for (const width of [860, 400]) {
      const words = layOut(one, width, measure)
        .texts.map(({ text }) => text)
        .join(" ");
      for (const { series: all, limits = [] } of one.panels) {
        for (const { label: name } of [...all, ...limits]) expect(words).toContain(name);
      }
    }
  }
});

test("a series without points is named as one without data, and an empty panel says so", () => {
  const empty: Chart = {
    ...(simulatedRun().charts[0] as Chart),
    panels: [{ left: { label: "y" }, series: [{ label: "rows", role: "done", kind: "line", points: [] }] }],
  };
  const texts = layOut(empty, 860, measure).texts.map(({ text }) => text);
  expect(texts).toContain("rows (no data)");
  expect(texts).toContain("no measurements");
});

test("a chart without panels is refused by name", () => {
  expect(() => layOut({ ...(simulatedRun().charts[0] as Chart), panels: [] }, 860, measure)).toThrow(
    "in-out-lag",
  );
});

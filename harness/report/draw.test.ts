import { createCanvas, GlobalFonts, loadImage } from "canvas";
import { beforeAll, expect, test } from "vitest";
import type { Chart } from "./chart.ts";
import { drawChart, measureText, narrowWidth, wideWidth } from "./draw.ts";
import { layOut, pixelRatio } from "./layout.ts";
import { ink, roles } from "./palette.ts";
import type { Box } from "./placement.ts";
import { project } from "./scale.ts";
import type { Layout } from "./shapes.ts";
import { simulatedRun } from "./testing.ts";
import { fontFamily } from "./text.ts";

type Colour = readonly [red: number, green: number, blue: number];

interface Picture {
  readonly width: number;
  readonly height: number;
  /** Colour at CSS px. */
  at(x: number, y: number): Colour;
  /** Device pixels of a box (in CSS px) whose colour is near one. */
  count(box: Box, colour: string): number;
}

async function decode(png: Buffer): Promise<Picture> {
  const image = await loadImage(png);
  const context = createCanvas(image.width, image.height).getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  const pixel = (x: number, y: number): Colour => {
    const at = (y * image.width + x) * 4;
    return [data[at] ?? 0, data[at + 1] ?? 0, data[at + 2] ?? 0];
  };
  return {
    width: image.width,
    height: image.height,
    at: (x, y) => pixel(Math.round(x * pixelRatio), Math.round(y * pixelRatio)),
    count(box, colour) {
      const wanted = rgb(colour);
      let count = 0;
      for (let y = Math.floor(box.top * pixelRatio); y < box.bottom * pixelRatio; y++) {
        for (let x = Math.floor(box.left * pixelRatio); x < box.right * pixelRatio; x++) {
          if (distance(pixel(x, y), wanted) < 40) count++;
        }
      }
      return count;
    },
  };
}

function rgb(hex: string): Colour {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
  return [red, green, blue];
}

function distance(a: Colour, b: Colour): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

/** A level line at 50 of 100 in the upper panel, a step on a log axis in the lower; a fault from 4 to 6. */
const chart: Chart = {
  id: "plain",
  title: "A level line over a step",
  caption: "",
  criteria: [],
  x: { label: "time (s)", min: 0, max: 10 },
  panels: [
    {
      left: { label: "rate (messages/s)", min: 0, max: 100 },
      series: [
        {
          label: "rows",
          role: "done",
          kind: "line",
          points: [
            [0, 50],
            [10, 50],
          ],
        },
      ],
      limits: [{ label: "limit", value: 80 }],
    },
    {
      left: { label: "latency (ms)", scale: "log", min: 1, max: 1_000 },
      series: [
        {
          label: "p99",
          role: "bad",
          kind: "step",
          points: [
            [0, 10],
            [5, 100],
            [10, 100],
          ],
        },
      ],
    },
  ],
  bands: [{ label: "cut", from: 4, to: 6, role: "fault" }],
};

let layout: Layout;
let picture: Picture;

beforeAll(async () => {
  picture = await decode(await drawChart(chart));
  layout = layOut(chart, wideWidth, measureText());
});

test("the picture has two device pixels for each px of its layout", () => {
  expect([picture.width, picture.height]).toEqual([layout.width * pixelRatio, layout.height * pixelRatio]);
});

test("every word leaves ink of its colour where the layout put it", () => {
  expect(layout.texts.length).toBeGreaterThan(15);
  for (const { text, colour, box } of layout.texts) {
    expect(picture.count(box, colour), text).toBeGreaterThan(text.length * 3);
  }
});

test("words are set in the package's own font, in both weights, whatever the machine has", () => {
  expect(GlobalFonts.has(fontFamily)).toBe(true);
  const measure = measureText();
  expect(measure("iiii", { size: 20 })).toBeCloseTo(4 * 20 * 0.278, 0);
  expect(measure("letters", { size: 20, bold: true })).toBeGreaterThan(measure("letters", { size: 20 }));
});

test("chart.js paints data exactly where the layout's scales say, in each panel", () => {
  const xOf = project(layout.x, layout.plotLeft, layout.plotRight);
  const painted = (panel: number, x: number, y: number) => {
    const { left, top, bottom } = layout.panels[panel] ?? expect.fail("no panel");
    const [atX, atY] = [xOf(x), project(left, bottom, top)(y)];
    const near = { left: atX - 1, right: atX + 1, top: atY - 1.5, bottom: atY + 1.5 };
    return picture.count(near, panel === 0 ? roles.done.colour : roles.bad.colour);
  };
  expect(painted(0, 2.5, 50)).toBeGreaterThan(4);
  expect(painted(0, 7.5, 50)).toBeGreaterThan(4);
  expect(painted(0, 2.5, 60)).toBe(0);
  expect(painted(1, 2.5, 10)).toBeGreaterThan(4);
  expect(painted(1, 7.5, 100)).toBeGreaterThan(4);
  expect(painted(1, 7.5, 10)).toBe(0);
});

test("a fault is shaded from its start to its end through all panels, and nowhere else", () => {
  const xOf = project(layout.x, layout.plotLeft, layout.plotRight);
  for (const { top, bottom } of layout.panels) {
    const y = top + (bottom - top) * 0.93;
    const [before, within, after] = [3.5, 4.6, 6.6].map((x) => picture.at(xOf(x), y));
    expect(before).toEqual([255, 255, 255]);
    expect(after).toEqual([255, 255, 255]);
    const [red, green, blue] = within as Colour;
    expect(red).toBeGreaterThan(green);
    expect(green).toBeGreaterThan(blue);
    expect(blue).toBeLessThan(240);
  }
});

test("a threshold is a dashed line across the plot", () => {
  const { left, top, bottom } = layout.panels[0] ?? expect.fail("no panel");
  const y = project(left, bottom, top)(80);
  const line = { left: layout.plotLeft, right: layout.plotRight, top: y - 1, bottom: y + 1 };
  const dark = picture.count(line, roles.limit.colour);
  const whole = (layout.plotRight - layout.plotLeft) * pixelRatio * 2;
  expect(dark).toBeGreaterThan(whole * 0.35);
  expect(dark).toBeLessThan(whole * 0.9);
});

test("outside plots and words the paper is white", () => {
  expect(picture.count({ left: 0, right: layout.width, top: 0, bottom: 15 }, ink.paper)).toBe(
    layout.width * 2 * 30,
  );
});

test("a spike of one in fifty thousand points is in the picture", async () => {
  const points = Array.from({ length: 50_000 }, (_, index) => [index / 5_000, 10] as const).map(
    ([x, y], index) => [x, index === 31_234 ? 90 : y] as const,
  );
  const long: Chart = {
    ...chart,
    bands: [],
    panels: [
      {
        left: { label: "y", min: 0, max: 100 },
        series: [{ label: "y", role: "done", kind: "line", points }],
      },
    ],
  };
  const drawn = await decode(await drawChart(long));
  const { x, plotLeft, plotRight, panels } = layOut(long, wideWidth, measureText());
  const panel = panels[0] ?? expect.fail("no panel");
  const at = project(x, plotLeft, plotRight)(31_234 / 5_000);
  const y = project(panel.left, panel.bottom, panel.top)(60);
  expect(
    drawn.count({ left: at - 2, right: at + 2, top: y - 5, bottom: y + 5 }, roles.done.colour),
  ).toBeGreaterThan(10);
});

test("every chart of a whole run is drawn, wide and narrow, in little time", async () => {
  const { charts } = simulatedRun();
  for (const one of charts) {
    for (const width of [wideWidth, narrowWidth]) {
      const began = performance.now();
      const png = await drawChart(one, width);
      // About 150 ms on two quiet cores; the bound leaves room for a busy machine.
      expect(performance.now() - began).toBeLessThan(2_000);
      expect((await decode(png)).width).toBe(width * pixelRatio);
    }
  }
});

test("a chart that cannot be drawn rejects with its name", async () => {
  await expect(drawChart({ ...chart, panels: [] })).rejects.toThrow('chart "plain" has no panels');
});

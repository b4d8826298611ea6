/**
 * Paints a laid-out chart. chart.js draws the data (lines, steps, areas, dots, clipped to their panel) in
 * exactly the rectangles the layout chose; grid, bands and words are painted around it from the layout.
 */
import { createRequire } from "node:module";
import { createCanvas, registerFont } from "canvas";
import type {
  ChartConfiguration,
  ChartDataset,
  Chart as ChartJs,
  Plugin,
  ScaleOptionsByType,
} from "chart.js";
import { drawPoint } from "chart.js/helpers";
import { ChartJSNodeCanvas } from "chartjs-node-canvas";
import type { Chart } from "./chart.ts";
import { layOut, pixelRatio } from "./layout.ts";
import { ink, translucent } from "./palette.ts";
import type { Scale } from "./scale.ts";
import {
  type Layout,
  type PlottedSeries,
  type Sample,
  type SeriesStyle,
  type Stroke,
  sampleWidth,
} from "./shapes.ts";
import { cssFont, type Font, fontFamily, type Text } from "./text.ts";

type Context = ReturnType<ReturnType<typeof createCanvas>["getContext"]>;

/** Width in CSS px of the picture for a page, and of the one for a phone. */
export const wideWidth = 860;
export const narrowWidth = 400;

/**
 * A chart as PNG with two device pixels per CSS pixel; `width` is in CSS px.
 *
 * Rejects when the chart cannot be drawn. Whoever draws for a report turns that into words on the page.
 */
export async function drawChart(chart: Chart, width: number = wideWidth): Promise<Buffer> {
  const layout = layOut(chart, width, measureText());
  return await rendererFor(layout).renderToBuffer(configurationOf(layout));
}

let measure: ((text: string, font: Font) => number) | undefined;

/** There may be no fonts on the machine at all, so the package's own are used; registered once. */
export function measureText(): (text: string, font: Font) => number {
  if (measure === undefined) {
    const require = createRequire(import.meta.url);
    for (const file of [
      require.resolve("@fontsource/dejavu-sans/files/dejavu-sans-latin-400-normal.woff2"),
      require.resolve("@fontsource/dejavu-sans/files/dejavu-sans-latin-700-normal.woff2"),
    ]) {
      registerFont(file, { family: fontFamily });
    }
    const context = createCanvas(1, 1).getContext("2d");
    measure = (text, font) => {
      context.font = cssFont(font);
      return context.measureText(text).width;
    };
  }
  return measure;
}

/**
 * One renderer per size, kept: each loads a copy of chart.js of its own and is never released, and the
 * layout rounds heights so that there are few sizes. A canvas is made for each picture and collected.
 */
const renderers = new Map<string, ChartJSNodeCanvas>();

function rendererFor({ width, height }: Layout): ChartJSNodeCanvas {
  const size = `${width}x${height}`;
  let renderer = renderers.get(size);
  if (renderer === undefined) {
    renderer = new ChartJSNodeCanvas({ width, height });
    renderers.set(size, renderer);
  }
  return renderer;
}

function configurationOf(layout: Layout): ChartConfiguration<"line"> {
  const { panels, width, plotLeft, plotRight } = layout;
  const first = panels[0]?.top ?? 0;
  const last = panels.at(-1)?.bottom ?? layout.height;
  return {
    type: "line",
    data: {
      datasets: panels.flatMap((panel, index) =>
        panel.series.flatMap((one, order) => datasetsOf(one, index, order * 2)),
      ),
    },
    options: {
      devicePixelRatio: pixelRatio,
      events: [],
      parsing: false,
      normalized: true,
      layout: {
        autoPadding: false,
        padding: { left: plotLeft, right: width - plotRight, top: first, bottom: layout.height - last },
      },
      plugins: { legend: { display: false }, tooltip: { enabled: false }, decimation: { enabled: false } },
      scales: scalesOf(layout),
    },
    plugins: [painter(layout)],
  };
}

/**
 * Invisible scales, stacked: their weights are the panels' heights and the gaps between them in px, and
 * the plot area is exactly as high as their sum.
 */
type Scales = NonNullable<NonNullable<ChartConfiguration<"line">["options"]>["scales"]>;

function scalesOf(layout: Layout): Scales {
  const scales: Scales = { x: hidden(layout.x, { axis: "x", position: "bottom" }) };
  let above = layout.panels[0]?.top ?? 0;
  for (const [index, panel] of layout.panels.entries()) {
    for (const side of ["left", "right"] as const) {
      const stacked = (weight: number, order: number) => {
        return { axis: "y", position: "left", stack: side, stackWeight: weight, weight: -order } as const;
      };
      if (panel.top > above) {
        scales[`gap-${side}-${index}`] = hidden(panel.left, stacked(panel.top - above, index * 2));
      }
      const height = panel.bottom - panel.top;
      scales[`${side}-${index}`] = hidden(panel[side] ?? panel.left, stacked(height, index * 2 + 1));
    }
    above = panel.bottom;
  }
  return scales;
}

function hidden({ kind, min, max }: Scale, place: object): ScaleOptionsByType<"linear" | "logarithmic"> {
  const type = kind === "log" ? "logarithmic" : "linear";
  return { type, min, max, display: false, ticks: { display: false }, ...place } as ScaleOptionsByType<
    "linear" | "logarithmic"
  >;
}

/** Longer than any line: chart.js thins undashed lines by whole px, and ours are thinned already, finer. */
const unbrokenDash = [1e7, 1];

/** So few that each is a result of its own, and can be large. */
const fewPoints = 24;

function datasetsOf(series: PlottedSeries, panel: number, order: number): ChartDataset<"line">[] {
  const { style } = series;
  const isDots = style.kind === "dots";
  const base: ChartDataset<"line"> = {
    data: series.points.map(([x, y]) => ({ x, y })),
    yAxisID: `${series.axis}-${panel}`,
    // Half a line's width, so that one along an edge is not cut in two.
    clip: 1.5,
    showLine: !isDots,
    stepped: style.kind === "step",
    borderColor: style.colour,
    borderWidth: 2.2,
    borderDash: style.dash.length > 0 ? [...style.dash] : unbrokenDash,
    // chart.js paints low orders last; what a chart names later lies on top.
    order: -order,
    borderJoinStyle: "round",
    fill: style.kind === "area" ? "start" : false,
    backgroundColor: translucent(style.colour, 0.22),
    pointStyle: style.marker ?? false,
    pointRadius: isDots ? (series.points.length <= fewPoints ? 5.2 : 2.6) : 0,
    // A cross is all border.
    pointBorderWidth: isDots ? (isCross(style.marker) ? 1.8 : 0) : 1.2,
    pointBackgroundColor: isDots ? translucent(style.colour, 0.75) : style.colour,
    pointBorderColor: isDots ? translucent(style.colour, 0.75) : ink.paper,
  };
  if (!style.cased) return [base];
  return [
    { ...base, borderColor: ink.soft, borderWidth: 4, fill: false, pointRadius: 0, order: 1 - order },
    base,
  ];
}

const isCross = (marker: SeriesStyle["marker"]): boolean => marker === "crossRot" || marker === "star";

function painter(layout: Layout): Plugin<"line"> {
  return {
    id: "sluice",
    beforeDraw: ({ ctx }: ChartJs) => {
      const context = ctx as unknown as Context;
      context.fillStyle = ink.paper;
      context.fillRect(0, 0, layout.width, layout.height);
      for (const { left, top, right, bottom, colour } of layout.fills) {
        context.fillStyle = colour;
        context.fillRect(left, top, right - left, bottom - top);
      }
      for (const stroke of layout.strokes) paintStroke(context, stroke);
    },
    afterDraw: ({ ctx }: ChartJs) => {
      const context = ctx as unknown as Context;
      for (const stroke of layout.overStrokes) paintStroke(context, stroke);
      for (const panel of layout.panels) paintMarkers(context, layout, panel.series);
      for (const sample of layout.samples) paintSample(context, sample);
      for (const text of layout.texts) paintText(context, text);
    },
  };
}

function paintStroke(context: Context, { from, to, colour, width, dash }: Stroke): void {
  context.save();
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash([...(dash ?? [])]);
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.stroke();
  context.restore();
}

/**
 * A few markers along a line tell it apart without colour; where there are few points, every point has
 * one. Those of different series are staggered, so that lines that coincide can still be told apart.
 */
function paintMarkers(context: Context, layout: Layout, series: readonly PlottedSeries[]): void {
  for (const [index, { style, pixels }] of series.entries()) {
    if (style.kind === "dots") continue;
    const apart = pixels.length <= fewPoints ? 0 : (layout.plotRight - layout.plotLeft) / 8;
    let next = layout.plotLeft + (apart * (index + 0.5)) / series.length;
    for (const [x, y] of pixels) {
      if (x < next || x > layout.plotRight) continue;
      paintMarker(context, style, x, y);
      next += apart;
    }
  }
}

function paintMarker(context: Context, style: SeriesStyle, x: number, y: number): void {
  if (style.marker === undefined) return;
  context.save();
  context.fillStyle = style.colour;
  context.strokeStyle = isCross(style.marker) ? style.colour : style.cased ? ink.soft : ink.paper;
  context.lineWidth = isCross(style.marker) ? 2 : 1.2;
  context.setLineDash([]);
  const options = {
    pointStyle: style.marker,
    radius: style.marker === "circle" ? 4.2 : 5.2,
    borderWidth: context.lineWidth,
    rotation: 0,
  };
  drawPoint(
    context as unknown as Parameters<typeof drawPoint>[0],
    options as Parameters<typeof drawPoint>[1],
    x,
    y,
  );
  context.restore();
}

function paintSample(context: Context, { x, y, style }: Sample): void {
  const line = { from: [x, y], to: [x + sampleWidth, y], dash: style.dash } as const;
  if (style.kind === "area") {
    context.fillStyle = translucent(style.colour, 0.22);
    context.fillRect(x, y, sampleWidth, 6);
  }
  if (style.kind !== "dots") {
    if (style.cased) paintStroke(context, { ...line, colour: ink.soft, width: 4 });
    paintStroke(context, { ...line, colour: style.colour, width: style.marker === undefined ? 1.3 : 2.2 });
  }
  paintMarker(context, style, x + sampleWidth / 2, y);
}

/** On a veil of paper, so that a word stays legible where it must lie on a line or a shade. */
function paintText(context: Context, { text, font, colour, x, y, align }: Text): void {
  context.font = cssFont(font);
  context.textAlign = align;
  context.textBaseline = "middle";
  context.lineJoin = "round";
  context.strokeStyle = "rgba(255, 255, 255, 0.75)";
  context.lineWidth = 3;
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}

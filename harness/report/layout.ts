/**
 * Where everything of a chart goes, in pixels. Pure: a chart and a way to measure text in, shapes out.
 * `draw.ts` paints them and decides nothing, so what must not collide is tested here without a picture.
 */
import { grid, panelScales, xTickTexts, yTickTexts } from "./axes.ts";
import type { Chart, Panel, Series } from "./chart.ts";
import { decimateDots, decimateLine } from "./decimate.ts";
import { dashes, ink, limitDash, markers, roles } from "./palette.ts";
import { type Box, clear, within } from "./placement.ts";
import { project, type Scale, scaleFor } from "./scale.ts";
import { gutterWidth, limitNames, namesBeside, panelHeader } from "./series-labels.ts";
import type {
  Fill,
  Layout,
  PanelLayout,
  PlottedSeries,
  Sample,
  SeriesStyle,
  Sizes,
  Stroke,
} from "./shapes.ts";
import { layOutStrips } from "./strips.ts";
import { type Measure, printable, shorten, type Text, textAt, wrapEvenly } from "./text.ts";

/** Device pixels per CSS pixel. */
export const pixelRatio = 2;

/** Lays a chart out for a picture `width` px wide; its height follows from what is in it. */
export function layOut(chart: Chart, width: number, measure: Measure): Layout {
  if (chart.panels.length === 0) throw new Error(`chart "${chart.id}" has no panels`);
  const sizes = sizesFor(width, chart.panels.length);
  const hasRightAxis = chart.panels.some((panel) => panel.right !== undefined);
  const beside = !sizes.isNarrow && !hasRightAxis && layOutWith(chart, width, measure, sizes, "beside");
  return beside || (layOutWith(chart, width, measure, sizes, "above") as Layout);
}

function sizesFor(width: number, panels: number): Sizes {
  const isNarrow = width < 600;
  const heights = isNarrow ? [220, 160, 130] : [330, 210, 165];
  return {
    isNarrow,
    margin: isNarrow ? 12 : 20,
    title: { size: isNarrow ? 14 : 16, bold: true },
    heading: { size: isNarrow ? 11.5 : 12.5, bold: true },
    label: { size: isNarrow ? 11.5 : 12.5 },
    line: isNarrow ? 16 : 18,
    panelHeight: heights[Math.min(panels, heights.length) - 1] ?? 130,
  };
}

/**
 * `names`: series named beside their last point, or in a row above the panel. Undefined when there is no
 * room beside; above there always is.
 */
function layOutWith(
  chart: Chart,
  width: number,
  measure: Measure,
  sizes: Sizes,
  names: "beside" | "above",
): Layout | undefined {
  const { margin, label, line } = sizes;
  const scales = chart.panels.map((panel) => ({ panel, ...panelScales(panel, sizes) }));
  const leftTicks = widestTick(scales.map((one) => one.left));
  const rightTicks = widestTick(scales.flatMap((one) => one.right ?? []));
  const gutter =
    names === "beside" ? gutterWidth(chart.panels, sizes, measure) : rightTicks > 0 ? rightTicks + 8 : 4;
  const plotLeft = margin + leftTicks + 8;
  const plotRight = width - margin - gutter;

  const x = scaleFor({
    axis: chart.x,
    values: chart.panels.flatMap((panel) => panel.series.flatMap((one) => one.points.map(([at]) => at))),
    room: Math.max(2, Math.floor((plotRight - plotLeft) / (sizes.isNarrow ? 60 : 85))),
    fit: "data",
  });
  const xOf = project(x, plotLeft, plotRight);

  const title = titleTexts(chart.title, width, sizes, measure);
  const strips = layOutStrips(chart, { top: title.bottom, width, x, xOf, sizes, measure });
  const texts: Text[] = [...title.texts, ...strips.texts];
  const strokes: Stroke[] = [];
  const overStrokes: Stroke[] = [];
  const samples: Sample[] = [];
  const panels: PanelLayout[] = [];

  let y = strips.bottom;
  for (const { panel, left, right } of scales) {
    const styles = stylesOf(panel);
    const header = panelHeader(panel, styles, names === "above", { top: y, width, sizes, measure });
    texts.push(...header.texts);
    samples.push(...header.samples);

    const area = {
      left: plotLeft,
      right: plotRight,
      top: header.bottom,
      bottom: header.bottom + sizes.panelHeight,
    };
    const yOf = project(left, area.bottom, area.top);
    const yOfRight = project(right ?? left, area.bottom, area.top);
    const series = panel.series.map((_, index) => plot(panel, index, styles, xOf, { left, right }, area));
    panels.push({ top: area.top, bottom: area.bottom, left, right, series });

    strokes.push(...grid(area, left, yOf, x, xOf));
    texts.push(...yTickTexts(left, yOf, { x: plotLeft - 8, align: "right" }, sizes, measure));
    if (right)
      texts.push(...yTickTexts(right, yOfRight, { x: plotRight + 8, align: "left" }, sizes, measure));
    for (const limit of panel.limits ?? [])
      overStrokes.push(limitLine(yOf(limit.value), plotLeft, plotRight));
    for (const one of series)
      overStrokes.push(...spreadBars(one, xOf, one.axis === "right" ? yOfRight : yOf, area));
    const empty = series.every((one) => one.pixels.length === 0) ? [emptyText(area)] : [];
    texts.push(...empty);
    if (names === "beside") {
      const named = namesBeside(panel, series, yOf, area, sizes, measure);
      if (named === undefined) return undefined;
      texts.push(...named.texts);
      samples.push(...named.samples);
      overStrokes.push(...named.leaders);
    } else {
      texts.push(...limitNames(panel, series, empty, yOf, area, sizes, measure));
    }
    y = area.bottom + 12;
  }

  const plotBottom = y - 12;
  const ticksY = plotBottom + 6 + line / 2;
  texts.push(...xTickTexts(x, xOf, ticksY, width, sizes, measure));
  const axisTitle = shorten(printable(chart.x.label), width - 2 * margin, label, measure);
  const halfTitle = measure(axisTitle, label) / 2;
  const middle = within((plotLeft + plotRight) / 2, margin + halfTitle, width - margin - halfTitle);
  const axisAt = { x: middle, y: ticksY + line + 1, align: "center" } as const;
  texts.push(textAt(measure, { text: axisTitle, font: label, colour: ink.soft, ...axisAt }));

  const words = texts.map((text) => text.box);
  const edges = strips.edges.flatMap(({ x: at, top, ...rest }): Stroke[] =>
    clear(at, { top, bottom: plotBottom }, words).map((part) => {
      return { ...rest, from: [at, part.top], to: [at, part.bottom] };
    }),
  );
  return {
    width,
    // Rounded up: few different heights, so that few canvases are needed.
    height: Math.ceil((axisAt.y + line / 2 + margin * 0.6) / 20) * 20,
    plotLeft,
    plotRight,
    x,
    panels,
    fills: strips.fills.map((fill): Fill => ({ ...fill, bottom: plotBottom })),
    strokes: [...strokes, ...edges, ...strips.caps],
    overStrokes,
    samples,
    texts,
  };

  function emptyText({ left, right, top, bottom }: Box): Text {
    const at = { x: (left + right) / 2, y: (top + bottom) / 2, align: "center" } as const;
    return textAt(measure, { text: "no measurements", font: label, colour: ink.soft, ...at });
  }

  function widestTick(all: readonly Scale[]): number {
    return Math.max(0, ...all.flatMap((scale) => scale.ticks.map((tick) => measure(tick.label, label))));
  }
}

function titleTexts(title: string, width: number, sizes: Sizes, measure: Measure) {
  const font = sizes.title;
  const lines = wrapEvenly(printable(title), width - 2 * sizes.margin, font, measure);
  const height = font.size * 1.3;
  const texts = lines.map((text, row) => {
    const y = sizes.margin + height * (row + 0.5);
    return textAt(measure, { text, font, colour: ink.text, x: sizes.margin, y, align: "left" });
  });
  return { texts, bottom: sizes.margin + height * lines.length + 10 };
}

function limitLine(y: number, left: number, right: number): Stroke {
  return { from: [left, y], to: [right, y], colour: roles.limit.colour, width: 1.3, dash: limitDash };
}

/** From the lowest to the highest observation of each point, with a short cap at both ends; within the panel. */
function spreadBars(
  { series, style }: PlottedSeries,
  xOf: (value: number) => number,
  yOf: (value: number) => number,
  area: Box,
): Stroke[] {
  const cap = 4;
  return (series.spread ?? []).flatMap(([low, high], i) => {
    const at = xOf(series.points[i]?.[0] ?? Number.NaN);
    const [bottom, top] = [low, high].map((value) => within(yOf(value), area.top, area.bottom));
    if (![at, bottom, top].every(Number.isFinite) || bottom === undefined || top === undefined) return [];
    const line = { colour: style.colour, width: 1.6 };
    return [
      { ...line, from: [at, bottom], to: [at, top] },
      { ...line, from: [at - cap, bottom], to: [at + cap, bottom] },
      { ...line, from: [at - cap, top], to: [at + cap, top] },
    ];
  });
}

/**
 * Each series of a panel gets its role's colour and a marker that no other of its kind (joined or dots)
 * has; a repeated role gets other dashes.
 */
function stylesOf(panel: Panel): SeriesStyle[] {
  const seen = new Map<string, number>();
  let [lines, dots] = [0, 0];
  return panel.series.map((series) => {
    const index = series.kind === "dots" ? dots++ : lines++;
    const repeat = seen.get(series.role) ?? 0;
    seen.set(series.role, repeat + 1);
    const { colour, cased = false } = roles[series.role];
    return {
      kind: series.kind,
      colour,
      cased,
      dash: dashes[(series.dashed ? repeat + 1 : repeat) % dashes.length] ?? [],
      // What should be and not what was: a plain line, without marks that could be taken for measurements.
      marker: series.role === "limit" ? undefined : markers[index % markers.length],
    };
  });
}

function plot(
  panel: Panel,
  index: number,
  styles: readonly SeriesStyle[],
  xOf: (value: number) => number,
  { left, right }: { readonly left: Scale; readonly right: Scale | undefined },
  area: Box,
): PlottedSeries {
  const series = panel.series[index] as Series;
  const axis = series.axis === "right" && right ? "right" : "left";
  const scale = axis === "right" && right ? right : left;
  const yOf = project(scale, area.bottom, area.top);
  const deviceX = (value: number) => xOf(value) * pixelRatio;
  const seen =
    series.kind === "dots"
      ? decimateDots(series.points, { x: deviceX, y: (value) => yOf(value) * pixelRatio })
      : decimateLine(series.points, deviceX);
  // What a log axis cannot show (zero above all) is painted on its lower edge, not left out.
  const points = scale.kind === "log" ? seen.map(([x, y]) => [x, Math.max(y, scale.min)] as const) : seen;
  const finite = points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  return {
    series,
    axis,
    style: styles[index] as SeriesStyle,
    points,
    pixels: finite.map(([x, y]) => [xOf(x), yOf(y)] as const),
  };
}

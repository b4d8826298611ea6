/** Naming what is plotted: beside its last point where there is room, else in a row above the panel. */
import type { Panel, Series } from "./chart.ts";
import { ink, limitDash, roles } from "./palette.ts";
import { type Box, overlaps, spread, within } from "./placement.ts";
import {
  type PlottedSeries,
  type Sample,
  type SeriesStyle,
  type Sizes,
  type Stroke,
  sampleWidth,
} from "./shapes.ts";
import { type Measure, printable, shorten, type Text, textAt, wrap } from "./text.ts";

const limitStyle: SeriesStyle = {
  kind: "line",
  colour: roles.limit.colour,
  cased: false,
  dash: limitDash,
  marker: undefined,
};

const leaderWidth = 14;
const sampleGap = 6;
const maxNameWidth = 150;

/** Px to the right of the plot that names beside the lines need. */
export function gutterWidth(panels: readonly Panel[], sizes: Sizes, measure: Measure): number {
  const names = panels.flatMap((panel) => [
    ...panel.series.flatMap((series) => nameLines(nameOf(series), sizes, measure)),
    ...(panel.limits ?? []).flatMap((limit) => nameLines(limit.label, sizes, measure)),
  ]);
  const widest = Math.max(0, ...names.map((name) => measure(name, sizes.label)));
  return leaderWidth + sampleWidth + sampleGap + widest;
}

/** A line without points is missing data; that no dots are there may be good news. */
function nameOf({ label, kind, points }: Series): string {
  return points.length > 0 ? label : `${label} (${kind === "dots" ? "none" : "no data"})`;
}

function nameLines(label: string, sizes: Sizes, measure: Measure): string[] {
  return wrap(printable(label), maxNameWidth, sizes.label, measure);
}

export interface NamedBeside {
  readonly texts: readonly Text[];
  readonly samples: readonly Sample[];
  /** From the end of a line to its name, where that had to move. */
  readonly leaders: readonly Stroke[];
}

/** Names of series and thresholds at the height of their last point; undefined when they do not fit. */
export function namesBeside(
  panel: Panel,
  plotted: readonly PlottedSeries[],
  yOf: (value: number) => number,
  area: Box,
  sizes: Sizes,
  measure: Measure,
): NamedBeside | undefined {
  const middle = (area.top + area.bottom) / 2;
  const ends = [
    ...plotted.map(({ series, style, pixels }) => ({
      lines: nameLines(nameOf(series), sizes, measure),
      style,
      y: within(pixels.at(-1)?.[1] ?? middle, area.top, area.bottom),
      x: pixels.at(-1)?.[0] ?? area.right,
    })),
    ...(panel.limits ?? []).map((limit) => ({
      lines: nameLines(limit.label, sizes, measure),
      style: limitStyle,
      y: yOf(limit.value),
      x: area.right,
    })),
  ];
  const lineHeight = sizes.label.size * 1.25;
  const spans = ends.map((end) => ({ centre: end.y, size: end.lines.length * lineHeight + 3 }));
  const centres = spread(spans, area.top - sizes.line / 2, area.bottom + sizes.line / 2);
  if (centres === undefined) return undefined;

  const texts: Text[] = [];
  const samples: Sample[] = [];
  const leaders: Stroke[] = [];
  for (const [index, end] of ends.entries()) {
    const centre = centres[index] ?? end.y;
    const sampleX = area.right + leaderWidth;
    samples.push({ x: sampleX, y: centre, style: end.style });
    const leavesEdge = end.x > area.right - 3;
    if (leavesEdge && Math.abs(centre - end.y) > 1.5) {
      const [from, to] = [[area.right + 2, end.y] as const, [sampleX - 2, centre] as const];
      leaders.push({ from, to, colour: ink.axis, width: 0.75 });
    }
    const first = centre - ((end.lines.length - 1) * lineHeight) / 2;
    for (const [row, text] of end.lines.entries()) {
      const at = { x: sampleX + sampleWidth + sampleGap, y: first + row * lineHeight };
      texts.push(textAt(measure, { text, font: sizes.label, colour: ink.text, ...at, align: "left" }));
    }
  }
  return { texts, samples, leaders };
}

export interface HeaderFrame {
  readonly top: number;
  readonly width: number;
  readonly sizes: Sizes;
  readonly measure: Measure;
}

/** Above a panel: the titles of its y axes and, unless series are named beside their lines, their key. */
export function panelHeader(
  panel: Panel,
  styles: readonly SeriesStyle[],
  withKey: boolean,
  frame: HeaderFrame,
) {
  const { width, sizes, measure } = frame;
  const { margin, heading, label, line } = sizes;
  const texts: Text[] = [];
  const samples: Sample[] = [];
  let y = frame.top + line / 2;

  const room = width - 2 * margin;
  const left = shorten(printable(panel.left.label), room, heading, measure);
  texts.push(textAt(measure, { text: left, font: heading, colour: ink.text, x: margin, y, align: "left" }));
  if (panel.right) {
    const right = shorten(printable(panel.right.label), room, heading, measure);
    if (measure(left, heading) + measure(right, heading) + 24 > room) y += line;
    const at = { x: width - margin, y, align: "right" } as const;
    texts.push(textAt(measure, { text: right, font: heading, colour: ink.text, ...at }));
  }
  if (withKey) {
    y += line;
    let x = margin;
    for (const [index, series] of panel.series.entries()) {
      const style = styles[index];
      if (style === undefined) continue;
      const side = series.axis === "right" ? " (right axis)" : "";
      const name = printable(nameOf(series) + side);
      const text = shorten(name, room - sampleWidth - sampleGap, label, measure);
      const itemWidth = sampleWidth + sampleGap + measure(text, label);
      if (x > margin && x + itemWidth > width - margin) {
        x = margin;
        y += line;
      }
      samples.push({ x, y, style });
      const at = { x: x + sampleWidth + sampleGap, y, align: "left" } as const;
      texts.push(textAt(measure, { text, font: label, colour: ink.text, ...at }));
      x += itemWidth + 18;
    }
  }
  return { texts, samples, bottom: y + line / 2 + 7 };
}

/** Names of thresholds on their lines inside the plot, where they hide the least of the data. */
export function limitNames(
  panel: Panel,
  plotted: readonly PlottedSeries[],
  taken: readonly Text[],
  yOf: (value: number) => number,
  area: Box,
  sizes: Sizes,
  measure: Measure,
): Text[] {
  const placed: Text[] = [];
  for (const limit of panel.limits ?? []) {
    const room = area.right - area.left - 8;
    const text = shorten(printable(limit.label), room, sizes.label, measure);
    const height = sizes.label.size * 1.2 + 6;
    const candidates: { text: Text; cost: number }[] = [];
    const last = area.right - 4 - measure(text, sizes.label);
    for (const rows of [-0.5, 0.5, -1.5, 1.5, -2.5, 2.5]) {
      const y = yOf(limit.value) + rows * height;
      if (y - height / 2 < area.top || y + height / 2 > area.bottom) continue;
      for (let x = last; x >= area.left + 4; x -= 16) {
        const candidate = textAt(measure, { text, font: sizes.label, colour: ink.text, x, y, align: "left" });
        const isTaken = [...taken, ...placed].some((other) => overlaps(other.box, candidate.box));
        candidates.push({
          text: candidate,
          cost: isTaken ? 1e9 : crossings(plotted, candidate.box) + Math.abs(rows) * 4,
        });
      }
    }
    const best = candidates.reduce(
      (a, b) => (b.cost < a.cost ? b : a),
      candidates[0] ?? { text: undefined, cost: 0 },
    );
    if (best.text !== undefined && best.cost < 1e9) placed.push(best.text);
  }
  return placed;
}

/** How many pieces of the plotted series might pass through a box. */
function crossings(plotted: readonly PlottedSeries[], box: Box): number {
  let count = 0;
  for (const { pixels, style } of plotted) {
    for (const [index, [x, y]] of pixels.entries()) {
      const [fromX, fromY] = (style.kind === "dots" ? undefined : pixels[index - 1]) ?? [x, y];
      const piece = {
        left: Math.min(x, fromX) - 2,
        right: Math.max(x, fromX) + 2,
        top: Math.min(y, fromY) - 2,
        bottom: Math.max(y, fromY) + 2,
      };
      if (overlaps(piece, box)) count++;
    }
  }
  return count;
}

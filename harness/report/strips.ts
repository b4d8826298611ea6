/** The strips above the first panel: phases and faults named over the stretch of time they shade. */
import type { Chart } from "./chart.ts";
import { ink } from "./palette.ts";
import { inLanes, within } from "./placement.ts";
import type { Scale } from "./scale.ts";
import type { Fill, Sizes, Stroke } from "./shapes.ts";
import { type Measure, printable, shorten, type Text, textAt } from "./text.ts";

interface Frame {
  readonly top: number;
  readonly width: number;
  readonly x: Scale;
  readonly xOf: (value: number) => number;
  readonly sizes: Sizes;
  readonly measure: Measure;
}

/** Fills and edges begin at their name and still need their bottom, which is that of the last panel. */
export interface Strips {
  readonly texts: readonly Text[];
  readonly fills: readonly Omit<Fill, "bottom">[];
  readonly edges: readonly (Omit<Stroke, "from" | "to"> & { readonly x: number; readonly top: number })[];
  /** Short lines under the names of faults. */
  readonly caps: readonly Stroke[];
  readonly bottom: number;
}

interface Named {
  readonly label: string;
  readonly from: number;
  readonly to: number;
}

export function layOutStrips(chart: Chart, frame: Frame): Strips {
  const { x, sizes } = frame;
  const bands = (chart.bands ?? []).filter((band) => band.to >= x.min && band.from <= x.max);
  const phases = bands.filter((band) => band.role === "phase");
  const faults = bands.filter((band) => band.role === "fault");
  const marks = (chart.marks ?? []).filter((mark) => mark.at >= x.min && mark.at <= x.max);

  const phaseRow = named(phases, frame, frame.top, ink.soft);
  const moments = marks.map((mark) => ({ label: mark.label, from: mark.at, to: mark.at }));
  const faultTop = phaseRow.bottom + (phases.length > 0 ? 2 : 0);
  const faultRow = named([...faults, ...moments], frame, faultTop, ink.faultText);
  const pixel = (value: number) => frame.xOf(within(value, x.min, x.max));

  const fills: Omit<Fill, "bottom">[] = [];
  const edges: (Omit<Stroke, "from" | "to"> & { x: number; top: number })[] = [];
  const caps: Stroke[] = [];
  for (const [index, phase] of phases.entries()) {
    const top = phaseRow.bottom;
    if (index % 2 === 1)
      fills.push({ left: pixel(phase.from), right: pixel(phase.to), top, colour: ink.phase });
    for (const at of [phase.from, phase.to]) {
      if (at > x.min && at < x.max) edges.push({ x: pixel(at), top, colour: ink.phaseEdge, width: 1 });
    }
  }
  for (const [index, fault] of faults.entries()) {
    const top = faultRow.bottoms[index] ?? frame.top;
    const [left, right] = [pixel(fault.from), Math.max(pixel(fault.to), pixel(fault.from) + 1)];
    fills.push({ left, right, top, colour: ink.faultFill });
    caps.push({ from: [left, top], to: [right, top], colour: ink.fault, width: 3 });
    for (const edge of [left, right]) edges.push({ x: edge, top, colour: ink.faultEdge, width: 0.75 });
  }
  for (const [index, mark] of marks.entries()) {
    const top = faultRow.bottoms[faults.length + index] ?? frame.top;
    edges.push({ x: pixel(mark.at), top, colour: ink.faultText, width: 1.25, dash: [2, 3] });
  }
  const hasAny = phases.length + faults.length + marks.length > 0;
  return {
    texts: [...phaseRow.texts, ...faultRow.texts],
    fills,
    edges,
    caps,
    bottom: faultRow.bottom + (hasAny ? sizes.line * 0.35 : 0),
  };
}

/** Names in as many lanes as they need; lane 0 is the lowest. `bottoms`: where each name's lane ends. */
function named(items: readonly Named[], frame: Frame, top: number, colour: string) {
  const { sizes, measure, x, xOf, width } = frame;
  const font = sizes.label;
  const labels = items.map((item) => shorten(printable(item.label), width - 2 * sizes.margin, font, measure));
  const spans = items.map((item, index) => ({
    centre: (xOf(within(item.from, x.min, x.max)) + xOf(within(item.to, x.min, x.max))) / 2,
    size: measure(labels[index] ?? "", font),
  }));
  const places = inLanes(spans, sizes.margin, width - sizes.margin, 10);
  const lanes = Math.max(0, ...places.map((place) => place.lane + 1));
  const gap = 3;
  const bottom = top + lanes * (sizes.line + gap);
  const texts: Text[] = [];
  const bottoms: number[] = [];
  for (const [index, place] of places.entries()) {
    const laneBottom = bottom - place.lane * (sizes.line + gap);
    const y = laneBottom - gap - sizes.line / 2;
    texts.push(textAt(measure, { text: labels[index] ?? "", font, colour, x: place.left, y, align: "left" }));
    bottoms.push(laneBottom);
  }
  return { texts, bottoms, bottom };
}

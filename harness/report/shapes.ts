/** What a laid-out chart consists of. All numbers are CSS pixels of the picture. */
import type { Series } from "./chart.ts";
import type { Point } from "./decimate.ts";
import type { Marker } from "./palette.ts";
import type { Box } from "./placement.ts";
import type { Scale } from "./scale.ts";
import type { Font, Text } from "./text.ts";

export interface Stroke {
  readonly from: Point;
  readonly to: Point;
  readonly colour: string;
  readonly width: number;
  readonly dash?: readonly number[];
}

export interface Fill extends Box {
  readonly colour: string;
}

export interface SeriesStyle {
  readonly kind: Series["kind"];
  readonly colour: string;
  readonly cased: boolean;
  readonly dash: readonly number[];
  /** Undefined for a threshold, which is a plain line. */
  readonly marker: Marker | undefined;
}

/** A short piece of a series beside its name; `x` is its left end. */
export interface Sample {
  readonly x: number;
  readonly y: number;
  readonly style: SeriesStyle;
}

export const sampleWidth = 34;

export interface PlottedSeries {
  readonly series: Series;
  readonly axis: "left" | "right";
  readonly style: SeriesStyle;
  /** Thinned to what can be seen. */
  readonly points: readonly Point[];
  /** The finite ones of `points`, where they are painted. */
  readonly pixels: readonly Point[];
}

export interface PanelLayout {
  readonly top: number;
  readonly bottom: number;
  readonly left: Scale;
  readonly right: Scale | undefined;
  readonly series: readonly PlottedSeries[];
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly plotLeft: number;
  readonly plotRight: number;
  readonly x: Scale;
  readonly panels: readonly PanelLayout[];
  /** Under the data, in painting order. */
  readonly fills: readonly Fill[];
  readonly strokes: readonly Stroke[];
  /** Over the data. */
  readonly overStrokes: readonly Stroke[];
  readonly samples: readonly Sample[];
  readonly texts: readonly Text[];
}

/** Sizes that depend on how wide the picture is; one below 600 px is for a phone. */
export interface Sizes {
  readonly isNarrow: boolean;
  readonly margin: number;
  readonly title: Font;
  readonly heading: Font;
  readonly label: Font;
  /** Height of a line of labels. */
  readonly line: number;
  readonly panelHeight: number;
}

/**
 * A chart as data. Labs describe what is shown; `draw.ts` knows how. A chart never decides anything:
 * thresholds and windows drawn here are those the judge used.
 */

/** Roles in one colour-blind-safe palette (Okabe-Ito); a role keeps its colour in all charts. */
export type Role =
  | "offered"
  | "done"
  | "lag"
  | "latency"
  | "committed"
  | "memory"
  | "limit"
  | "bad"
  | "other";

export interface Axis {
  /** With the unit in brackets: "time since load began (s)". */
  readonly label: string;
  readonly scale?: "linear" | "log";
  readonly min?: number;
  readonly max?: number;
  /** Instead of numbers: names for what the axis tells apart. */
  readonly ticks?: readonly { readonly value: number; readonly label: string }[];
}

export interface Series {
  readonly label: string;
  readonly role: Role;
  /** line: joined; step: holds until the next point; dots: unjoined; area: line filled to zero. */
  readonly kind: "line" | "step" | "dots" | "area";
  readonly points: readonly (readonly [x: number, y: number])[];
  /** For each point its lowest and highest observation, drawn as an upright bar. */
  readonly spread?: readonly (readonly [low: number, high: number])[];
  /** Which y axis; `right` needs `Panel.right`. */
  readonly axis?: "left" | "right";
  readonly dashed?: boolean;
}

/** Panels of a chart stand one over the other on the same x axis, so that one moment is one vertical line. */
export interface Panel {
  readonly left: Axis;
  readonly right?: Axis;
  readonly series: readonly Series[];
  /** Horizontal threshold lines, labelled on the line. */
  readonly limits?: readonly { readonly label: string; readonly value: number }[];
}

export interface Chart {
  readonly id: string;
  /** The question the picture answers: it is drawn for bad runs too, so it must not claim what it should show. */
  readonly title: string;
  /** How to read it and what a bad run would look like: one or two sentences. */
  readonly caption: string;
  /** Ids of the criteria it is evidence for. */
  readonly criteria: readonly string[];
  readonly x: Axis;
  readonly panels: readonly Panel[];
  /** Shaded x ranges: fault windows, phases. */
  readonly bands?: readonly {
    readonly label: string;
    readonly from: number;
    readonly to: number;
    readonly role: "fault" | "phase";
  }[];
  /** Vertical lines: single moments. */
  readonly marks?: readonly { readonly label: string; readonly at: number }[];
}

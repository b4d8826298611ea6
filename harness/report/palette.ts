/**
 * Colours, dashes and markers of all charts.
 *
 * Okabe and Ito's eight colours (jfly.uni-koeln.de/color), told apart with any kind of colour vision.
 * Colour is never the only difference: series of one panel also differ in marker and, where a role
 * repeats, in dash; and each is named beside its end.
 */
import type { Role } from "./chart.ts";

export const ink = {
  text: "#1b1f24",
  soft: "#565d66",
  axis: "#8b929b",
  grid: "#e4e7ea",
  gridMinor: "#f1f3f5",
  paper: "#ffffff",
  phase: "#f6f7f9",
  phaseEdge: "#c9ced4",
  fault: "#d55e00",
  faultFill: "rgba(213, 94, 0, 0.13)",
  faultEdge: "rgba(213, 94, 0, 0.55)",
  faultText: "#8f3f00",
} as const;

/** `cased` colours are too light for white paper and get a dark edge, as roads do on maps. */
export const roles: Readonly<Record<Role, { readonly colour: string; readonly cased?: true }>> = {
  offered: { colour: "#0072b2" },
  done: { colour: "#009e73" },
  lag: { colour: "#e69f00" },
  latency: { colour: "#cc79a7" },
  committed: { colour: "#56b4e9" },
  memory: { colour: "#f0e442", cased: true },
  limit: { colour: "#000000" },
  bad: { colour: "#d55e00" },
  other: { colour: "#7f8790" },
};

export const markers = ["circle", "triangle", "rect", "rectRot", "crossRot", "star"] as const;
export type Marker = (typeof markers)[number];

/** Dash patterns in px; the first is solid. A role's second series in a panel takes the second, and so on. */
export const dashes: readonly (readonly number[])[] = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
export const limitDash: readonly number[] = [5, 4];

/** Okabe-Ito colour with an alpha from 0 to 1, for fills. */
export function translucent(hex: string, alpha: number): string {
  const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}

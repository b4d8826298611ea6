/** Axis ranges, ticks and the words on them. */
import type { Axis } from "./chart.ts";

export interface Tick {
  readonly value: number;
  /** Empty for a minor tick. */
  readonly label: string;
}

export interface Scale {
  readonly kind: "linear" | "log";
  readonly min: number;
  readonly max: number;
  readonly ticks: readonly Tick[];
}

export interface ScaleRequest {
  readonly axis: Axis;
  /** Everything that must be visible: data, and limits on a y axis. */
  readonly values: Iterable<number>;
  /** How many labelled ticks there is room for. */
  readonly room: number;
  /** y axes begin at zero and end on a tick; an x axis fits its data. */
  readonly fit: "zero-to-tick" | "data";
}

/** Beyond these, a number is a mistake and would leave no digits to tell ticks apart. */
const smallest = 1e-12;
const largest = 1e24;

/** Range and ticks for an axis. Values that are not finite (on a log axis: not positive) are left out. */
export function scaleFor({ axis, values, room, fit }: ScaleRequest): Scale {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  const isLog = axis.scale === "log";
  for (const value of values) {
    if (!(Math.abs(value) < largest) || (isLog && value < smallest)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const scale = isLog ? logScale(axis, low, high, room) : linearScale(axis, low, high, room, fit);
  return axis.ticks === undefined ? scale : { ...scale, ticks: axis.ticks };
}

function linearScale(axis: Axis, low: number, high: number, room: number, fit: ScaleRequest["fit"]): Scale {
  let min = axis.min ?? (Number.isFinite(low) ? low : 0);
  let max = axis.max ?? (Number.isFinite(high) ? high : min + 1);
  if (fit === "zero-to-tick" && axis.min === undefined) min = Math.min(0, min);
  if (!(max - min > Math.max(smallest, Math.abs(min) * 1e-9))) max = min + Math.max(1, Math.abs(min) * 1e-3);
  const step = niceStep((max - min) / Math.max(1, room));
  if (fit === "zero-to-tick") {
    if (axis.max === undefined) max = roundTo(Math.ceil(max / step - 1e-9) * step, step);
    if (axis.min === undefined) min = roundTo(Math.floor(min / step + 1e-9) * step, step);
  }
  const ticks: Tick[] = [];
  for (let n = Math.ceil(min / step - 1e-9); n * step <= max + step * 1e-9; n++) {
    const value = roundTo(n * step, step);
    ticks.push({ value, label: formatNumber(value, decimalsOf(step)) });
  }
  return { kind: "linear", min, max, ticks };
}

function logScale(axis: Axis, low: number, high: number, room: number): Scale {
  let min = axis.min !== undefined && axis.min > 0 ? axis.min : Number.NaN;
  let max = axis.max !== undefined && axis.max > 0 ? axis.max : Number.NaN;
  if (Number.isNaN(min))
    min = Number.isFinite(low) ? oneTwoFive(low, "down") : Number.isNaN(max) ? 1 : max / 10;
  if (Number.isNaN(max)) max = Number.isFinite(high) ? oneTwoFive(high, "up") : min * 10;
  if (!(max > min)) max = min * 10;

  const decades = Math.log10(max / min);
  const labelled = decades * 3 <= room || decades < 1.7 ? [1, 2, 5] : [1];
  const everyDecades = Math.max(1, Math.ceil(decades / Math.max(1, room)));
  const ticks: Tick[] = [];
  const firstDecade = Math.floor(Math.log10(min) + 1e-9);
  const lastDecade = Math.ceil(Math.log10(max) - 1e-9);
  for (let decade = firstDecade; decade <= lastDecade; decade++) {
    for (let digit = 1; digit <= 9; digit++) {
      const value = roundTo(digit * 10 ** decade, 10 ** decade);
      if (value < min * (1 - 1e-9) || value > max * (1 + 1e-9)) continue;
      const isLabelled = labelled.includes(digit) && (digit > 1 || decade % everyDecades === 0);
      ticks.push({ value, label: isLabelled ? formatNumber(value, Math.max(0, -decade)) : "" });
    }
  }
  return { kind: "log", min, max, ticks };
}

/** The smallest of 1, 2, 5 times a power of ten that is not below `least`. */
function niceStep(least: number): number {
  return oneTwoFive(least, "up");
}

function oneTwoFive(value: number, direction: "up" | "down"): number {
  const power = Math.floor(Math.log10(value) + 1e-9);
  const base = 10 ** power;
  const digit = value / base;
  const steps = [1, 2, 5, 10];
  const found =
    direction === "up"
      ? steps.find((step) => step >= digit - 1e-9)
      : steps.findLast((step) => step <= digit + 1e-9);
  return roundTo((found ?? 1) * base, base);
}

/** Takes binary dust off a multiple of `step`: 0.30000000000000004 becomes 0.3. */
function roundTo(value: number, step: number): number {
  return Number(value.toFixed(Math.min(20, decimalsOf(step) + 1)));
}

function decimalsOf(step: number): number {
  return Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
}

/** With thousands separators and a real minus sign: 1234.5 becomes "1,234.5". */
export function formatNumber(value: number, maxDecimals: number): string {
  return value
    .toLocaleString("en-US", { maximumFractionDigits: Math.min(20, maxDecimals) })
    .replace("-", "\u2212");
}

/** Where a value lies between two pixels; `from` is the pixel of the axis' minimum. */
export function project(scale: Scale, from: number, to: number): (value: number) => number {
  if (scale.kind === "linear") {
    return (value) => from + ((value - scale.min) / (scale.max - scale.min)) * (to - from);
  }
  const low = Math.log(scale.min);
  const span = Math.log(scale.max) - low;
  return (value) => from + ((Math.log(Math.max(value, scale.min)) - low) / span) * (to - from);
}

/** Axes: their ranges, grid lines and the numbers on them. */
import type { Axis, Panel } from "./chart.ts";
import { ink } from "./palette.ts";
import { type Box, within } from "./placement.ts";
import { type Scale, scaleFor } from "./scale.ts";
import type { Sizes, Stroke } from "./shapes.ts";
import { type Measure, type Text, textAt } from "./text.ts";

/** Ranges that show all data of their side; thresholds are on the left axis. */
export function panelScales(panel: Panel, sizes: Sizes): { left: Scale; right: Scale | undefined } {
  const room = Math.max(2, Math.floor(sizes.panelHeight / 42));
  const scale = (axis: Axis, side: "left" | "right") => {
    const shown = panel.series.filter((series) => (series.axis ?? "left") === side);
    const values = shown.flatMap(({ points, spread = [] }) => [
      ...points.map(([, y]) => y),
      ...spread.flat(),
    ]);
    const limits = side === "left" ? (panel.limits ?? []).map((limit) => limit.value) : [];
    return scaleFor({ axis, values: values.concat(limits), room, fit: "zero-to-tick" });
  };
  return { left: scale(panel.left, "left"), right: panel.right && scale(panel.right, "right") };
}

/** Grid of the left and x axis; the zero or lowest line, on which the panel stands, is darker. */
export function grid(
  area: Box,
  y: Scale,
  yOf: (value: number) => number,
  x: Scale,
  xOf: (value: number) => number,
): Stroke[] {
  const across = y.ticks.map(({ value, label }): Stroke => {
    const at = yOf(value);
    return line([area.left, at], [area.right, at], label === "" ? ink.gridMinor : ink.grid);
  });
  const upright = x.ticks
    .filter((tick) => tick.label !== "")
    .map(({ value }) => line([xOf(value), area.top], [xOf(value), area.bottom], ink.grid));
  const floor = line([area.left, area.bottom], [area.right, area.bottom], ink.axis);
  return [...upright, ...across, floor];
}

function line(from: readonly [number, number], to: readonly [number, number], colour: string): Stroke {
  return { from, to, colour, width: 1 };
}

export function yTickTexts(
  scale: Scale,
  yOf: (value: number) => number,
  at: { readonly x: number; readonly align: "left" | "right" },
  sizes: Sizes,
  measure: Measure,
): Text[] {
  return scale.ticks
    .filter((tick) => tick.label !== "")
    .map((tick) =>
      textAt(measure, { text: tick.label, font: sizes.label, colour: ink.soft, y: yOf(tick.value), ...at }),
    );
}

/** Centred under their grid line; the last one is moved in where it would leave the picture. */
export function xTickTexts(
  scale: Scale,
  xOf: (value: number) => number,
  y: number,
  width: number,
  sizes: Sizes,
  measure: Measure,
): Text[] {
  const texts: Text[] = [];
  for (const tick of scale.ticks) {
    if (tick.label === "") continue;
    const half = measure(tick.label, sizes.label) / 2;
    const x = within(xOf(tick.value), half + 2, width - half - 2);
    const text = textAt(measure, {
      text: tick.label,
      font: sizes.label,
      colour: ink.soft,
      x,
      y,
      align: "center",
    });
    if (text.box.left > (texts.at(-1)?.box.right ?? Number.NEGATIVE_INFINITY) + 6) texts.push(text);
  }
  return texts;
}

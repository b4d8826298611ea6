/** Text as boxes of pixels: fonts, wrapping, shortening. Nothing here draws. */
import type { Box } from "./placement.ts";

export interface Font {
  readonly size: number;
  readonly bold?: boolean;
}

/** The family the package's font files are registered under; never the name of a font of the system. */
export const fontFamily = "Sluice Sans";

export function cssFont(font: Font): string {
  return `${font.bold ? "bold " : ""}${font.size}px "${fontFamily}"`;
}

/** Width in px of a text in a font. */
export type Measure = (text: string, font: Font) => number;

export interface Text {
  readonly text: string;
  readonly font: Font;
  readonly colour: string;
  /** The point it hangs from: its left end, centre or right end, at half its height. */
  readonly x: number;
  readonly y: number;
  readonly align: "left" | "center" | "right";
  /** What it covers. */
  readonly box: Box;
}

export function textAt(measure: Measure, text: Omit<Text, "box">): Text {
  const width = measure(text.text, text.font);
  const left = text.align === "left" ? text.x : text.align === "right" ? text.x - width : text.x - width / 2;
  const half = text.font.size * 0.6;
  return { ...text, box: { left, top: text.y - half, right: left + width, bottom: text.y + half } };
}

const spelled: Readonly<Record<string, string>> = {
  "≤": "<=",
  "≥": ">=",
  "≠": "!=",
  "≈": "~",
  "→": "->",
  "←": "<-",
  "∞": "infinity",
  Δ: "delta ",
  μ: "\u00b5",
};

/** The font files hold Latin characters only; what they lack is spelled out, or shown as "?". */
export function printable(text: string): string {
  return text
    .replace(/\s+/g, " ")
    .trim()
    .replace(
      /[^\u0020-\u007e\u00a0-\u00ff\u2010-\u2027\u20ac\u2122\u2191\u2193\u2212]/gu,
      (c) => spelled[c] ?? "?",
    );
}

/** Breaks a text into lines no wider than `width`; a word that is wider alone is shortened. */
export function wrap(text: string, width: number, font: Font, measure: Measure): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line === "" || measure(longer, font) <= width) {
      line = longer;
    } else {
      lines.push(line);
      line = word;
    }
  }
  lines.push(line);
  return lines.map((one) => shorten(one, width, font, measure));
}

/** Wraps into as few lines as `wrap` does, of lengths as equal as they can be: no last line of one word. */
export function wrapEvenly(text: string, width: number, font: Font, measure: Measure): string[] {
  const lines = wrap(text, width, font, measure);
  const widestWord = Math.max(...text.split(" ").map((word) => measure(word, font)));
  let [tooNarrow, wideEnough] = [Math.min(width, Math.max(width / 2, widestWord)), width];
  while (wideEnough - tooNarrow > 2) {
    const middle = (tooNarrow + wideEnough) / 2;
    if (wrap(text, middle, font, measure).length > lines.length) tooNarrow = middle;
    else wideEnough = middle;
  }
  return wrap(text, wideEnough, font, measure);
}

/** The text, or as much of it as fits followed by an ellipsis. */
export function shorten(text: string, width: number, font: Font, measure: Measure): string {
  if (measure(text, font) <= width) return text;
  let end = text.length - 1;
  while (end > 0 && measure(`${text.slice(0, end).trimEnd()}\u2026`, font) > width) end--;
  return `${text.slice(0, end).trimEnd()}\u2026`;
}

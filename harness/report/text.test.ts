import fc from "fast-check";
import { expect, test } from "vitest";
import { printable, shorten, wrap, wrapEvenly } from "./text.ts";

const font = { size: 12 };
const measure = (text: string) => text.length * 10;

test("no line is wider than asked, and no word is lost where words fit", () => {
  const words = fc.array(
    fc.string({ minLength: 1, maxLength: 9 }).map((word) => word.replace(/\s/g, "x")),
    { minLength: 1 },
  );
  fc.assert(
    fc.property(words, (all) => {
      for (const lines of [
        wrap(all.join(" "), 120, font, measure),
        wrapEvenly(all.join(" "), 120, font, measure),
      ]) {
        for (const line of lines) expect(measure(line)).toBeLessThanOrEqual(120);
        expect(lines.join(" ")).toBe(all.join(" "));
      }
    }),
  );
});

test("a title's lines are about equally long, so that none holds a single short word", () => {
  const lines = wrapEvenly("one two three four five six seven eight a", 400, font, measure);
  expect(lines).toEqual(["one two three four", "five six seven eight a"]);
});

test("what is too long ends in an ellipsis", () => {
  expect(shorten("abcdefghij", 60, font, measure)).toBe("abcde\u2026");
});

test("signs that the font lacks are spelled out, so that no box takes their place", () => {
  expect(printable("p99 \u2264 1 s \u2192 ok\n\u{1f600}")).toBe("p99 <= 1 s -> ok ?");
});

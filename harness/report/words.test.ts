import { expect, test } from "vitest";
import { counted, dateTime, listed, megabytes, quantity, seconds, threshold } from "./words.ts";

test("a number has the digits that say something, and separators", () => {
  expect([131_967, 1_950.44, 27.3134, 0.00123456, 0, -5.25].map(quantity)).toEqual([
    "131,967",
    "1,950.4",
    "27.31",
    "0.00123",
    "0",
    "\u22125.25",
  ]);
});

test("a threshold is written as people write it, and keeps its value", () => {
  expect(threshold("<= 1000")).toBe("\u2264 1,000");
  expect(threshold(">= 95")).toBe("\u2265 95");
  expect(threshold("= 0.00012")).toBe("= 0.00012");
  expect(threshold("between 1000.5 and 2000")).toBe("between 1,000.5 and 2,000");
});

test("times, sizes and lists read as in a sentence", () => {
  expect(seconds(21_012.4)).toBe("21.0 s");
  expect(seconds(-2_400)).toBe("\u22122.4 s");
  expect(megabytes(8_321_499_136)).toBe("8.3 GB");
  expect(dateTime(Date.UTC(2026, 2, 14, 9, 26, 53))).toBe("2026-03-14 09:26:53 UTC");
  expect(dateTime(Number.NaN)).toBe("at an unknown time");
  expect([counted(1, "fault"), counted(2_000, "fault")]).toEqual(["1 fault", "2,000 faults"]);
  expect(listed(["a", "b", "c"])).toBe("a, b and c");
});

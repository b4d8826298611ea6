import fc from "fast-check";
import { expect, test } from "vitest";
import { jsonArray } from "./json-array.ts";

test("the array holds each body as it was, in order", () => {
  fc.assert(
    fc.property(fc.array(fc.json()), (texts) => {
      const glued = jsonArray(texts.map((text) => Buffer.from(text)));
      expect(glued.toString()).toBe(`[${texts.join(",")}]`);
      expect(JSON.parse(glued.toString())).toEqual(texts.map((text) => JSON.parse(text)));
    }),
  );
});

test("no bodies are an empty array", () => {
  expect(jsonArray([]).toString()).toBe("[]");
});

import { expect, test } from "vitest";
import { columns, seenSchema } from "./observe.ts";

test("an edge that tells its clients to wait for ever has not told them when to come back", () => {
  const seen = columns({
    sentMs: Float64Array.of(1.234),
    answeredMs: Float64Array.of(Number.NaN),
    status: Uint16Array.of(429),
    retryAfterSeconds: Float64Array.of(Number("1e999")),
  });
  expect(seen.retryAfterSeconds).toEqual([null]);
  expect(seenSchema.shape.requests.parse(seen)).toEqual(seen);
});

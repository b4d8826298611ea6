import { expect, test } from "vitest";
import { type KafkaRecord, noHeaders, recordBytes } from "./record.ts";

const none = { topic: "payments", partition: 0, offset: 0, timestamp: 0, key: null, value: null };
const weight = (fields: Partial<KafkaRecord>) => recordBytes({ ...none, headers: noHeaders, ...fields });

test("a record weighs no less than all its bytes: value, key, and the names and values of its headers", () => {
  const bytes = Buffer.alloc(1_000);
  const name = "n".repeat(1_000);
  expect(weight({ value: bytes })).toBe(weight({}) + 1_000);
  expect(weight({ key: bytes })).toBe(weight({}) + 1_000);
  expect(weight({ headers: { [name]: bytes } })).toBeGreaterThanOrEqual(weight({}) + 2_000);
  expect(weight({ headers: { [name]: [bytes, bytes] } })).toBeGreaterThanOrEqual(weight({}) + 3_000);
  expect(weight({ headers: { empty: undefined } })).toBeGreaterThan(weight({}));
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { problemOf } from "./payment.ts";

const payment = {
  eventId: "3f2b8c1e-9a4d-4f6b-8e21-0c5d7a9b1e34",
  accountId: "acct-0001",
  amountCents: 4_000_000_000_000,
  occurredAt: "2026-01-05T08:00:00.123Z",
  sequence: 0,
  padding: 'it\'s "quoted" \\ with\ttabs,\nnewlines and 😀',
};
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

/** Any payment that the contract allows. */
const anyPayment = fc.record({
  eventId: fc.uuid(),
  accountId: fc.string({ minLength: 1, unit: "grapheme" }).filter((text) => !text.includes("\0")),
  amountCents: fc.maxSafeInteger(),
  occurredAt: fc
    .date({
      min: new Date("0001-01-01T00:00:00Z"),
      max: new Date("9999-12-31T23:59:59Z"),
      noInvalidDate: true,
    })
    .map((date) => date.toISOString()),
  sequence: fc.maxSafeNat(),
  padding: fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\0")),
});

describe("a well-formed payment", () => {
  test("passes, whatever its values are", () => {
    fc.assert(fc.property(anyPayment, (one) => problemOf(bytes(one)) === undefined));
  });

  test("passes with fields in another order, with unknown fields, and with space around it", () => {
    const reversed = Object.fromEntries(Object.entries({ ...payment, note: "new" }).reverse());
    expect(problemOf(bytes(reversed))).toBeUndefined();
    expect(problemOf(Buffer.from(` \n${JSON.stringify(payment)}\t`))).toBeUndefined();
  });

  test.each(["2026-01-05T08:00:00Z", "2024-02-29T23:59:59.999999+05:30", "2026-12-31T00:00:00-08:00"])(
    "may have occurred at %s",
    (occurredAt) => {
      expect(problemOf(bytes({ ...payment, occurredAt }))).toBeUndefined();
    },
  );
});

describe("a malformed message is refused with its reason", () => {
  test.each([
    ["no value", null, "the message has no value"],
    ["an empty value", Buffer.alloc(0), "the value is empty"],
    ["bytes that are no text", Buffer.alloc(1_000_000, 0xff), "the value is not UTF-8"],
    ["broken JSON", bytes(payment).subarray(0, 50), "the value is not JSON: "],
    [
      "a byte order mark",
      Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytes(payment)]),
      "the value is not JSON: ",
    ],
    ["a list", bytes([payment]), "the value is not an object"],
    ["null", bytes(null), "the value is not an object"],
    ["a text", bytes("payment"), "the value is not an object"],
  ])("%s", (_, value, reason) => {
    expect(problemOf(value)).toContain(reason);
  });

  test.each(Object.keys(payment))("%s missing", (field) => {
    const fields = Object.entries(payment).filter(([name]) => name !== field);
    expect(problemOf(bytes(Object.fromEntries(fields)))).toBe(`${field} is missing`);
  });

  test("any field of any other type", () => {
    const field = fc.constantFrom(...(Object.keys(payment) as (keyof typeof payment)[]));
    const other = fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.array(fc.nat()),
      fc.dictionary(fc.string(), fc.nat()),
    );
    fc.assert(
      fc.property(field, other, (name, value) => {
        expect(problemOf(bytes({ ...payment, [name]: value }))).toMatch(new RegExp(`^${name} must be `));
      }),
    );
  });

  test.each([
    ["amountCents", "4000"],
    ["amountCents", 0.5],
    ["amountCents", 2 ** 53],
    ["sequence", -1],
    ["sequence", 1.5],
    ["sequence", "first"],
    ["eventId", "3f2b8c1e-9a4d-4f6b-8e21-0c5d7a9b1e3"],
    ["eventId", "3f2b8c1e9a4d4f6b8e210c5d7a9b1e34"],
    ["eventId", " 3f2b8c1e-9a4d-4f6b-8e21-0c5d7a9b1e34"],
    ["accountId", ""],
    ["occurredAt", "yesterday"],
    ["occurredAt", "2026-01-05"],
    ["occurredAt", "2026-01-05T08:00:00"],
    ["occurredAt", "2026-01-05 08:00:00Z"],
    ["occurredAt", "2026-02-29T08:00:00Z"],
    ["occurredAt", "2026-13-01T08:00:00Z"],
    ["occurredAt", "2026-00-01T08:00:00Z"],
    ["occurredAt", "2026-04-31T08:00:00Z"],
    ["occurredAt", "2026-01-05T24:00:00Z"],
    ["occurredAt", "2026-01-05T08:60:00Z"],
    ["occurredAt", "0000-01-05T08:00:00Z"],
    ["occurredAt", 1_767_600_000_000],
  ])("%s = %j", (field, value) => {
    expect(problemOf(bytes({ ...payment, [field]: value }))).toMatch(
      new RegExp(`^${field} must be .+, and is `),
    );
  });

  test.each(["accountId", "padding"])("%s with a character that Postgres cannot store as text", (field) => {
    for (const text of ["a\0b", "\ud800", "tail \udc00"]) {
      expect(problemOf(bytes({ ...payment, [field]: text }))).toMatch(
        new RegExp(`^${field} has a NUL or half`),
      );
    }
    expect(problemOf(bytes({ ...payment, [field]: "a \\u0000 in plain letters" }))).toBeUndefined();
  });

  test("any bytes at all: an answer, never an exception", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (array) => {
        expect(problemOf(Buffer.from(array))).toBeTypeOf("string");
      }),
    );
    fc.assert(fc.property(fc.json(), (text) => typeof problemOf(Buffer.from(text)) === "string"));
  });

  test("a reason stays short, however long the value is", () => {
    expect(problemOf(bytes({ ...payment, eventId: "x".repeat(100_000) }))?.length).toBeLessThan(200);
  });
});

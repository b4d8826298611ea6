import fc from "fast-check";
import { expect, test } from "vitest";
import { givenId, storedId } from "./job-id.ts";

const anyId = fc.oneof(
  fc.string({ unit: "binary" }),
  // Halves of surrogate pairs too.
  fc.array(fc.nat(0xffff)).map((units) => String.fromCharCode(...units)),
  fc.integer().map(String),
  fc.string({ unit: fc.constantFrom(":", '"', "~", "\\", "0") }),
  fc.constantFrom("NaN", "", "wait", "meta", "0"),
);

test("any id comes back as it was given, and as it is stored it is one that BullMQ takes", () => {
  fc.assert(
    fc.property(anyId, (id) => {
      const stored = storedId(id);
      expect(givenId(stored)).toBe(id);
      expect(`${Number.parseInt(stored, 10)}`).not.toBe(stored);
      expect(stored).not.toContain(":");
      expect(stored).not.toBe("");
      // What Redis keeps is UTF-8.
      expect(Buffer.from(stored).toString()).toBe(stored);
      expect(storedId(stored)).toBe(stored === id ? id : `~${JSON.stringify(stored)}`);
    }),
  );
});

test("an id that needs no change has none", () => {
  for (const id of ["a-job", "0b6a6b1e-7c3f-4b52-9c1b-0d1f6b0d6a11", "topic/0/12", "waiting"])
    expect(storedId(id)).toBe(id);
});

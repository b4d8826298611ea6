import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { keyUuid } from "./key-uuid.ts";

const uuid = "0188a4c1-9b3e-7c2d-bf00-1234567890ab";

describe("the UUID of a key", () => {
  test("is the key itself when it is a UUID as Postgres prints it", () => {
    expect(keyUuid(uuid)).toBe(uuid);
    expect(keyUuid("00000000-0000-0000-0000-000000000000")).toBe("00000000-0000-0000-0000-000000000000");
  });

  test("is the head of the SHA-256 of any other string, marked as version 8", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (key) => {
        const digest = createHash("sha256").update(key).digest().subarray(0, 16);
        digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x80;
        digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
        expect(keyUuid(key).replaceAll("-", "")).toBe(digest.toString("hex"));
      }),
    );
  });

  test("differs between all ways to write one UUID, and no other string has the UUID of a hashed key", () => {
    const hashed = keyUuid("a");
    const keys = [
      uuid,
      uuid.toUpperCase(),
      uuid.replaceAll("-", ""),
      `{${uuid}}`,
      ` ${uuid}`,
      `${uuid}\n`,
      "a",
      hashed,
      keyUuid(hashed),
    ];
    expect(new Set(keys.map(keyUuid)).size).toBe(keys.length);
  });

  test("of a key with half a surrogate pair is an error", () => {
    expect(() => keyUuid("a\ud800")).toThrow(RangeError);
  });
});

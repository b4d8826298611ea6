import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
// biome-ignore lint/style/noRestrictedImports: a test on real servers borrows the harness's stack; the toolkit does not
import { sharedStack } from "../../harness/testing.ts";
import { byteaArray, uuidArray } from "./binary-array.ts";
import { type Database, openPostgres } from "./open.ts";

let db: Database;

beforeAll(async () => {
  db = openPostgres((await sharedStack()).direct.databaseUrl, { maxConnections: 1 });
});

afterAll(async () => {
  await db?.end();
});

async function elements(type: "bytea" | "uuid", array: Buffer): Promise<unknown[]> {
  const { rows } = await db.query<{ element: unknown }>(
    `SELECT element FROM unnest($1::${type}[]) WITH ORDINALITY AS list (element, place) ORDER BY place`,
    [array],
  );
  return rows.map(({ element }) => element);
}

describe("lists as columns", () => {
  test("Postgres reads the bytes that were given, and nulls", async () => {
    const value = fc.option(fc.uint8Array({ maxLength: 300 }));
    await fc.assert(
      fc.asyncProperty(fc.array(value), async (values) => {
        const bytes = values.map((one) => (one === null ? null : Buffer.from(one)));
        expect(await elements("bytea", byteaArray(values))).toEqual(bytes);
      }),
      { numRuns: 50 },
    );
  });

  test("Postgres reads the UUIDs that were given", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uuid()), async (values) => {
        expect(await elements("uuid", uuidArray(values))).toEqual(values);
      }),
      { numRuns: 50 },
    );
  });

  test("refuses what is too short or too long for a UUID", () => {
    const [short, long] = ["0".repeat(35), "0".repeat(37)];
    expect(() => uuidArray([short])).toThrow(RangeError);
    expect(() => uuidArray([short, long])).toThrow(RangeError);
  });
});

import { expect, test } from "vitest";
import { ensureSchema } from "../postgres/ensure-schema.ts";
import { inTransaction, openPostgres } from "../postgres/open.ts";
import { deadLetterSchema } from "./dead-letter-schema.ts";
import { bury } from "./dead-letters.ts";
import { letter, placeOfTest } from "./testing.ts";

const place = placeOfTest();

test("a start waits for nobody who reads or writes letters, when nothing is missing", async () => {
  const { db, databaseUrl } = place();
  const starting = openPostgres(databaseUrl, { statementTimeoutMs: 1_000 });
  await inTransaction(db, async (connection) => {
    await bury(connection, [letter(1, null)]);
    await connection.query("SELECT FROM dead_letter_audit");
    await ensureSchema(starting, deadLetterSchema, 0);
  });
  await starting.end();
});

test("a start makes what is missing", async () => {
  const { db } = place();
  const missing = async () => {
    const { rows } = await db.query(
      `SELECT to_regclass('dead_letters_origin') IS NULL AS index, attstorage FROM pg_attribute
       WHERE attrelid = 'dead_letters'::regclass AND attname = 'value'`,
    );
    return rows;
  };
  await db.query(
    "DROP INDEX dead_letters_origin; ALTER TABLE dead_letters ALTER COLUMN value SET STORAGE EXTENDED",
  );
  expect(await missing()).toEqual([{ index: true, attstorage: "x" }]);
  await ensureSchema(db, deadLetterSchema);
  expect(await missing()).toEqual([{ index: false, attstorage: "e" }]);
});

import { afterAll, beforeAll, expect, test } from "vitest";
// biome-ignore lint/style/noRestrictedImports: a test on real servers borrows the harness's stack; the toolkit does not
import { sharedStack } from "../../harness/testing.ts";
import { type Database, inTransaction, openPostgres } from "./open.ts";

let db: Database;

beforeAll(async () => {
  db = openPostgres((await sharedStack()).direct.databaseUrl);
});

afterAll(async () => {
  await db?.end();
});

test("a connection lost inside of a transaction, between two statements, fails the transaction and not the process", async () => {
  // Vitest fails the run for what is thrown outside of a test.
  const ended = inTransaction(db, async (connection) => {
    const { rows } = await connection.query("SELECT pg_backend_pid() AS pid");
    await db.query("SELECT pg_terminate_backend($1, 5000)", [rows[0].pid]);
    await connection.query("SELECT 1");
  });
  await expect(ended).rejects.toThrow();
  expect((await db.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
});

test("a transaction in which the error of a statement was swallowed is not taken for committed", async () => {
  const swallowing = inTransaction(db, async (connection) => {
    await connection.query("SELECT 1 / 0").catch(() => undefined);
  });
  await expect(swallowing).rejects.toThrow("nothing was committed");
});

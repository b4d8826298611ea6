import { setTimeout as delay } from "node:timers/promises";
import { type Database, inTransaction } from "./open.ts";
import { isTransient, sqlState } from "./transient.ts";

/**
 * Runs statements that may be run at every start (`CREATE ... IF NOT EXISTS`), in one transaction and under a lock of
 * the database: workers that start at the same time do it one after another, and none sees an error of a race
 * (`IF NOT EXISTS` alone has one). While the database does not answer it is tried again.
 *
 * Some statements lock a table even where nothing is missing (`CREATE INDEX IF NOT EXISTS`, `ALTER TABLE`): they wait for
 * the longest transaction that uses it, and whoever comes later waits behind them. Look in the catalog first.
 *
 * @param statements SQL without parameters, separated by semicolons
 * @param deadlineMs how long to try. Default 30,000 ms
 * @throws Error that says what was awaited and how long, with the last error as its cause; or, at once, the error of
 *   the database when the statements themselves fail
 */
export async function ensureSchema(db: Database, statements: string, deadlineMs = 30_000): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    try {
      return await inTransaction(db, async (connection) => {
        await connection.query("SELECT pg_advisory_xact_lock(hashtextextended('sluice: schema', 0))");
        await connection.query(statements);
      });
    } catch (error) {
      if (!isTransient(error) || isFinal(error)) throw error;
      if (performance.now() >= deadline) {
        throw new Error(`the database did not take the schema within ${deadlineMs} ms`, { cause: error });
      }
      await delay(100);
    }
  }
}

/** Wrong statement or right (SQLSTATE class 42), password (28) or database (3D): a person must act before a start. */
function isFinal(error: unknown): boolean {
  return ["42", "28", "3D"].includes(sqlState(error)?.slice(0, 2) ?? "");
}

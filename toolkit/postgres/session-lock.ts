import { setTimeout as delay } from "node:timers/promises";
import type { Database } from "./open.ts";

const againMs = 100;

/**
 * Runs `work` while this session holds the lock of that name, and gives what came of it; undefined, and nothing was
 * run, when another session holds it for `withinMs` (default 0: one look). No transaction is open meanwhile, so `work`
 * may wait for somebody else, and the lock goes with its process when that dies, as soon as the server has noticed. It
 * keeps a connection of the pool: `work` needs another one.
 */
export async function underSessionLock<Result>(
  db: Database,
  name: string,
  work: () => Promise<Result>,
  withinMs = 0,
): Promise<{ readonly result: Result } | undefined> {
  const connection = await db.connect();
  let broken: Error | undefined;
  const isTaken = async (): Promise<boolean> => {
    try {
      const { rows } = await connection.query<{ taken: boolean }>(
        "SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS taken",
        [name],
      );
      return rows[0]?.taken === true;
    } catch (error) {
      // A server that answers after all takes the lock then: it must not stay with a connection of the pool.
      broken = error instanceof Error ? error : new Error(String(error));
      throw error;
    }
  };
  const letGo = () => connection.query("SELECT pg_advisory_unlock(hashtextextended($1, 0))", [name]);
  try {
    const deadline = performance.now() + withinMs;
    while (!(await isTaken())) {
      if (performance.now() >= deadline) return undefined;
      await delay(againMs);
    }
    try {
      return { result: await work() };
    } finally {
      // The lock of a lost connection has gone with it; what was done under it is told all the same.
      await letGo().catch((cause: Error) => {
        broken = cause;
      });
    }
  } finally {
    connection.release(broken);
  }
}

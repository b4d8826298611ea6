/** Opens Postgres with the limits a worker needs. The only place, with its neighbours, that imports the client. */
import pg from "pg";
import { type Log, logToStderr } from "../worker/log.ts";

/** A pool of connections; `db.query(text, values)` takes one and gives it back. */
export type Database = pg.Pool;
/** What runs statements: the pool, or one of its connections inside a transaction. */
export type Queryable = Pick<pg.ClientBase, "query">;

export interface PostgresOptions {
  /** Connections at most. Default 4: two writers, the failed handler, and one to spare. */
  readonly maxConnections?: number;
  /** Longest wait for a connection, new or from the pool. Default 5,000 ms. */
  readonly connectTimeoutMs?: number;
  /**
   * Longest run of one statement, ended by the server. The client gives up 1,000 ms later, so that a network
   * that swallows everything is noticed as well. Default 10,000 ms.
   */
  readonly statementTimeoutMs?: number;
  /** Told of each lost idle connection, in one line. Default: stderr. */
  readonly log?: Log;
}

/**
 * A pool on `url` (`postgres://user:password@host:port/database`). Connects when first used, so it cannot fail;
 * call `end()` to close it. A connection that breaks is replaced by the next query, which may fail once:
 * `isTransient` tells.
 */
export function openPostgres(url: string, options: PostgresOptions = {}): Database {
  const statementTimeoutMs = options.statementTimeoutMs ?? 10_000;
  const log = options.log ?? logToStderr;
  const pool = new pg.Pool({
    connectionString: url,
    max: options.maxConnections ?? 4,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 5_000,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + 1_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    application_name: "sluice",
  });
  // Without a listener the loss of a connection that nobody uses would end the process.
  pool.on("error", (error) => log(`postgres: lost an idle connection: ${error.message}`));
  // One in use tells of its loss by the query under way, or by the next, and by an event that would end the process too.
  pool.on("connect", (client) => client.on("error", () => {}));
  return pool;
}

/**
 * Runs `work` in one transaction: commits when it returns, rolls back and rethrows when it throws.
 * Also when `work` caught the error of a statement and returned: Postgres has given the transaction up, and answers
 * its COMMIT with ROLLBACK. A connection whose fate is unknown is closed and not given back to the pool.
 */
export async function inTransaction<Result>(
  db: Database,
  work: (connection: Queryable) => Promise<Result>,
): Promise<Result> {
  const connection = await db.connect();
  let broken: Error | undefined;
  try {
    await connection.query("BEGIN");
    const result = await work(connection);
    const { command } = await connection.query("COMMIT");
    if (command !== "COMMIT")
      throw new Error("nothing was committed: a statement of the transaction had failed");
    return result;
  } catch (error) {
    await connection.query("ROLLBACK").catch((cause: Error) => {
      broken = cause;
    });
    throw error;
  } finally {
    connection.release(broken);
  }
}

/** Reads the worker's tables over a connection of the harness's own. */
import pg from "pg";
import type { LabTable } from "../lab.ts";
import type { Row } from "../record/tables.ts";

/** Pages read again at each look: rows of transactions that began earlier and ended later lie there. */
const lookBackPages = 16;
/** What a worker wrote may be of any length; of text that is longer than any expected, so many characters are read. */
const longestText = 100_000;
/** Text no key column contains; the separator of record/tables.ts. */
const separatorSql = "U&'\\001f'";

export interface SeenRow {
  readonly key: string;
  /** Epoch ms at which the row's transaction committed; null when the database does not keep it. */
  readonly committedEpochMs: number | null;
}

export interface TableReader {
  readonly table: LabTable;
  /** Rows that were added since the last call; some may be told twice, a few may be told only by `lookUp`. */
  tail(): Promise<SeenRow[]>;
  /** Which of these keys have a row now. Definite: what is not returned is in no row at this moment. */
  lookUp(keys: readonly string[]): Promise<SeenRow[]>;
  /** Every row, all columns as text; `committedMs` counts from `startedAt` (epoch ms). */
  readAll(startedAt: number): Promise<Row[]>;
}

/** A connection that answers in the forms the tables are described in. */
export async function connectProbe(databaseUrl: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: "sluice-probe" });
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query("SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET statement_timeout = 20000");
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

/** Whether commit times are kept (`track_commit_timestamp`). */
export async function keepsCommitTimes(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ track_commit_timestamp: string }>("SHOW track_commit_timestamp");
  return rows[0]?.track_commit_timestamp === "on";
}

/** How far the database's clock is ahead of ours: the best of five looks, error at most half a round trip. */
export async function databaseClockSkewMs(client: pg.Client): Promise<number> {
  let best = { roundTripMs: Number.POSITIVE_INFINITY, skewMs: 0 };
  for (let i = 0; i < 5; i += 1) {
    const before = Date.now();
    const { rows } = await client.query<{ at: number }>(
      "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS at",
    );
    const after = Date.now();
    if (after - before < best.roundTripMs) {
      best = { roundTripMs: after - before, skewMs: (rows[0]?.at ?? after) - (before + after) / 2 };
    }
  }
  // Within the resolution of our own clock there is no skew to speak of.
  return Math.abs(best.skewMs) <= best.roundTripMs + 2 ? 0 : Math.round(best.skewMs);
}

export function tableReader(client: pg.Client, table: LabTable, commitTimes: boolean): TableReader {
  const name = pg.escapeIdentifier(table.name);
  const committed = commitTimes
    ? "(extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000)::float8"
    : "NULL::float8";
  const key = `concat_ws(${separatorSql}, ${table.key.columns.map((column) => sqlOf(table, column)).join(", ")})`;
  let fromPage = 0;
  return {
    table,
    async tail() {
      const { rows } = await client.query<[page: string, key: string, at: number | null]>({
        text: `SELECT ctid::text, ${key}, ${committed} FROM ${name} WHERE ctid >= $1::tid`,
        values: [`(${fromPage},0)`],
        rowMode: "array",
      });
      let lastPage = fromPage;
      const seen = rows.map(([ctid, rowKey, at]) => {
        lastPage = Math.max(lastPage, Number.parseInt(ctid.slice(1), 10));
        return { key: rowKey, committedEpochMs: at };
      });
      fromPage = Math.max(fromPage, lastPage - lookBackPages);
      return seen;
    },
    async lookUp(keys) {
      const { rows } = await client.query<[key: string, at: number | null]>({
        text: `SELECT k, at FROM (SELECT ${key} AS k, ${committed} AS at FROM ${name}) AS keyed WHERE k = ANY($1::text[])`,
        values: [keys],
        rowMode: "array",
      });
      return rows.map(([rowKey, at]) => ({ key: rowKey, committedEpochMs: at }));
    },
    async readAll(startedAt) {
      const columns = table.columns.map(textOf).join(", ");
      const { rows } = await client.query<(string | null)[]>({
        text: `SELECT ${columns}, (${committed})::text FROM ${name}`,
        rowMode: "array",
      });
      return rows.map((values) => {
        const at = values[values.length - 1] ?? null;
        return {
          values: values.slice(0, -1),
          committedMs: at === null ? null : roundTo(Number(at) - startedAt),
        };
      });
    },
  };
}

function sqlOf(table: LabTable, column: string): string {
  const found = table.columns.find((one) => one.name === column);
  if (found === undefined) throw new RangeError(`table ${table.name} has no column ${column}`);
  return textOf(found);
}

const textOf = ({ sql }: LabTable["columns"][number]): string => `left((${sql})::text, ${longestText})`;

const roundTo = (value: number) => Math.round(value * 10) / 10;

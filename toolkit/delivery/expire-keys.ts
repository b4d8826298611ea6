/**
 * Idempotency keys do not live for ever. There is no index on their age, which would cost every key that is claimed:
 * the cleaner goes over the table like the hand of a clock, some blocks at a time, and begins again at its end. Its
 * place is kept in the table `idempotency_keys_sweep` (see `idempotencyKeysSchema`), so that it outlives the process.
 * Postgres reads a range of blocks without the others from version 14 on.
 */
import type { Queryable } from "../postgres/open.ts";

export interface ExpireOptions {
  /**
   * Keys older than this are forgotten. Longer than the topic's retention, or a replay of the topic does everything
   * again.
   */
  readonly olderThanMs: number;
  /** Keys deleted by one call at most, which bounds its locks. Default 1,000. */
  readonly limit?: number;
  /** Blocks of the table read by one call at most, of 8 KiB and some 80 keys each. Default 1,000. */
  readonly blocks?: number;
}

export interface Sweep {
  /** Keys deleted by this call. */
  readonly deleted: number;
  /**
   * `open`: there is more of the table to go over, so call again. `done`: the hand has reached the end, and the next
   * call begins at the first block. `held`: another cleaner has the hand, and this call did nothing.
   */
  readonly lap: "open" | "done" | "held";
}

/** With what it was asked in `$1` to `$3`: age in ms, keys, blocks. */
export const sweepStatement = `
  WITH hand AS (
    SELECT next_block FROM idempotency_keys_sweep FOR UPDATE SKIP LOCKED
  ), size AS MATERIALIZED (
    SELECT pg_relation_size('idempotency_keys') / current_setting('block_size')::bigint AS blocks
  ), part AS MATERIALIZED (
    -- The table may have become shorter than it was.
    SELECT start AS first_block, least(start + $3::bigint, blocks) AS end_block, start + $3::bigint >= blocks AS is_last
    FROM hand, size, LATERAL (SELECT CASE WHEN next_block < blocks THEN next_block ELSE 0 END) AS at (start)
  ), expired AS MATERIALIZED (
    -- The lower blocks first, so that the hand can stop between two of them.
    SELECT ctid AS place FROM idempotency_keys
    WHERE ctid >= (SELECT format('(%s,0)', first_block)::tid FROM part)
      AND ctid < (SELECT format('(%s,0)', end_block)::tid FROM part)
      AND created_at < statement_timestamp() - $1::float8 * interval '1 millisecond'
    ORDER BY ctid
    LIMIT $2::bigint
    FOR UPDATE SKIP LOCKED
  ), deleted AS (
    DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY (SELECT place FROM expired)) RETURNING 1
  ), stop AS MATERIALIZED (
    -- A tid has no function for its block; as text it is that of a point.
    SELECT count(*) >= $2::bigint AS is_full, (max(place)::text::point)[0]::bigint AS block FROM expired
  )
  UPDATE idempotency_keys_sweep
  SET next_block = CASE WHEN is_full THEN block WHEN is_last THEN 0 ELSE end_block END
  FROM part, stop
  RETURNING (SELECT count(*) FROM deleted)::int AS deleted,
    CASE WHEN is_last AND NOT is_full THEN 'done' ELSE 'open' END AS lap`;

/**
 * Goes over the next blocks of the table and deletes the expired keys there; when it has deleted as many as it may, it
 * stops, and the next call goes on in the same block. To clean up, once a minute or so:
 *
 * ```ts
 * while ((await deleteExpiredKeys(db, { olderThanMs })).lap === "open");
 * ```
 *
 * Guaranteed under READ COMMITTED: a key that was expired when a lap began is deleted when it is done, unless another
 * transaction held it when the hand was there; then it is left for the next lap. A lap goes from one `done` to the
 * next, whoever calls, so the first lap of a cleaner may have begun in the middle of the table. Cleaners wait neither
 * for each other nor for keys; one that fails leaves the hand where it was. The hand moves when the transaction
 * commits: a cleaner within a longer one holds it until then.
 *
 * Not guaranteed: an order by age. And a lap reads the whole table, whatever is expired of it. What rewrites the table
 * (VACUUM FULL, CLUSTER) moves keys, some of them past the hand: they wait for the next lap.
 *
 * @param client the pool, or a connection
 * @throws RangeError when `olderThanMs` is negative, or `limit` or `blocks` is no whole number of at least 1; Error when
 *   the hand's row is missing
 */
export async function deleteExpiredKeys(client: Queryable, options: ExpireOptions): Promise<Sweep> {
  const { olderThanMs, limit = 1_000, blocks = 1_000 } = options;
  if (!(olderThanMs >= 0)) throw new RangeError(`olderThanMs must be at least 0, and is ${olderThanMs}`);
  for (const [name, value] of Object.entries({ limit, blocks })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new RangeError(`${name} must be a whole number of at least 1, and is ${value}`);
    }
  }
  const { rows } = await client.query<Sweep>(sweepStatement, [olderThanMs, limit, blocks]);
  const [sweep] = rows;
  if (sweep !== undefined) return sweep;
  const hand = await client.query("SELECT FROM idempotency_keys_sweep");
  if (hand.rowCount === 0) throw new Error("idempotency_keys_sweep is empty: run idempotencyKeysSchema");
  return { deleted: 0, lap: "held" };
}

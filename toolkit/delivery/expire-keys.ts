/** Idempotency keys do not live for ever: see `idempotencyKeysSchema`. */
import type { Queryable } from "../postgres/open.ts";

export interface ExpireOptions {
  /**
   * Keys older than this are forgotten. Longer than the topic's retention, or a replay of the topic does everything
   * again.
   */
  readonly olderThanMs: number;
  /** Keys deleted by one call at most, which bounds its time and its locks. Default 1,000. */
  readonly limit?: number;
}

/**
 * Deletes the oldest expired keys, by the index on their age. Keys that another transaction holds are left for the
 * next call, so that several cleaners do not wait for each other.
 *
 * @returns how many were deleted; when it is `limit`, there may be more
 * @throws RangeError when `olderThanMs` is negative or `limit` is no whole number of at least 1
 */
export async function deleteExpiredKeys(client: Queryable, options: ExpireOptions): Promise<number> {
  const { olderThanMs, limit = 1_000 } = options;
  if (!(olderThanMs >= 0)) throw new RangeError(`olderThanMs must be at least 0, and is ${olderThanMs}`);
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new RangeError(`limit must be a whole number of at least 1, and is ${limit}`);
  }
  const { rowCount } = await client.query(
    `DELETE FROM idempotency_keys WHERE key = ANY (ARRAY (
       SELECT key FROM idempotency_keys
       WHERE created_at < clock_timestamp() - $1 * interval '1 millisecond'
       ORDER BY created_at
       LIMIT $2
       FOR UPDATE SKIP LOCKED))`,
    [olderThanMs, limit],
  );
  return rowCount ?? 0;
}

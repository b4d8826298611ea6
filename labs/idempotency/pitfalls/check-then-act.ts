/**
 * Mistake: looks whether a key is there, and inserts it if not. Key and effect are one transaction; the key is not
 * unique in the database.
 *
 * Why people make it: it reads like the requirement, and a transaction "makes it atomic". In every test with one worker
 * it is right.
 *
 * What it costs: under READ COMMITTED a transaction does not see what another has not yet committed. Two that look at
 * the same moment both find nothing, and both act. It takes two partitions, or two workers, and a few milliseconds.
 *
 * Fails `race-safe`.
 */
import { inTransaction } from "../../../toolkit/postgres/open.ts";
import { flag } from "../money.ts";
import { newAndConflicting } from "../pitfall-parts.ts";
import { parts, payOnce } from "../solution.ts";

await payOnce({
  ...parts,
  keys: `${parts.keys.replace("PRIMARY KEY", "NOT NULL")}
    CREATE INDEX IF NOT EXISTS idempotency_keys_key ON idempotency_keys (key);`,
  async store(db, calls) {
    await inTransaction(db, async (connection) => {
      const { rows } = await connection.query<{ key: string; payload_hash: Buffer }>(
        "SELECT key, payload_hash FROM idempotency_keys WHERE key = ANY($1)",
        [calls.map(({ key }) => key)],
      );
      const known = new Map(rows.map((row) => [row.key, row.payload_hash]));
      const { fresh, conflicts } = newAndConflicting(calls, known);
      await connection.query(
        "INSERT INTO idempotency_keys (key, payload_hash) SELECT * FROM unnest($1::uuid[], $2::bytea[])",
        [fresh.map(({ key }) => key), fresh.map(({ payloadHash }) => payloadHash)],
      );
      if (fresh.length > 0) await parts.spend(connection, fresh);
      await flag(connection, conflicts);
    });
  },
});

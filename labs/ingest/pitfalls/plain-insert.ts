/**
 * Mistake: a plain INSERT into a table without a key. One delivery, one row.
 *
 * Why people make it: in every test each message comes once. The offset is committed right after the write, so
 * "exactly once" seems to come by itself.
 *
 * What it costs: between the write and the commit there is a gap, and a worker that dies in it stores the batch
 * again when it comes back. Two rows for one payment, with nothing in any log.
 *
 * Fails `one-row-per-event`.
 */
import { jsonArray } from "../../../toolkit/postgres/json-array.ts";
import { ingest, parts } from "../solution.ts";

await ingest({
  ...parts,
  keys: `CREATE UNIQUE INDEX IF NOT EXISTS rejected_messages_key ON rejected_messages (topic, partition, "offset")`,
  async store(db, payments) {
    await db.query(
      `INSERT INTO payments (event_id, account_id, amount_cents, occurred_at, sequence, padding)
       SELECT "eventId", "accountId", "amountCents", "occurredAt", sequence, padding
       FROM json_to_recordset($1::json) AS payment (
         "eventId" uuid, "accountId" text, "amountCents" numeric, "occurredAt" timestamptz,
         sequence numeric, padding text)`,
      [jsonArray(payments.map((payment) => payment.value))],
    );
  },
});

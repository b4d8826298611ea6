/** The two places where an event ends, each with a key, so that storing it twice is storing it once. */
import type { JobState } from "../../toolkit/jobs/job-state.ts";
import type { JobError } from "../../toolkit/jobs/outcome.ts";
import type { Database } from "../../toolkit/postgres/open.ts";
import { storableText } from "../../toolkit/postgres/text.ts";

/** An event as it travels and waits: its id, and its message as text, byte by byte (a payment is JSON in UTF-8). */
export interface Payment {
  readonly eventId: string;
  readonly body: string;
}

export interface DeadPayment {
  readonly eventId: string;
  readonly value: Buffer;
  readonly error: JobError;
  readonly history: JobState<unknown>["history"];
}

export const keys = `
  CREATE UNIQUE INDEX IF NOT EXISTS payments_key ON payments (event_id);
  CREATE UNIQUE INDEX IF NOT EXISTS dead_letters_key ON dead_letters (event_id);`;

export async function storePayments(db: Database, payments: readonly Payment[]): Promise<void> {
  await db.query({
    name: "store payments",
    text: `
      INSERT INTO payments (event_id, account_id, amount_cents)
      SELECT "eventId", "accountId", "amountCents"
      FROM json_to_recordset($1::json) AS payment ("eventId" uuid, "accountId" text, "amountCents" bigint)
      ORDER BY "eventId"
      ON CONFLICT (event_id) DO NOTHING`,
    values: [`[${payments.map(({ body }) => body).join(",")}]`],
  });
}

export async function storeDeadLetters(db: Database, dead: readonly DeadPayment[]): Promise<void> {
  await db.query({
    name: "store dead letters",
    text: `
      INSERT INTO dead_letters (event_id, value, error_class, message, attempts)
      SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[], $4::text[], $5::jsonb[])
      ORDER BY 1
      ON CONFLICT (event_id) DO NOTHING`,
    values: [
      dead.map(({ eventId }) => eventId),
      dead.map(({ value }) => value),
      dead.map(({ error }) => error.errorClass),
      dead.map(({ error }) => storableText(error.message)),
      dead.map(({ history }) => JSON.stringify(history)),
    ],
  });
}

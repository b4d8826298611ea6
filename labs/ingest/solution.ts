/**
 * The ingest drill, solved: Kafka -> check -> batches -> Postgres, and offsets committed behind the write.
 *
 * A kill or a rebalance makes Kafka deliver again what was not committed, so everything is stored under a key, and
 * storing it twice is storing it once. A message that is no payment goes to `rejected_messages`, with its bytes and
 * the reason, and counts as done; when Postgres is away everything waits, and nothing more is pulled.
 */
import type { KafkaRecord } from "../../toolkit/kafka/record.ts";
import { kafkaSource } from "../../toolkit/kafka/source.ts";
import type { Message } from "../../toolkit/pipeline/message.ts";
import { startPipeline } from "../../toolkit/pipeline/pipeline.ts";
import { ensureSchema } from "../../toolkit/postgres/ensure-schema.ts";
import { jsonArray } from "../../toolkit/postgres/json-array.ts";
import { type Database, openPostgres } from "../../toolkit/postgres/open.ts";
import { storableText } from "../../toolkit/postgres/text.ts";
import { isTransient } from "../../toolkit/postgres/transient.ts";
import { workerEnv } from "../../toolkit/worker/env.ts";
import { loggedTelemetry } from "../../toolkit/worker/log.ts";
import { isMainProgram } from "../../toolkit/worker/main.ts";
import { problemOf } from "./payment.ts";

/** The bytes of a checked payment, which go to Postgres as they came. */
type Payment = Message<Buffer, KafkaRecord>;

/** What makes it a solution; each pitfall replaces one of these. */
export const parts = {
  /** Run at every start, by every worker. */
  keys: `
    CREATE UNIQUE INDEX IF NOT EXISTS payments_key ON payments (event_id);
    CREATE UNIQUE INDEX IF NOT EXISTS rejected_messages_key ON rejected_messages (topic, partition, "offset");`,

  /** One bad message is one failed message: it goes to `reject`, the others go on. */
  check(message: Message<Buffer | null, KafkaRecord>): Payment {
    const problem = problemOf(message.value);
    if (problem !== undefined) message.fail(problem);
    return message as Payment;
  },

  /** One statement a batch. Sorted by key, because two batches that share keys in another order would deadlock. */
  async store(db: Database, payments: readonly Payment[]): Promise<void> {
    await db.query({
      name: "store payments",
      text: `
        INSERT INTO payments (event_id, account_id, amount_cents, occurred_at, sequence, padding)
        SELECT "eventId", "accountId", "amountCents", "occurredAt", sequence, padding
        FROM json_to_recordset($1::json) AS payment (
          "eventId" uuid, "accountId" text, "amountCents" bigint, "occurredAt" timestamptz,
          sequence bigint, padding text)
        ORDER BY "eventId"
        ON CONFLICT (event_id) DO NOTHING`,
      values: [jsonArray(payments.map((payment) => payment.value))],
    });
  },

  /** The place of a message in Kafka is its key here, so that a message rejected twice has one row. */
  async reject(db: Database, messages: readonly Message<unknown, KafkaRecord>[]): Promise<void> {
    const records = messages.map((message) => message.origin);
    await db.query(
      `INSERT INTO rejected_messages (topic, partition, "offset", key, value, reason)
       SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bytea[], $5::bytea[], $6::text[])
       ORDER BY 1, 2, 3
       ON CONFLICT (topic, partition, "offset") DO NOTHING`,
      [
        records.map((record) => record.topic),
        records.map((record) => record.partition),
        records.map((record) => record.offset),
        records.map((record) => record.key),
        records.map((record) => record.value),
        messages.map((message) => storableText(message.failure?.reason ?? "unknown")),
      ],
    );
  },
};

const batchSize = 2_000;

export async function ingest({ keys, check, store, reject } = parts): Promise<void> {
  const env = workerEnv();
  const db = openPostgres(env.databaseUrl);
  await ensureSchema(db, keys);
  const telemetry = loggedTelemetry();
  const pipeline = startPipeline({
    source: kafkaSource({ ...env.kafka, telemetry }),
    telemetry,
    // Two batches that are written, and one that gathers: more would wait in memory and be no faster.
    maxInFlight: Math.min(env.maxInFlight, 3 * batchSize),
    processors: { maxDemand: 100 },
    process: check,
    batcher: { size: batchSize, concurrency: 2, retry: { isTransient } },
    write: (batch) => store(db, batch.messages),
    failed: (messages) => reject(db, messages),
  });
  await pipeline.untilSignal("SIGTERM");
  await db.end();
}

if (isMainProgram(import.meta.url)) await ingest();

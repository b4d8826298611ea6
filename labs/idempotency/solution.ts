/**
 * The idempotency drill, solved: every payment has one effect, however often, where and when it is delivered.
 *
 * Kafka delivers at least once, and producers send again. So each payment has a key, the event id; the key, the
 * effect on the ledger and the change of the account are one transaction, and the key is unique in the database. A
 * worker that dies in the middle leaves none of them; one that dies after the commit has left all, and what is
 * delivered again finds its key.
 */
import { idempotencyKeysSchema, onceEach } from "../../toolkit/delivery/once.ts";
import { payloadHash } from "../../toolkit/delivery/payload-hash.ts";
import type { KafkaRecord } from "../../toolkit/kafka/record.ts";
import { kafkaSource } from "../../toolkit/kafka/source.ts";
import { startPipeline } from "../../toolkit/pipeline/pipeline.ts";
import { ensureSchema } from "../../toolkit/postgres/ensure-schema.ts";
import { type Database, inTransaction, openPostgres, type Queryable } from "../../toolkit/postgres/open.ts";
import { isTransient } from "../../toolkit/postgres/transient.ts";
import { workerEnv } from "../../toolkit/worker/env.ts";
import { loggedTelemetry } from "../../toolkit/worker/log.ts";
import { isMainProgram } from "../../toolkit/worker/main.ts";
import { book, charge, decide, flag } from "./money.ts";
import { type Call, type Payment, parsePayment } from "./payment.ts";

/** What makes it a solution; each pitfall replaces one of these. */
export const parts = {
  /** Run at every start, by every worker. */
  keys: `
    ${idempotencyKeysSchema}
    CREATE UNIQUE INDEX IF NOT EXISTS accounts_key ON accounts (account_id);
    CREATE UNIQUE INDEX IF NOT EXISTS key_conflicts_key ON key_conflicts (topic, partition, "offset");`,

  /** Names the payment, not the message that brings it: a copy has another place in Kafka, and the same event id. */
  keyOf(payment: Payment, _record: KafkaRecord): string {
    return payment.eventId;
  },

  /** Keys, effects and conflicts of a batch, all or none of them. */
  async store(db: Database, calls: readonly Call[]): Promise<void> {
    await inTransaction(db, async (connection) => {
      const results = await onceEach(connection, calls, parts.spend);
      const conflicts = calls.filter((_, i) => results[i]?.kind === "conflict");
      await flag(connection, conflicts);
    });
  },

  /** The effect, for payments that are new. A duplicate needs no answer here, so there is no outcome to keep. */
  async spend(connection: Queryable, calls: readonly Call[]): Promise<undefined> {
    const decision = await decide(connection, calls);
    await book(connection, decision);
    await charge(connection, decision.accepted);
  },
};

const batchSize = 100;

export async function payOnce({ keys, keyOf, store } = parts): Promise<void> {
  const env = workerEnv();
  const db = openPostgres(env.databaseUrl);
  await ensureSchema(db, keys);
  const telemetry = loggedTelemetry();
  const pipeline = startPipeline({
    source: kafkaSource({ ...env.kafka, telemetry }),
    telemetry,
    maxInFlight: Math.min(env.maxInFlight, 3 * batchSize),
    process: (message) =>
      message.map((value, record): Call => {
        const payment = parsePayment(value);
        return { payment, record, key: keyOf(payment, record), payloadHash: payloadHash(value ?? "") };
      }),
    batcher: {
      size: batchSize,
      concurrency: 2,
      // In the order of their partition: the first use of a key must come first, so that the other is the conflict.
      partitionBy: ({ assignment }) => assignment.partition,
      retry: { isTransient },
    },
    write: (batch) => store(db, batch.values),
  });
  await pipeline.untilSignal("SIGTERM");
  await db.end();
}

if (isMainProgram(import.meta.url)) await payOnce();

/**
 * The other arm of the ingest benchmark: what one would write by hand. kafkajs `eachBatch`, one multi-row insert a
 * batch, then the commit. It takes every message for well-formed, keeps no order of acknowledgements, has no bound
 * but a batch, and does not survive what the worker survives; it is here for its speed.
 *
 * A worker of the same contract, started the same way.
 */
import { Kafka, logLevel } from "kafkajs";
import pg from "pg";

const { KAFKA_BROKERS = "", KAFKA_TOPIC = "", KAFKA_GROUP_ID = "", DATABASE_URL = "" } = process.env;

interface Payment {
  readonly eventId: string;
  readonly accountId: string;
  readonly amountCents: number;
  readonly occurredAt: string;
  readonly sequence: number;
  readonly padding: string;
}

const columns = 6;
/** The protocol counts the parameters of a statement in 16 bits. */
const mostRows = Math.floor(65_535 / columns);

const db = new pg.Pool({ connectionString: DATABASE_URL });
await db.query("CREATE UNIQUE INDEX IF NOT EXISTS payments_key ON payments (event_id)");
const kafka = new Kafka({ brokers: KAFKA_BROKERS.split(","), logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: KAFKA_GROUP_ID, maxWaitTimeInMs: 100 });
await consumer.connect();
await consumer.subscribe({ topic: KAFKA_TOPIC, fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachBatch: async ({ batch, heartbeat }) => {
    for (let first = 0; first < batch.messages.length; first += mostRows) {
      const values: (string | number)[] = [];
      for (const message of batch.messages.slice(first, first + mostRows)) {
        const payment = JSON.parse(String(message.value)) as Payment;
        values.push(payment.eventId, payment.accountId, payment.amountCents);
        values.push(payment.occurredAt, payment.sequence, payment.padding);
      }
      await db.query(statement(values.length / columns), values);
    }
    const { topic, partition } = batch;
    await consumer.commitOffsets([{ topic, partition, offset: String(Number(batch.lastOffset()) + 1) }]);
    await heartbeat();
  },
});

function statement(rows: number): string {
  const tuples = Array.from({ length: rows }, (_, row) => {
    const at = row * columns;
    return `($${at + 1},$${at + 2},$${at + 3},$${at + 4},$${at + 5},$${at + 6})`;
  });
  return `INSERT INTO payments (event_id, account_id, amount_cents, occurred_at, sequence, padding)
    VALUES ${tuples.join(",")} ON CONFLICT (event_id) DO NOTHING`;
}

process.once("SIGTERM", async () => {
  await consumer.disconnect();
  await db.end();
});

/**
 * The ingest drill, yours to solve. This worker starts, reads and writes, and fails the drill:
 *
 *     npx tsx labs/ingest/run.ts --profile quick --subject exercise
 *
 * Connections, session and shutdown are done. Below are five TODOs; each names the criteria it earns. Do one, run
 * again, and see which verdict changed and which did not. README.md has the steps and hints.
 */
import { type EachMessagePayload, Kafka, logLevel } from "kafkajs";
import { openPostgres } from "../../toolkit/postgres/open.ts";
import { workerEnv } from "../../toolkit/worker/env.ts";

const env = workerEnv();
const db = openPostgres(env.databaseUrl);
const kafka = new Kafka({
  brokers: [...env.kafka.brokers],
  clientId: env.workerId,
  logLevel: logLevel.ERROR,
});
const consumer = kafka.consumer({
  groupId: env.kafka.groupId,
  // A worker that was killed cannot say goodbye: its partitions move when its session has timed out.
  sessionTimeout: env.kafka.sessionTimeoutMs,
  heartbeatInterval: env.kafka.sessionTimeoutMs / 4,
  maxWaitTimeInMs: 100,
});

interface Payment {
  readonly eventId: string;
  readonly accountId: string;
  readonly amountCents: number;
  readonly occurredAt: string;
  readonly sequence: number;
  readonly padding: string;
}

// TODO 1: one-row-per-event
// A worker that dies after a write and before the commit gets the same messages again. Add a unique key at the start
// of every worker (schema.sql has none), such that a second start, or two at once, do no harm; then let `store` do
// nothing about a payment that is there already.
async function addKeys(): Promise<void> {}

// TODO 2: poison-contained
// JSON is not yet a payment: a field may be missing, an amount may be null, a string, or 12.5, a time may be
// "yesterday". Check every field, and say in one line what is wrong.
function parse(value: Buffer | null): Payment {
  return JSON.parse(value?.toString() ?? "");
}

// TODO 3: poison-contained, lossless
// What is no payment belongs in `rejected_messages`: topic, partition, offset, key and value as bytes, and the reason.
// It may come again as well. And: which of parse's and the database's errors mean that the message is bad?
async function handle({ topic, partition, message }: EachMessagePayload): Promise<void> {
  try {
    await store(parse(message.value));
  } catch (error) {
    console.error(`${topic} partition ${partition} offset ${message.offset}: ${error}`);
  }
}

async function store(payment: Payment): Promise<void> {
  await db.query(
    `INSERT INTO payments (event_id, account_id, amount_cents, occurred_at, sequence, padding)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [
      payment.eventId,
      payment.accountId,
      payment.amountCents,
      payment.occurredAt,
      payment.sequence,
      payment.padding,
    ],
  );
}

await addKeys();
await consumer.connect();
await consumer.subscribe({ topic: env.kafka.topic, fromBeginning: true });
await consumer.run({
  // TODO 4: lossless, commit-behind-write
  // The database goes away for a second or two. The error is caught above, so kafkajs takes the message for done and
  // commits it. Try the write again until it succeeds, with a growing wait, and call heartbeat() meanwhile, or the
  // group takes the partition away. Only then may the offset be committed.
  //
  // TODO 5: keeps-up, fresh
  // One INSERT a message, each awaited, is some hundreds of messages a second. Use eachBatch, and write many rows with
  // one statement. Then read TODO 3 again: one bad message must not take its batch with it.
  eachMessage: handle,
});

process.once("SIGTERM", async () => {
  await consumer.disconnect();
  await db.end();
});

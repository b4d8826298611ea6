/**
 * The dlq drill, yours to solve. This worker starts, calls the gateway and stores payments, and fails the drill:
 *
 *     npx tsx labs/dlq/run.ts --profile quick --subject exercise
 *
 * Connections, session and shutdown are done. Below are four TODOs, and a fifth in exercise.operator.ts; each names the
 * criteria it earns. Do one, run again, and see which verdict changed and which did not. README.md has the steps and
 * hints.
 */
import { type EachMessagePayload, Kafka, logLevel } from "kafkajs";
import { deadLetterSchema } from "../../toolkit/delivery/dead-letter-schema.ts";
import { ensureSchema } from "../../toolkit/postgres/ensure-schema.ts";
import { openPostgres } from "../../toolkit/postgres/open.ts";
import { workerEnv } from "../../toolkit/worker/env.ts";
import { openGateway } from "./gateway.ts";
import { isPoison, type Poison, readPayment } from "./payment.ts";

const env = workerEnv();
const db = openPostgres(env.databaseUrl);
// States, keys and the rules of the audit trail: read it, it is short.
await ensureSchema(db, deadLetterSchema);
const gateway = openGateway(env.gatewayUrl, env.concurrency);
const consumer = new Kafka({
  brokers: [...env.kafka.brokers],
  clientId: env.workerId,
  logLevel: logLevel.ERROR,
}).consumer({
  groupId: env.kafka.groupId,
  sessionTimeout: env.kafka.sessionTimeoutMs,
  heartbeatInterval: env.kafka.sessionTimeoutMs / 4,
  maxWaitTimeInMs: 100,
});

// TODO 1: forensics, each-poison-once
// The value is kept as text, the headers and the attempts are not kept at all. Keep bytes as bytes, headers as
// [name, base64], each attempt with its number, time and error; and let a redelivery find its letter already there.
// `bury` in toolkit/delivery/dead-letters.ts does all of it; write your own first.
async function buryLetter({ topic, partition, message }: EachMessagePayload, reason: Poison): Promise<void> {
  const failedAt = new Date();
  await db.query(
    `INSERT INTO dead_letters (topic, partition, "offset", key, value, class, message, worker,
       first_failed_at, last_failed_at, dedupe_key)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)`,
    [
      topic,
      partition,
      message.offset,
      message.key,
      Buffer.from(message.value?.toString() ?? ""),
      reason.class,
      reason.message,
      env.workerId,
      failedAt,
      `${topic}/${partition}/${message.offset}`,
    ],
  );
}

// TODO 2: lossless, no-head-of-line
// An event that the gateway does not want is forgotten here. It must be tried again, RETRY_MAX_ATTEMPTS times at most
// (env.retry), with a growing wait, unless it was refused (422); and then be buried, as "refused" or "exhausted".
// While it waits, the events behind it must not.
async function pay(payload: EachMessagePayload, eventId: string, body: Buffer): Promise<boolean> {
  const status = await gateway.pay(eventId, body);
  if (status !== 200) console.error(`the gateway answered ${status} at offset ${payload.message.offset}`);
  return status === 200;
}

// TODO 3: replay-once
// An operator sends a letter again: it comes as a new message, at a new place, with the headers dlq-letter, dlq-replay
// and dlq-dedupe-key. Store its effect under the letter's key, once; set the letter to `resolved` in the same
// transaction; and when it fails again, give it back to its letter (state `dead`) instead of burying a new one.
async function storePayment({ topic, partition, message }: EachMessagePayload, body: Buffer): Promise<void> {
  const { eventId, accountId, amountCents } = JSON.parse(body.toString());
  await db.query(
    "INSERT INTO payments (event_id, account_id, amount_cents, effect_key) VALUES ($1, $2, $3, $4)",
    [eventId, accountId, amountCents, `${topic}/${partition}/${message.offset}`],
  );
}

// TODO 4: alert
// At 16 letters in 2 s: POST to ALERT_URL (env.alertUrl), once, with id, status "firing", classes, examples and a
// runbook; below 8 again with status "resolved". Where must it be kept that it fired, so that a restart is silent?

async function handle(payload: EachMessagePayload): Promise<void> {
  const { value } = payload.message;
  const payment = readPayment(value);
  if (isPoison(payment)) return await buryLetter(payload, payment);
  const body = value ?? Buffer.alloc(0);
  if (await pay(payload, payment.eventId, body)) await storePayment(payload, body);
}

await consumer.connect();
await consumer.subscribe({ topic: env.kafka.topic, fromBeginning: true });
await consumer.run({ partitionsConsumedConcurrently: 4, eachMessage: handle });

process.once("SIGTERM", async () => {
  await consumer.disconnect();
  gateway.close();
  await db.end();
});

/**
 * The idempotency drill, yours to solve. This worker starts, reads and spends, and fails the drill:
 *
 *     npx tsx labs/idempotency/run.ts --profile quick --subject exercise
 *
 * Connections, session and shutdown are done. Below are five TODOs; each names the criteria it earns. Do one, run
 * again, and see which verdict changed and which did not. README.md has the steps and hints.
 */
import { type EachMessagePayload, Kafka, logLevel } from "kafkajs";
import { openPostgres } from "../../toolkit/postgres/open.ts";
import { workerEnv } from "../../toolkit/worker/env.ts";
import { parsePayment } from "./payment.ts";

const env = workerEnv();
const db = openPostgres(env.databaseUrl);
const kafka = new Kafka({
  brokers: [...env.kafka.brokers],
  clientId: env.workerId,
  logLevel: logLevel.ERROR,
  retry: { initialRetryTime: 50, retries: 10 },
});
const consumer = kafka.consumer({
  groupId: env.kafka.groupId,
  // A worker that was killed cannot say goodbye: its partitions move when its session has timed out.
  sessionTimeout: env.kafka.sessionTimeoutMs,
  heartbeatInterval: env.kafka.sessionTimeoutMs / 4,
  maxWaitTimeInMs: 100,
});

// TODO 1: one-effect-per-key
// Give every payment a key that names it, and not the message that brings it. Keep the keys in a table of your own,
// made here, such that two workers that start at once do no harm.
async function addKeys(): Promise<void> {}

async function handle({ message }: EachMessagePayload): Promise<void> {
  const { eventId, accountId, amountCents } = parsePayment(message.value);
  // TODO 2: race-safe
  // The same payment is on two partitions, and two workers read it in the same millisecond. Whoever asks "is the key
  // there?" before inserting it will hear "no" twice. Let the database decide: insert, and see whether it was you.
  //
  // TODO 3: crash-safe
  // SIGKILL may come between any two lines. Which of the statements belong in one transaction, so that what is
  // delivered again finds all of them or none?
  //
  // TODO 4: budget-respected
  // Somebody else may spend from the account between your look at it and your update. Lock it while you decide. A
  // payment without room belongs in `declined`, once; and the ledger and the account must agree in every snapshot.
  const { rows } = await db.query<{ room: string }>(
    "SELECT budget_cents - spent_cents AS room FROM accounts WHERE account_id = $1",
    [accountId],
  );
  if (Number(rows[0]?.room) < amountCents) {
    await db.query("INSERT INTO declined (event_id, account_id, amount_cents) VALUES ($1, $2, $3)", [
      eventId,
      accountId,
      amountCents,
    ]);
    return;
  }
  await db.query("INSERT INTO ledger (event_id, account_id, amount_cents) VALUES ($1, $2, $3)", [
    eventId,
    accountId,
    amountCents,
  ]);
  await db.query("UPDATE accounts SET spent_cents = spent_cents + $2 WHERE account_id = $1", [
    accountId,
    amountCents,
  ]);
}

// TODO 5: conflict-flagged
// The same event id with another amount is no duplicate: somebody uses a key for something else. It must not be spent,
// and not be swallowed either: it belongs in `key_conflicts`, with its place and bytes, once. What must you keep with
// a key to tell the two apart?

await addKeys();
await consumer.connect();
await consumer.subscribe({ topic: env.kafka.topic, fromBeginning: true });
await consumer.run({ eachMessage: handle });

process.once("SIGTERM", async () => {
  await consumer.disconnect();
  await db.end();
});

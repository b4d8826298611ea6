/**
 * The dlq drill, solved: Kafka -> check -> gateway -> Postgres, and what cannot succeed becomes a dead letter.
 *
 * Each message ends in one of two ways: as a payment, or as a letter with its bytes and all that is known of its
 * failure. Both are stored in one transaction, under a key: the message's place in Kafka, or, when an operator has
 * sent a letter again, the key of that letter. So a letter is never lost and never doubled, and has one effect at most.
 */
import { setTimeout as delay } from "node:timers/promises";
import { postTo, startAlertMonitor } from "../../toolkit/delivery/alert.ts";
import { deadLetterSchema } from "../../toolkit/delivery/dead-letter-schema.ts";
import {
  type Attempt,
  bury,
  type DeadLetter,
  effectKeyOf,
  replayOf,
  resolve,
} from "../../toolkit/delivery/dead-letters.ts";
import type { KafkaRecord } from "../../toolkit/kafka/record.ts";
import { kafkaSource } from "../../toolkit/kafka/source.ts";
import type { Message } from "../../toolkit/pipeline/message.ts";
import { startPipeline } from "../../toolkit/pipeline/pipeline.ts";
import { retryWaitMs } from "../../toolkit/pipeline/retry.ts";
import { ensureSchema } from "../../toolkit/postgres/ensure-schema.ts";
import { inTransaction, openPostgres, type Queryable } from "../../toolkit/postgres/open.ts";
import { isTransient } from "../../toolkit/postgres/transient.ts";
import { type RetryEnv, type WorkerEnv, workerEnv } from "../../toolkit/worker/env.ts";
import { loggedTelemetry, logToStderr, messageOf } from "../../toolkit/worker/log.ts";
import { isMainProgram } from "../../toolkit/worker/main.ts";
import { type Gateway, openGateway } from "./gateway.ts";
import { isPoison, type Payment, type Poison, poison, readPayment } from "./payment.ts";

type Incoming = Message<Buffer | null, KafkaRecord>;
/** What became of a message. */
type Outcome = { readonly payment: Payment } | { readonly letter: DeadLetter };
type Settled = Message<Outcome, KafkaRecord>;

/** What makes it a solution; each pitfall replaces one of these. */
export const parts = {
  /** Messages at work at once; as many may wait to be stored. One that waits for its next attempt holds one place. */
  places: (env: WorkerEnv): number => Math.max(1, Math.floor(env.maxInFlight / 2)),

  /** Tries until the gateway accepts or refuses, or the attempts are used up; they are noted as they fail. */
  async pay(gateway: Gateway, { eventId }: Payment, body: Buffer, retry: RetryEnv, failed: Attempt[]) {
    for (let attempt = 1; ; attempt += 1) {
      const status = await gateway.pay(eventId, body);
      if (status === 200) return undefined;
      const error = status === 0 ? "the gateway did not answer" : `the gateway answered ${status}`;
      failed.push({ attempt, at: new Date().toISOString(), error });
      if (status === 422) return poison("refused", error);
      if (attempt === retry.maxAttempts) return poison("exhausted", `${error}, ${attempt} times`);
      await delay(retryWaitMs(retry, attempt, Math.random));
    }
  },

  /** The same for every delivery of a message, and for every replay of a letter. */
  effectKey: (record: KafkaRecord): string => effectKeyOf(record),

  letter(record: KafkaRecord, reason: Poison, failed: readonly Attempt[], worker: string): DeadLetter {
    const attempts =
      failed.length > 0 ? failed : [{ attempt: 1, at: new Date().toISOString(), error: reason.message }];
    return { record, ...reason, attempts, worker };
  },

  bury: (db: Queryable, letters: readonly DeadLetter[]): Promise<void> => bury(db, letters),
};

/** This drill's bound: at 16 letters in 2 s somebody must look, below 8 it is over. */
const alert = { threshold: 16, windowMs: 2_000, runbook: "labs/dlq/README.md#runbook" };

export async function work({ places, pay, effectKey, letter, bury: buryAll } = parts): Promise<void> {
  const env = workerEnv();
  const { retry, workerId } = env;
  const db = openPostgres(env.databaseUrl);
  await ensureSchema(
    db,
    `CREATE UNIQUE INDEX IF NOT EXISTS payments_key ON payments (effect_key); ${deadLetterSchema}`,
  );
  const gateway = openGateway(env.gatewayUrl, env.concurrency);
  const telemetry = loggedTelemetry();

  async function settle(message: Incoming): Promise<Settled> {
    const failed: Attempt[] = [];
    const payment = readPayment(message.value);
    const dead = (reason: Poison): Settled =>
      message.map((_, record) => ({ letter: letter(record, reason, failed, workerId) }));
    if (isPoison(payment)) return dead(payment);
    const reason = await pay(gateway, payment, message.value ?? Buffer.alloc(0), retry, failed);
    return reason === undefined ? message.map(() => ({ payment })) : dead(reason);
  }

  /** Payments, letters, and the letters whose replay is now a payment: all or nothing. */
  async function store(messages: readonly Settled[]): Promise<void> {
    const paid = messages.filter(
      (one): one is Message<{ payment: Payment }, KafkaRecord> => "payment" in one.value,
    );
    const letters = messages.flatMap(({ value }) => ("letter" in value ? [value.letter] : []));
    await inTransaction(db, async (connection) => {
      await insertPayments(connection, paid, effectKey);
      await buryAll(connection, letters);
      await resolve(
        connection,
        paid.flatMap(({ origin }) => replayOf(origin) ?? []),
      );
    });
  }

  const pipeline = startPipeline({
    source: kafkaSource({ ...env.kafka, telemetry }),
    telemetry,
    maxInFlight: env.maxInFlight,
    processors: { concurrency: places(env), maxDemand: 1 },
    process: settle,
    batcher: { size: 100, retry: { isTransient } },
    write: (batch) => store(batch.messages),
    // What the database will not have as a payment is a letter as well.
    failed: (messages) =>
      buryAll(
        db,
        messages.map(({ origin, failure }) =>
          letter(origin, poison("invalid", failure?.reason ?? "unknown"), [], workerId),
        ),
      ),
  });
  const stopAlerts = startAlertMonitor({
    ...alert,
    db,
    post: postTo(env.alertUrl),
    onError: (error) => logToStderr(`alert: ${messageOf(error)}`),
  });
  await pipeline.untilSignal("SIGTERM");
  await stopAlerts();
  gateway.close();
  await db.end();
}

/** Sorted by key, because two batches that share keys in another order would deadlock. */
async function insertPayments(
  db: Queryable,
  paid: readonly Message<{ payment: Payment }, KafkaRecord>[],
  effectKey: typeof parts.effectKey,
): Promise<void> {
  if (paid.length === 0) return;
  await db.query(
    `INSERT INTO payments (event_id, account_id, amount_cents, effect_key)
     SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[]) AS paid (event_id, account_id, cents, key)
     ORDER BY key
     ON CONFLICT (effect_key) DO NOTHING`,
    [
      paid.map(({ value }) => value.payment.eventId),
      paid.map(({ value }) => value.payment.accountId),
      paid.map(({ value }) => value.payment.amountCents),
      paid.map(({ origin }) => effectKey(origin)),
    ],
  );
}

if (isMainProgram(import.meta.url)) await work();

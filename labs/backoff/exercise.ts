/**
 * The backoff drill, yours to solve. This worker starts, calls the gateway, tries again, and fails the drill:
 *
 *     npx tsx labs/backoff/run.ts --profile quick --subject exercise
 *
 * Connections, calls and shutdown are done. Below are five TODOs; each names the criteria it earns. Do one, run again,
 * and see which verdict changed and which did not. README.md has the steps and hints.
 */
import { type Job, Queue, Worker } from "bullmq";
import { Kafka, logLevel } from "kafkajs";
import type { Outcome } from "../../toolkit/jobs/outcome.ts";
import { ensureSchema } from "../../toolkit/postgres/ensure-schema.ts";
import { openPostgres } from "../../toolkit/postgres/open.ts";
import { openRedis } from "../../toolkit/redis/connect.ts";
import { workerEnv } from "../../toolkit/worker/env.ts";
import { openGateway } from "./gateway.ts";
import { keys, type Payment, storePayments } from "./store.ts";

const env = workerEnv();
const db = openPostgres(env.databaseUrl);
await ensureSchema(db, keys);
const gateway = openGateway(env.gatewayUrl);
const connection = openRedis(env.redisUrl, { whenAway: "wait" });
const prefix = env.redisPrefix.replace(/:$/, "");
const queue = new Queue<Payment>("payments", { connection, prefix });
queue.on("error", (error) => console.error(`queue: ${error.message}`));

// TODO 1: exponential, cadence, no-herd
// Always the same wait. `env.retry` has baseMs, factor, capMs and jitter: the wait after attempt n is
// min(cap, base x factor^(n - 1)), less a random share of up to the jitter.
function waitMs(_attempt: number): number {
  return env.retry.baseMs;
}

// TODO 2: durable, lossless
// A timer dies with its process, and by then the message is long committed. Put the payment into `queue` instead, with
// a `delay`, and with the event's id as `jobId`: a second delivery then finds the job that is there. Return when Redis
// has it, and not before. The worker below gets it when its time has come.
//
// TODO 3: attempts-bounded, outcome
// The count ends nowhere. After `env.retry.maxAttempts` attempts the payment belongs in `dead_letters`
// (`storeDeadLetters` in store.ts), with its bytes and the history of its attempts: keep one in the job's data.
async function putOff(payment: Payment, attempt: number): Promise<void> {
  setTimeout(() => void handle(payment, attempt + 1), waitMs(attempt));
}

async function handle(payment: Payment, attempt: number): Promise<void> {
  const outcome: Outcome = await gateway.pay(payment.eventId, payment.body);
  if (outcome.kind === "ok") {
    await storePayments(db, [payment]);
    return;
  }
  // TODO 4: attempts-bounded, outcome
  // `dead` is what the gateway will never accept (422). To ask again changes nothing: one attempt, one dead letter.
  await putOff(payment, attempt);
}

// TODO 5: durable, cadence
// Nothing is in the queue yet, so nothing comes here. When it does: BullMQ's `attempts` and `settings.backoffStrategy`
// can do the counting and the waiting. A job whose worker was killed comes again only after `lockDuration` and a
// `stalledInterval`, 30 s each unless you say otherwise; and after `maxStalledCount` deaths it counts as failed.
const worker = new Worker<Payment>("payments", (job: Job<Payment>) => handle(job.data, 1), {
  connection,
  prefix,
  concurrency: env.concurrency,
});
worker.on("error", (error) => console.error(`worker: ${error.message}`));

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
await consumer.connect();
await consumer.subscribe({ topic: env.kafka.topic, fromBeginning: true });
await consumer.run({
  partitionsConsumedConcurrently: 4,
  async eachMessage({ message }) {
    const body = message.value?.toString() ?? "";
    await handle({ eventId: JSON.parse(body).eventId, body }, 1);
  },
});

process.once("SIGTERM", async () => {
  await consumer.disconnect();
  await worker.close(true);
  await queue.close();
  process.exit();
});

/**
 * The backoff drill, solved: Kafka -> gateway -> Postgres, and what fails waits in Redis for its next attempt.
 *
 * The first attempt is made on the way from Kafka. An event that failed becomes a job: the job carries what came of
 * each attempt and the time before which the next must not begin, and Redis keeps it where the death of a process
 * cannot reach it. Only when Redis has it may its message leave Kafka. So a crash in between is a second delivery, and
 * never a loss; the job's id is the event's, so the second delivery finds the job and does not double it.
 */
import { type Backoff, capped, exponential, jittered } from "../../toolkit/jobs/backoff.ts";
import { decide, type Step } from "../../toolkit/jobs/decide.ts";
import { type JobState, newJob } from "../../toolkit/jobs/job-state.ts";
import type { JobError, Outcome } from "../../toolkit/jobs/outcome.ts";
import type { KafkaRecord } from "../../toolkit/kafka/record.ts";
import { kafkaSource } from "../../toolkit/kafka/source.ts";
import type { Message } from "../../toolkit/pipeline/message.ts";
import { startPipeline } from "../../toolkit/pipeline/pipeline.ts";
import { ensureSchema } from "../../toolkit/postgres/ensure-schema.ts";
import { groupCommit } from "../../toolkit/postgres/group-commit.ts";
import { openPostgres } from "../../toolkit/postgres/open.ts";
import { isTransient } from "../../toolkit/postgres/transient.ts";
import { type NewJob, openJobQueue } from "../../toolkit/redis/job-queue.ts";
import { startJobWorker } from "../../toolkit/redis/job-worker.ts";
import { type RetryEnv, workerEnv } from "../../toolkit/worker/env.ts";
import { loggedTelemetry } from "../../toolkit/worker/log.ts";
import { isMainProgram } from "../../toolkit/worker/main.ts";
import { openGateway } from "./gateway.ts";
import { type DeadPayment, keys, type Payment, storeDeadLetters, storePayments } from "./store.ts";

/** Makes an attempt at what a job carries, and says what becomes of it. */
type Attempt = (state: JobState<Payment>) => Promise<Step<Payment>>;
type Processed = { readonly payment: Payment; readonly step: Step<Payment> };

/** What makes it a solution; each pitfall replaces one of these. */
export const parts = {
  /** base x factor^(n - 1) up to the cap, less a random share: those that failed together come back apart. */
  backoff: ({ baseMs, factor, capMs, jitter }: RetryEnv): Backoff =>
    jittered(capped(exponential({ baseMs, factor }), capMs), jitter),

  /** The first attempt included. */
  maxAttempts: ({ maxAttempts }: RetryEnv): number => maxAttempts,

  /** On the way from Kafka: one attempt, and on. Whoever waits here keeps a place from a healthy event. */
  first: (attempt: Attempt, payment: Payment): Promise<Step<Payment>> => attempt(newJob(payment)),

  /** Resolves when Redis has the jobs, and never before: then their messages are acknowledged. */
  putOff: (add: (jobs: readonly NewJob<Payment>[]) => Promise<void>) => add,

  /** What stands between an attempt and the gateway: see arms/with-breaker.ts. */
  guard: (pay: (payment: Payment) => Promise<Outcome>) => pay,
};

export async function work({ backoff, maxAttempts, first, putOff, guard } = parts): Promise<void> {
  const env = workerEnv();
  // Places for calls are shared out beforehand, so that retries cannot take them from what comes for the first time.
  const retryPlaces = Math.max(1, Math.floor(env.concurrency / 2));
  const firstPlaces = Math.max(1, env.concurrency - retryPlaces);
  const db = openPostgres(env.databaseUrl);
  await ensureSchema(db, keys);
  const gateway = openGateway(env.gatewayUrl);
  const telemetry = loggedTelemetry();
  const policy = { maxAttempts: maxAttempts(env.retry), backoff: backoff(env.retry) };
  const pay = guard(({ eventId, body }) => gateway.pay(eventId, body));

  const place = { url: env.redisUrl, prefix: env.redisPrefix, name: "payments" };
  const queue = openJobQueue<Payment>(place);
  // A retry keeps its place until its payment is stored, and retries come in herds: they are stored together.
  const storePayment = groupCommit<Payment>((payments) => storePayments(db, payments));
  const storeDeadLetter = groupCommit<DeadPayment>((letters) => storeDeadLetters(db, letters));
  const worker = startJobWorker<Payment>({
    ...place,
    telemetry,
    policy,
    concurrency: retryPlaces,
    perform: (payment) => pay(payment),
    // Postgres away is no failure of the payment: what the gateway took is not asked again, and stored when it is back.
    keep: storePayment,
    isTransient,
    bury: ({ state, error }) => storeDeadLetter(deadPayment(state, error)),
  });

  const attempt: Attempt = async (state) => {
    const startedAt = Date.now();
    const outcome = await pay(state.data);
    return decide(state, outcome, policy, { startedAt, endedAt: Date.now() });
  };
  const add = putOff((jobs) => queue.add(jobs));

  const pipeline = startPipeline({
    source: kafkaSource({ ...env.kafka, telemetry }),
    telemetry,
    maxInFlight: env.maxInFlight,
    processors: { concurrency: firstPlaces, maxDemand: 1 },
    async process(message: Message<Buffer | null, KafkaRecord>): Promise<Message<Processed, KafkaRecord>> {
      const payment = paymentOf(message.value);
      const step = await first(attempt, payment);
      return message.map(() => ({ payment, step })).to(step.kind);
    },
    batchers: {
      done: {
        concurrency: 2,
        retry: { isTransient },
        write: ({ values }) =>
          storePayments(
            db,
            values.map(({ payment }) => payment),
          ),
      },
      // Redis away is no reason to give up: the batch keeps its place, nothing is acknowledged, and demand dries up.
      wait: {
        retry: { isTransient: () => true, capMs: 500 },
        write: ({ values }) =>
          add(
            values.flatMap(({ step }) =>
              step.kind === "wait" ? [{ id: step.state.data.eventId, state: step.state }] : [],
            ),
          ),
      },
      bury: {
        retry: { isTransient },
        write: ({ values }) =>
          storeDeadLetters(
            db,
            values.flatMap(({ step }) => (step.kind === "bury" ? [deadPayment(step.state, step.error)] : [])),
          ),
      },
    },
    failed: (messages) =>
      storeDeadLetters(
        db,
        messages.map(({ origin, failure }) => ({
          eventId: `${origin.topic}/${origin.partition}/${origin.offset}`,
          value: origin.value ?? Buffer.alloc(0),
          error: { errorClass: "malformed", message: failure?.reason ?? "unknown" },
          history: [],
        })),
      ),
  });
  // Retries and first attempts end together: the process has no time for one after the other.
  process.once("SIGTERM", () => void worker.stop());
  await pipeline.untilSignal("SIGTERM");
  await worker.stop();
  await queue.close();
  gateway.close();
  await db.end();
}

function deadPayment({ data, history }: JobState<Payment>, error: JobError): DeadPayment {
  return { eventId: data.eventId, value: Buffer.from(data.body), error, history };
}

function paymentOf(value: Buffer | null): Payment {
  const body = value?.toString() ?? "";
  const { eventId } = JSON.parse(body);
  if (typeof eventId !== "string") throw new TypeError("an event has an eventId");
  return { eventId, body };
}

if (isMainProgram(import.meta.url)) await work();

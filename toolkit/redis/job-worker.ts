/**
 * Works on a queue's jobs: the one place where outcomes become BullMQ's transitions.
 *
 * | step (jobs/decide.ts) | BullMQ |
 * |---|---|
 * | `done` | when what it brought about is kept, the processor returns: completed |
 * | `wait`, an attempt was used | it throws: delayed by the backoff strategy, and BullMQ counts the attempt |
 * | `wait`, none was used | moveToDelayed and DelayedError: delayed, nothing is counted |
 * | `bury` | when the dead letter is stored, UnrecoverableError: failed |
 *
 * A job's state is stored before it is moved. A process that dies between the two leaves a job that BullMQ hands to
 * another worker at once ("stalled"): the state says what came of the attempt and when the next one may begin, so it is
 * neither counted twice nor begun too early. A process that dies before that, in an attempt, leaves one that is made
 * again: at least once, as with everything that has an effect outside.
 */
import { DelayedError, type Job, UnrecoverableError, Worker, type WorkerOptions } from "bullmq";
import { type AttemptTimes, decide, type Step } from "../jobs/decide.ts";
import { type JobState, nextAttempt } from "../jobs/job-state.ts";
import { errorOfThrown, type JobError, type Outcome, outcomeOfThrown } from "../jobs/outcome.ts";
import type { RetryPolicy } from "../jobs/policy.ts";
import { silent, type Telemetry } from "../telemetry/telemetry.ts";
import { logToStderr, sparingly } from "../worker/log.ts";
import { openRedis } from "./connect.ts";
import { givenId } from "./job-id.ts";
import { bullPrefix, type QueuePlace } from "./job-queue.ts";

export interface JobContext {
  /** 1 for the first, wherever that was made. */
  readonly attempt: number;
  /** Aborted when the worker is stopped and its deadline has passed. */
  readonly signal: AbortSignal;
}

export interface DeadJob<Data> {
  readonly id: string;
  readonly state: JobState<Data>;
  readonly error: JobError;
}

export interface JobWorkerOptions<Data> extends QueuePlace {
  /** Jobs at once. Default 1. */
  readonly concurrency?: number;
  readonly policy: RetryPolicy;
  /** One attempt. What it throws counts as a retry, under the error's name as its class. May run twice: see above. */
  perform(data: Data, context: JobContext): Promise<Outcome>;
  /**
   * Keeps in a store of the worker's own what an attempt that was `ok` has brought about; must be idempotent. A store
   * that is away is no fault of the job: while this throws, it alone is called again and again. No attempt is used, and
   * none is made of what has succeeded.
   */
  keep?(data: Data): Promise<void>;
  /** Of what `keep` throws: false when it will never succeed, and the job is dead. Default: all is transient. */
  readonly isTransient?: (error: unknown) => boolean;
  /**
   * Stores a dead letter; must be idempotent. A job counts as dead when this has returned: while it throws, it is
   * called again and again, and the job is kept.
   */
  bury(job: DeadJob<Data>): Promise<void>;
  /**
   * How long a worker that says nothing keeps its jobs. After a kill they go to another one within this and
   * `lostAfterMs / 4`. Longer than the event loop ever stands still. Default 4,000 ms.
   */
  readonly lostAfterMs?: number;
  /** A job whose worker died this often in mid-attempt is dead ("crashed"): it may be what kills them. Default 10. */
  readonly maxCrashes?: number;
  readonly telemetry?: Telemetry;
  readonly random?: () => number;
}

export interface JobWorker {
  /**
   * Takes no more jobs and waits for those at work. After `deadlineMs` their signals are aborted and they are left
   * behind: another worker gets them as after a kill. Default 5,000 ms. Safe to call twice.
   */
  stop(deadlineMs?: number): Promise<void>;
}

/**
 * Jobs at once of one BullMQ worker. It fetches one job after the other, a round trip each, and works on none before it
 * has as many as it may: with 32, the first of a herd waited for 32 round trips. So several of them fetch side by side.
 */
const placesOfOne = 8;
/** Between two calls of `bury`, or of `keep`, for a job. */
const storeAgainMs = 500;
const keptDoneSeconds = 3_600;
const keptDeadSeconds = 24 * 3_600;

export function startJobWorker<Data>(options: JobWorkerOptions<Data>): JobWorker {
  const { url, name, prefix, policy, log = logToStderr, lostAfterMs = 4_000 } = options;
  const { telemetry = silent, random = Math.random, maxCrashes = 10 } = options;
  const { isTransient = () => true } = options;
  const say = sparingly(log);
  const attempted = telemetry.channel("job.attempted");
  const connection = openRedis(url, { whenAway: "wait", log });
  const aborted = new AbortController();

  async function attempt(state: JobState<Data>): Promise<Step<Data>> {
    const startedAt = Date.now();
    const number = nextAttempt(state);
    let outcome: Outcome;
    try {
      outcome = await options.perform(state.data, { attempt: number, signal: aborted.signal });
    } catch (thrown) {
      outcome = outcomeOfThrown(thrown);
    }
    const times: AttemptTimes = { startedAt, endedAt: Date.now() };
    if (attempted.active) {
      const durationMs = times.endedAt - startedAt;
      attempted.emit({ queue: name, attempt: number, outcome: outcome.kind, durationMs });
    }
    return decide(state, outcome, policy, times, random);
  }

  async function process(job: Job<JobState<Data>>, token: string | undefined): Promise<void> {
    const state = job.data;
    if (state.verdict !== undefined) return await end(job, state, state.verdict, token);
    if (state.succeeded) return await keep(job, state, token);
    // Its worker died between storing the state and moving the job.
    if (state.notBefore > Date.now()) return await putOff(job, state.notBefore, token);
    if (job.stalledCounter > maxCrashes) {
      const error = { errorClass: "crashed", message: `its worker died ${job.stalledCounter} times` };
      return await end(job, state, error, token);
    }
    const step = await attempt(state);
    if (step.kind === "done") return step.reason === undefined ? await keep(job, state, token) : undefined;
    await job.updateData(step.state);
    if (step.kind === "bury") return await end(job, step.state, step.error, token);
    if (!step.isAttempt) return await putOff(job, step.state.notBefore, token);
    const last = step.state.history.at(-1);
    throw new Error(`${last?.errorClass}: ${last?.message}`);
  }

  async function keep(
    job: Job<JobState<Data>>,
    state: JobState<Data>,
    token: string | undefined,
  ): Promise<void> {
    try {
      await options.keep?.(state.data);
    } catch (thrown) {
      const error = errorOfThrown(thrown);
      if (!isTransient(thrown)) {
        await job.updateData({ ...state, verdict: error });
        return await end(job, state, error, token);
      }
      say(`${name}: a success is not kept yet: ${error.message}`);
      if (!state.succeeded) await job.updateData({ ...state, succeeded: true });
      return await putOff(job, Date.now() + storeAgainMs, token);
    }
  }

  async function end(
    job: Job<JobState<Data>>,
    state: JobState<Data>,
    error: JobError,
    token: string | undefined,
  ): Promise<never> {
    try {
      await options.bury({ id: givenId(job.id ?? ""), state, error });
    } catch (thrown) {
      say(`${name}: a dead letter is not stored yet: ${thrown instanceof Error ? thrown.message : thrown}`);
      return await putOff(job, Date.now() + storeAgainMs, token);
    }
    throw new UnrecoverableError(`${error.errorClass}: ${error.message}`);
  }

  const places = options.concurrency ?? 1;
  const settings: WorkerOptions = {
    connection,
    prefix: bullPrefix(prefix),
    settings: {
      backoffStrategy: (_attempts, _type, _error, job) =>
        job === undefined ? 0 : Math.max(0, (job.data as JobState<Data>).notBefore - Date.now()),
    },
    lockDuration: lostAfterMs,
    stalledInterval: lostAfterMs / 4,
    // A killed worker is no fault of its jobs: how often is too often is decided above, with a dead letter.
    maxStalledCount: Number.MAX_SAFE_INTEGER,
    // Between two looks for a Redis that is away; the default is 15 s.
    runRetryDelay: 100,
    removeOnComplete: { age: keptDoneSeconds },
    removeOnFail: { age: keptDeadSeconds },
  };
  const workers = Array.from({ length: Math.ceil(places / placesOfOne) }, (_, i) => {
    const worker = new Worker<JobState<Data>>(name, process, {
      ...settings,
      concurrency: Math.min(placesOfOne, places - i * placesOfOne),
      // One look for jobs whose worker died is enough.
      skipStalledCheck: i > 0,
    });
    worker.on("error", (error) => say(`${name}: ${error.message}`));
    return worker;
  });

  let stopping: Promise<void> | undefined;
  return {
    stop(deadlineMs = 5_000) {
      stopping ??= (async () => {
        let timer: NodeJS.Timeout | undefined;
        const deadline = new Promise<void>((resolve) => {
          timer = setTimeout(() => {
            aborted.abort(new Error(`the worker stops, and its jobs did not end within ${deadlineMs} ms`));
            resolve();
          }, deadlineMs);
        });
        const closed = Promise.all(
          workers.map((worker) => worker.close().catch((error: Error) => say(`${name}: ${error.message}`))),
        );
        await Promise.race([closed, deadline]);
        clearTimeout(timer);
        connection.disconnect();
      })();
      return stopping;
    },
  };
}

/** Delays the job without counting an attempt. */
async function putOff(job: Job, untilEpochMs: number, token: string | undefined): Promise<never> {
  await job.moveToDelayed(untilEpochMs, token);
  throw new DelayedError();
}

/**
 * A pipeline pulls messages from a source, processes them, writes them in batches, and acknowledges them.
 *
 * ```ts
 * const pipeline = startPipeline({
 *   source: kafkaSource({ ...env.kafka }),
 *   maxInFlight: env.maxInFlight,
 *   processors: { concurrency: 4 },
 *   process: (message) => message.map(parsePayment),
 *   batcher: { size: 1_000, withinMs: 20, concurrency: 2 },
 *   write: (batch) => insertPayments(db, batch.values),
 *   failed: (messages) => insertRejected(db, messages),
 * });
 * await pipeline.untilSignal("SIGTERM");
 * ```
 *
 * What it promises:
 *
 * - **At least once.** A message is acknowledged when it was written, or when `failed` has stored it; never before,
 *   and never otherwise. What was begun and not finished comes again, so `write` and `failed` must be idempotent.
 * - **Demand.** Nothing is pulled that has no place to go. Pulled and not yet finished messages never exceed
 *   `maxInFlight`, however slow the work is.
 * - **One bad message is one failed message.** `process` that throws or rejects fails that message and nothing else.
 * - **Nothing is swallowed.** A bug in a source or a stage stops the pipeline, and `done` rejects with it.
 */
import type { RateLimit } from "../stage/rate-limiter.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import type { Clock } from "./clock.ts";
import { runPipeline } from "./lifecycle.ts";
import type { Message } from "./message.ts";
import { planOf } from "./options.ts";
import type { Source } from "./source.ts";

export interface PipelineOptions<In, Value, Origin> {
  /** For telemetry and errors. Default `"pipeline"`. */
  readonly name?: string;
  readonly source: Source<In, Origin>;
  /**
   * Messages pulled and not yet finished, over all stages and batchers. Minimum 1; default the smallest number
   * that keeps every processor and writer busy: processors x maxDemand + twice what the writers hold.
   */
  readonly maxInFlight?: number;
  readonly processors?: ProcessorOptions<In, Origin>;
  /**
   * Work on one message; the value is returned with `message.map`. It may be sent to a batcher by name
   * (`message.to`), kept in batches of its own key (`message.by`) or failed (`message.fail`). Synchronous or not:
   * only a promise is waited for, so a synchronous handler costs no turn of the event loop.
   * It must return the message it was given.
   */
  process(message: Message<In, Origin>): Message<Value, Origin> | Promise<Message<Value, Origin>>;
  /** The one batcher, with `write`; or several with names, in `batchers`. */
  readonly batcher?: BatcherOptions<Value, Origin>;
  /** Stores a batch; see `Write`. */
  readonly write?: Write<Value, Origin>;
  readonly batchers?: Readonly<Record<string, NamedBatcherOptions<Value, Origin>>>;
  /**
   * Stores failed messages (`message.failure` says why, `message.origin` is the record as pulled). When it throws
   * it is called again, with backoff, until it succeeds or the pipeline is stopped. An error that a batcher's
   * `isTransient` calls permanent halves them first, as with `write`: one that is refused alone is tried again beside
   * the others, and holds up the commits of its partition only. Without a handler the first failed message stops the
   * pipeline: there is no place to put it, and dropping it would lose it.
   */
  failed?(messages: readonly Message<unknown, Origin>[], context: WriteContext): void | Promise<void>;
  /** Messages pulled from the source in an interval; may be changed while running. Default: no limit. */
  readonly rateLimit?: RateLimit;
  /** How long `stop` waits for what is in flight. Default 8,000 ms. */
  readonly drainDeadlineMs?: number;
  readonly telemetry?: Telemetry;
  /** Timers and time; a test passes its own. */
  readonly clock?: Clock;
  /** Uniform in [0, 1), for the jitter of backoff. */
  readonly random?: () => number;
}

export interface ProcessorOptions<In, Origin> {
  /** Handlers at work at once. Minimum 1, default 1. Only asynchronous handlers gain by more than one. */
  readonly concurrency?: number;
  /**
   * Messages a processor may hold. Minimum 1, default 10. More makes very short handlers cheaper; 1 shares out long ones
   * best, because nothing waits behind a slow message while another processor is free.
   */
  readonly maxDemand?: number;
  /** A processor asks again when it holds no more than this. Default half of `maxDemand`. */
  readonly minDemand?: number;
  /**
   * Messages with equal results are processed one after the other, in the order they were pulled. Costs balance:
   * a slow key holds up those that share its processor. Default: each message goes to the first free processor.
   */
  partitionBy?(message: Message<In, Origin>): string | number;
}

export interface BatcherOptions<Value, Origin> {
  /** Most messages in a batch. Minimum 1, default 100. */
  readonly size?: number;
  /**
   * Longest wait of a batch that is not full, in ms. Default 0: a batch is written as soon as a writer is free and
   * no more messages are at hand; while all writers are busy it grows. Little delay when there is little to do,
   * large batches under load. With more than 0, a batch waits for more messages though a writer is free.
   */
  readonly withinMs?: number;
  /** Batches being written at once. Minimum 1, default 1. */
  readonly concurrency?: number;
  /**
   * Messages with equal results are written one batch after the other, in order, though `concurrency` is above 1.
   * Default: none; batches written at once may overtake one another.
   */
  partitionBy?(message: Message<Value, Origin>): string | number;
  readonly retry?: RetryOptions;
}

export interface NamedBatcherOptions<Value, Origin> extends BatcherOptions<Value, Origin> {
  readonly write: Write<Value, Origin>;
}

/**
 * Stores a batch and returns when it is safe. It may mark single messages failed (`message.fail`) and return: the
 * others count as written. If it throws, see `RetryOptions`.
 */
export type Write<Value, Origin> = (
  batch: Batch<Value, Origin>,
  context: WriteContext,
) => void | Promise<void>;

export interface Batch<Value, Origin = unknown> {
  readonly messages: readonly Message<Value, Origin>[];
  /** `messages.map((message) => message.value)`, made when first asked for. */
  readonly values: readonly Value[];
  /** Name of the batcher; `"default"` where there is one only. */
  readonly batcher: string;
  readonly key: string | undefined;
  /**
   * `size`: full. `time`: waited `withinMs`. `idle`: a writer was free. `drain`: the pipeline stops.
   * `split`: a part of a batch that failed for good.
   */
  readonly trigger: "size" | "time" | "idle" | "drain" | "split";
}

export interface WriteContext {
  /** 1 for the first try. */
  readonly attempt: number;
  /** Aborted when the drain deadline has passed and the result is of no more use. */
  readonly signal: AbortSignal;
}

/**
 * What happens when `write` throws.
 *
 * A **transient** error (the database is away) is tried again with backoff, by default for ever, until the pipeline
 * is stopped. The batch keeps its place in flight, so demand dries up and nothing piles up meanwhile.
 *
 * A **permanent** error (one row cannot be stored) halves the batch and writes both parts, and so on: the messages
 * that cannot be written alone go to `failed`, all others are stored. It costs about 2 log2(size) writes a bad
 * message.
 */
export interface RetryOptions {
  /**
   * Default: an error with `transient: false`, and a programmer's error (TypeError, RangeError, ReferenceError,
   * SyntaxError), is permanent; all others are transient, because to wait loses nothing. Pass the store's own
   * (Postgres: by SQLSTATE) to tell a bad row from a lost connection.
   */
  isTransient?(error: unknown): boolean;
  /**
   * Attempts on one batch before a transient error counts as final and its messages, unsplit, go to `failed`.
   * Default Infinity.
   */
  readonly maxAttempts?: number;
  /** First wait. Default 50 ms. */
  readonly baseMs?: number;
  /** Growth of the wait from one attempt to the next. Default 2. */
  readonly factor?: number;
  /** Longest wait. Default 2,000 ms. */
  readonly capMs?: number;
  /** Share of a wait that is drawn at random, 0 to 1. Default 0.2. */
  readonly jitter?: number;
}

/** A pipeline that runs. */
export interface Pipeline {
  /**
   * Resolves when the pipeline was stopped, or its source came to an end, and all is drained and closed. Rejects
   * with the error that stopped it, after the same drain. Nobody needs to listen to it if `untilSignal` is used.
   */
  readonly done: Promise<PipelineSummary>;
  /** Resolves when the source is open. Rejects as `done` does. */
  readonly ready: Promise<void>;
  /**
   * Stops pulling, finishes what is in flight, flushes the batchers, acknowledges, and closes the source. What is
   * not finished after `deadlineMs` is handed back: not acknowledged, so it comes again. Calling it again returns
   * the same promise, and can only bring the deadline forward.
   */
  stop(options?: { readonly deadlineMs?: number }): Promise<PipelineSummary>;
  /**
   * The end of a worker's main program. Waits for one of these signals (SIGINT always among them), then stops the
   * pipeline and returns the summary; a second signal hands back at once what is still in flight. If the source ends
   * it returns, if the pipeline fails it rejects: at the top of a program that is exit code 1 with the error printed.
   *
   * After a signal the process exits by itself when nothing is open any more, with exit code 0; if something is still
   * open 500 ms later (a database pool), it is ended with the same code. With the default deadlines that is at most
   * 9.5 s after the signal: 8 s of drain, 1 s to close the source, and these.
   */
  untilSignal(...signals: NodeJS.Signals[]): Promise<PipelineSummary>;
  /** Pulls nothing until `resume`. What is in flight goes on. */
  pause(): void;
  resume(): void;
  /** From now on; undefined lifts the limit. */
  setRateLimit(limit: RateLimit | undefined): void;
  /** Handlers at work at once. Fewer takes effect as handlers finish. */
  setProcessorConcurrency(concurrency: number): void;
  /** Batches written at once by a batcher (`"default"` where there is one). */
  setBatcherConcurrency(batcher: string, concurrency: number): void;
  stats(): PipelineStats;
}

export interface PipelineSummary {
  /** Messages over the pipeline's life. */
  readonly pulled: number;
  readonly written: number;
  /** Stored by `failed`. */
  readonly failed: number;
  /** Given up because their partition was revoked. */
  readonly revoked: number;
  /** In flight at the deadline and handed back. */
  readonly handedBack: number;
}

export interface PipelineStats extends PipelineSummary {
  /** Messages pulled and not yet finished. */
  readonly inFlight: number;
  /** Asked of the source and not yet delivered. */
  readonly sourceDemand: number;
  /** Delivered, and waiting for a processor. */
  readonly waiting: number;
  /** Held by processors. */
  readonly processing: number;
  /** Failed, and on their way to the failed handler. */
  readonly failing: number;
  /** By batcher: messages that gather, and messages being written (or waiting to be tried again). */
  readonly batchers: Readonly<Record<string, { readonly gathering: number; readonly writing: number }>>;
}

/**
 * Starts a pipeline. Options are checked first: a wrong one throws a TypeError that names its path, what was expected
 * and what it was, and for an unknown name the nearest known one.
 */
export function startPipeline<In, Value, Origin>(options: PipelineOptions<In, Value, Origin>): Pipeline {
  return runPipeline(planOf(options));
}

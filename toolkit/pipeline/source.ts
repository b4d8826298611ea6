/**
 * What a pipeline pulls from. An adapter implements `Source`; the pipeline gives it demand and a `SourceSink`,
 * and takes arrays of messages back.
 *
 * The order of calls is: `open` once; then `request` and `acknowledge` as often as wanted, `pause` and `resume`
 * between them; then `stop` once; more `acknowledge` for what was still in flight; then `close` once. If `open`
 * rejects, only `close` follows.
 *
 * All calls come from one event loop and none is re-entrant: `deliver` only takes messages in, and no method of
 * the source is called before it has returned.
 */
import type { Message } from "./message.ts";

export interface Source<Value, Origin = unknown> {
  /** For error messages and telemetry: `"kafka payments"`. */
  readonly name: string;

  /**
   * Connects. Messages may be delivered before it resolves, if they were asked for. A rejection stops the
   * pipeline with that error.
   */
  open(sink: SourceSink<Value, Origin>): Promise<void>;

  /**
   * Demand: `count` (at least 1) further messages may be delivered, now or whenever there are some. Demand adds
   * up and is never taken back, so what is not met at once is remembered by the source. Must not throw; may
   * deliver before it returns.
   *
   * The sum of all requests never runs more than the pipeline's `maxInFlight` ahead of the finished messages;
   * a source that never delivers more than it was asked for needs no other bound.
   */
  request(count: number): void;

  /**
   * These messages are finished: written, or (those with a `failure`) stored by the failed handler. They come
   * in any order, each at most once, never of a revoked assignment. The source decides what may be committed
   * (`offset-tracker.ts`) and when; it must not throw, and reports a commit that cannot succeed to `sink.fail`.
   */
  acknowledge(messages: readonly Message<unknown, Origin>[]): void;

  /** Deliver nothing until `resume`, though there is demand; stay connected and keep the session alive. */
  pause(): void;
  resume(): void;

  /**
   * Pull no more. After it resolved, nothing is delivered any more; what the source holds and has not delivered
   * is given up. Stay connected: acknowledgements follow. `pause` may be in force.
   */
  stop(): Promise<void>;

  /**
   * Commits all that can be committed and disconnects. What was delivered and never acknowledged is handed back
   * by this (Kafka: it lies above the committed offset; a queue would put it back). Safe before `open` resolved.
   */
  close(): Promise<void>;
}

/** The pipeline's side, as the source sees it. Calls after `close` are ignored. */
export interface SourceSink<Value, Origin = unknown> {
  /**
   * Hands over messages, in the order they are to be processed. The array is the pipeline's from then on: the
   * source must not touch it again. More than was asked for is an error of the source and stops the pipeline.
   */
  deliver(messages: Message<Value, Origin>[]): void;

  /**
   * Tells that assignments were revoked (their flag is already set), so that what waits of them is dropped
   * now and not when its turn comes. Work that has begun is finished, but not acknowledged.
   */
  revoked(): void;

  /** There will be no more messages: the pipeline finishes what is in flight and ends well. */
  end(): void;

  /** The source cannot go on. The pipeline drains and `pipeline.done` rejects with this error. */
  fail(error: unknown): void;
}

/**
 * What travels through a pipeline: one record of the source, its value as the worker's code has made it
 * so far, and where it goes next.
 *
 * There is one object a message for its whole life, changed in place: at millions of messages a second a copy
 * at each step is what a garbage collector spends its time on. `origin` never changes, so the record can always
 * be stored as it came.
 */

/**
 * One partition as this worker holds it, for one generation of its group. All messages pulled under it share
 * the object, so that a source can take a partition away from work in progress by setting one flag.
 */
export interface Assignment {
  readonly topic: string;
  readonly partition: number;
  /** Counts rebalances (Kafka: the generation of the group). 0 for a source without groups. */
  readonly generation: number;
  /**
   * Set by the source, once and for good, when the partition is no longer this worker's. What waits is then
   * dropped before `process` and before `write`, nothing of it is acknowledged, and its place in flight is freed.
   */
  revoked: boolean;
}

/** Why a message is not in the batch: the error, and how far the message had come. */
export interface Failure {
  /** What was thrown, or what `fail` was called with. */
  readonly error: unknown;
  /** One line, for a table or a log. */
  readonly reason: string;
  /** `process`: the handler threw, rejected or called `fail`. `write`: its batch could not be stored. */
  readonly stage: "process" | "write";
}

/**
 * A message. `Value` is what the worker's code works on; `Origin` is the record as the source pulled it.
 *
 * Invariant: `assignment`, `offset` and `origin` never change; a message once failed never succeeds.
 */
export class Message<Value = unknown, Origin = unknown> {
  readonly origin: Origin;
  readonly assignment: Assignment;
  /** Position in the partition, and what is acknowledged. Grows along the partition; gaps are allowed. */
  readonly offset: number;
  value: Value;
  /** Undefined while all is well. */
  failure: Failure | undefined;
  /** Name of the batcher the message goes to; `"default"` where there is one batcher only. */
  batcher: string;
  /** Messages of one batcher with different keys are never written in one batch. */
  batchKey: string | undefined;
  /** The engine's own: where the message goes next when that depends on its key. */
  lane: number;

  /** For sources and tests; workers receive messages and never make them. */
  constructor(value: Value, origin: Origin, assignment: Assignment, offset: number) {
    this.value = value;
    this.origin = origin;
    this.assignment = assignment;
    this.offset = offset;
    this.failure = undefined;
    this.batcher = "default";
    this.batchKey = undefined;
    this.lane = 0;
  }

  /**
   * Replaces the value, in place, and returns the message under its new type. If `change` throws, the value
   * stays as it was and the error goes to the caller; thrown out of `process` it fails this message only.
   */
  map<Next>(change: (value: Value, origin: Origin) => Next): Message<Next, Origin> {
    const message = this as unknown as Message<Next, Origin>;
    message.value = change(this.value, this.origin);
    return message;
  }

  /** Sends the message to a named batcher. An unknown name fails the message. */
  to(batcher: string): this {
    this.batcher = batcher;
    return this;
  }

  /** Keeps the message in batches of its own key. */
  by(batchKey: string): this {
    this.batchKey = batchKey;
    return this;
  }

  /**
   * Marks the message failed: it goes to the `failed` handler and to no batcher. The first failure stands.
   * @param error an Error, or one line that says why
   */
  fail(error: unknown, stage: Failure["stage"] = "process"): this {
    this.failure ??= { error, reason: reasonOf(error), stage };
    return this;
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Error) return error.message === "" ? error.name : error.message;
  return typeof error === "string" ? error : String(error);
}

/** A message whose types do not matter, as in the engine. */
export type AnyMessage = Message<unknown, unknown>;

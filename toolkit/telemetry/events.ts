/**
 * Every event of the toolkit, with its measurements (numbers with units in their names) and its metadata.
 * A name is `<what>.<what happened>`. Times are durations in milliseconds.
 */
export interface Events {
  // pipeline/
  "pipeline.started": { pipeline: string; maxInFlight: number };
  /** Draining began; `error` is set when it is because of one. */
  "pipeline.stopping": { pipeline: string; inFlight: number; error?: unknown };
  "pipeline.stopped": { pipeline: string; handedBack: number; durationMs: number; error?: unknown };
  /** Demand was given to the source. `inFlight` counts messages pulled and not yet finished. */
  "pipeline.demanded": { pipeline: string; count: number; sourceDemand: number; inFlight: number };
  "pipeline.pulled": { pipeline: string; messages: number; inFlight: number };
  /** Written, or stored by the failed handler, and given to the source's acknowledger. */
  "pipeline.acknowledged": { pipeline: string; messages: number; inFlight: number };
  /** `process` threw, rejected or called `fail`. */
  "message.failed": { pipeline: string; stage: "process" | "write"; reason: string; error: unknown };
  "messages.revoked": { pipeline: string; messages: number };
  "batch.written": {
    pipeline: string;
    batcher: string;
    messages: number;
    attempt: number;
    trigger: "size" | "time" | "idle" | "drain" | "split";
    durationMs: number;
  };
  /** `write` threw. `split` when the error is permanent and the batch has more than one message. */
  "batch.failed": {
    pipeline: string;
    batcher: string;
    messages: number;
    attempt: number;
    next: "retry" | "split" | "failed";
    waitMs: number;
    error: unknown;
  };
  /** The failed handler threw, and is called again after `waitMs`; at once, with one half and the other, where that is 0. */
  "failed-handler.failed": {
    pipeline: string;
    messages: number;
    attempt: number;
    waitMs: number;
    error: unknown;
  };

  // stage/
  /** A producer's buffer was full and events were discarded. */
  "stage.dropped": { stage: string; events: number; kept: "first" | "last" };
  /** A consumer asked a producer for `count` more events; `outstanding` are asked for and not yet handled. */
  "stage.asked": { stage: string; producer: string; count: number; outstanding: number };
  "stage.subscribed": { stage: string; producer: string };
  /** A consumer left; `requeued` events it had received and not begun with went back to the producer. */
  "stage.cancelled": { stage: string; producer: string; requeued: number };

  // kafka/
  /** The group gave this worker these partitions. */
  "kafka.assigned": { groupId: string; generation: number; partitions: number };
  "kafka.committed": { topic: string; partition: number; offset: number };
  "kafka.commit-failed": { groupId: string; generation: number; error: unknown };
  /** The client lost the broker or its place in the group, and starts again by itself. */
  "kafka.disrupted": { groupId: string; error: unknown };

  // jobs/
  /** One attempt at a job has ended; `attempt` 1 is the first. */
  "job.attempted": {
    queue: string;
    attempt: number;
    outcome: "ok" | "retry" | "snooze" | "cancel" | "dead";
    durationMs: number;
  };
  /** A circuit breaker changed. `failureShare` is that of its window. */
  "breaker.changed": { kind: string; to: "closed" | "open" | "half-open"; failureShare: number };

  // postgres/
  "postgres.failed": { sqlState: string | undefined; transient: boolean; error: unknown };
}

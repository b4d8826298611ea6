import { startEngine } from "./engine.ts";
import type { AnyMessage } from "./message.ts";
import { checkConcurrency, checkRateLimit, type Plan } from "./options.ts";
import type { Pipeline, PipelineSummary } from "./pipeline.ts";
import type { SourceSink } from "./source.ts";
import { untilSignal } from "./until-signal.ts";

/** How long the source has to close. Longer, and a worker told to stop would be killed instead. */
const CLOSE_DEADLINE_MS = 1_000;
/** After a bug in a stage what is in flight may never finish; what can is given this long. */
const CRASH_DEADLINE_MS = 1_000;

/**
 * The life of a pipeline: opening, running, draining, closing, and the one promise that tells how it ended.
 */
export function runPipeline(plan: Plan): Pipeline {
  const { source, clock, telemetry } = plan;
  const handBack = new AbortController();
  const engine = startEngine({
    plan,
    signal: handBack.signal,
    onFatal: (error) => fail(error, Math.min(CRASH_DEADLINE_MS, plan.drainDeadlineMs)),
  });
  let isOpen = false;
  /** The source came to its end while it was opening. */
  let hasEnded = false;
  /** The first error stands; boxed, because anything can be thrown. */
  let failure: { readonly error: unknown } | undefined;
  let stopping: { readonly startedAt: number; handBackAt: number } | undefined;

  const done = deferred<PipelineSummary>();
  const ready = deferred<void>();
  // Whoever ignores `ready` still has `done`, which rejects with the same error.
  ready.promise.catch(() => {});

  const sink: SourceSink<unknown, unknown> = {
    deliver: (messages: AnyMessage[]) => engine.source.deliver(messages),
    revoked: () => engine.dropRevoked(),
    end() {
      if (isOpen) begin(Number.POSITIVE_INFINITY);
      else hasEnded = true;
    },
    fail: (error) => fail(error, plan.drainDeadlineMs),
  };

  async function open(): Promise<void> {
    emit("pipeline.started", { pipeline: plan.name, maxInFlight: plan.maxInFlight });
    engine.source.start();
    try {
      await source.open(sink);
    } catch (error) {
      fail(error, 0);
      return;
    }
    isOpen = true;
    if (stopping !== undefined) return;
    ready.resolve();
    if (hasEnded) begin(Number.POSITIVE_INFINITY);
  }

  function fail(error: unknown, deadlineMs: number): void {
    failure ??= { error };
    begin(deadlineMs);
  }

  /** Begins to stop, or brings the deadline forward. */
  function begin(deadlineMs: number): void {
    const now = clock.now();
    const handBackAt = now + deadlineMs;
    if (stopping !== undefined) {
      stopping.handBackAt = Math.min(stopping.handBackAt, handBackAt);
      deadlineMoved();
      return;
    }
    stopping = { startedAt: now, handBackAt };
    const { inFlight } = engine.account;
    emit("pipeline.stopping", { pipeline: plan.name, inFlight, ...failure });
    engine.drain();
    void stopAndClose(stopping).then(
      (summary) => settle(summary),
      (error) => {
        failure ??= { error };
        settle(summaryOf());
      },
    );
  }

  async function stopAndClose(state: {
    readonly startedAt: number;
    handBackAt: number;
  }): Promise<PipelineSummary> {
    const deadline = waitForDeadline(state);
    const stopped = isOpen ? source.stop() : Promise.resolve();
    // An error of `stop` does not hinder the drain; it is reported when that is over.
    const drained = Promise.allSettled([stopped]).then(() => engine.whenEmpty());
    await Promise.race([drained, deadline.passed]);
    deadline.cancel();
    engine.close();
    handBack.abort(new Error("the drain deadline has passed: what is in flight is handed back"));
    await closeSource();
    await Promise.race([stopped, Promise.resolve()]);
    return summaryOf();
  }

  let deadlineMoved: () => void = () => {};

  /** Resolves when the hand-back is due; the time may be brought forward meanwhile. */
  function waitForDeadline(state: { handBackAt: number }): {
    readonly passed: Promise<void>;
    cancel(): void;
  } {
    const passed = deferred<void>();
    let timer = { cancel() {} };
    deadlineMoved = () => {
      timer.cancel();
      const leftMs = state.handBackAt - clock.now();
      if (leftMs <= 0) passed.resolve();
      else if (Number.isFinite(leftMs)) timer = clock.setTimer(passed.resolve, leftMs);
    };
    deadlineMoved();
    return { passed: passed.promise, cancel: () => timer.cancel() };
  }

  async function closeSource(): Promise<void> {
    const late = deferred<void>();
    const timer = clock.setTimer(late.resolve, CLOSE_DEADLINE_MS);
    try {
      await Promise.race([source.close(), late.promise]);
    } finally {
      timer.cancel();
    }
  }

  function settle(summary: PipelineSummary): void {
    const durationMs = clock.now() - (stopping?.startedAt ?? clock.now());
    emit("pipeline.stopped", { pipeline: plan.name, handedBack: summary.handedBack, durationMs, ...failure });
    if (failure === undefined) {
      ready.resolve();
      done.resolve(summary);
    } else {
      ready.reject(failure.error);
      done.reject(failure.error);
    }
  }

  function summaryOf(): PipelineSummary {
    const { pulled, written, failed, revoked, handedBack } = engine.stats();
    return { pulled, written, failed, revoked, handedBack };
  }

  function emit<Name extends "pipeline.started" | "pipeline.stopping" | "pipeline.stopped">(
    name: Name,
    event: Parameters<ReturnType<typeof telemetry.channel<Name>>["emit"]>[0],
  ): void {
    telemetry.channel(name).emit(event);
  }

  const pipeline: Pipeline = {
    done: done.promise,
    ready: ready.promise,
    stop(options = {}) {
      begin(options.deadlineMs ?? plan.drainDeadlineMs);
      return done.promise;
    },
    untilSignal: (...signals) => untilSignal(pipeline, signals),
    pause: () => engine.source.pause(),
    resume: () => engine.source.resume(),
    setRateLimit(limit) {
      checkRateLimit(limit);
      engine.source.setRateLimit(limit);
    },
    setProcessorConcurrency(concurrency) {
      checkConcurrency(concurrency, "setProcessorConcurrency");
      engine.setProcessorConcurrency(concurrency);
    },
    setBatcherConcurrency(batcher, concurrency) {
      checkConcurrency(concurrency, "setBatcherConcurrency");
      engine.setBatcherConcurrency(batcher, concurrency);
    },
    stats: () => engine.stats(),
  };
  void open();
  return pipeline;
}

interface Deferred<Value> {
  readonly promise: Promise<Value>;
  resolve(value: Value): void;
  reject(error: unknown): void;
}

function deferred<Value>(): Deferred<Value> {
  let resolve: (value: Value) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<Value>((resolved, rejected) => {
    resolve = resolved;
    reject = rejected;
  });
  return { promise, resolve, reject };
}

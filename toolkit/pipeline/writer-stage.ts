import { Inlet, isThenable } from "../stage/inlet.ts";
import type { Outlet } from "../stage/outlet.ts";
import type { Scheduler } from "../stage/scheduler.ts";
import type { Account } from "./account.ts";
import type { GatheredBatch } from "./batch.ts";
import type { AnyMessage } from "./message.ts";
import type { Plan, RetryPlan } from "./options.ts";
import type { Write, WriteContext } from "./pipeline.ts";
import { retryWaitMs } from "./retry.ts";

const noop = (): void => undefined;

/** What is written, and what becomes of it: the part in which writing batches and storing failures differ. */
export interface Sink {
  readonly write: Write<unknown, unknown>;
  readonly retry: RetryPlan;
  /** All of these were in a write that succeeded. */
  onWritten(batch: GatheredBatch, attempt: number, durationMs: number): void;
  /** After a write that threw: sends messages it has marked failed on their way, and returns the others. */
  partFailed(messages: readonly AnyMessage[]): readonly AnyMessage[];
  /**
   * There is no other place: what is refused alone is tried again all the same, beside what comes after it, so that it
   * holds up none but itself.
   */
  readonly isLastPlace: boolean;
  /** These cannot be written; never called of the last place. */
  onRefused(messages: readonly AnyMessage[], error: unknown): void;
  onError(
    batch: GatheredBatch,
    attempt: number,
    error: unknown,
    next: "retry" | "split" | "failed",
    waitMs: number,
  ): void;
}

export interface WriterOptions {
  readonly name: string;
  readonly plan: Plan;
  readonly scheduler: Scheduler;
  readonly account: Account;
  readonly batches: Outlet<GatheredBatch>;
  readonly sink: Sink;
  /** Aborted when the drain deadline has passed. */
  readonly signal: AbortSignal;
  /** A batch of so many messages is taken. */
  readonly onTaken: (messages: number) => void;
  /** So many messages more are being written, or (negative) fewer. */
  readonly onWriting: (messages: number) => void;
  readonly onCrash: (error: unknown) => void;
  readonly onRetired: () => void;
}

/**
 * Messages that a writer tries beside its batch. When the last place refuses more at once it is not their fault, and the
 * writer waits with them: thousands that each try for themselves would be a load of their own.
 */
const mostAside = 8;

/** One writer: one batch at a time, again and again until it is stored, refused or handed back. */
export class Writer {
  readonly #options: WriterOptions;
  readonly #inlet: Inlet<GatheredBatch>;
  readonly #firstTry: WriteContext;
  #isRetired = false;
  #aside = 0;
  /** Settles with the last call that had to wait for its turn. */
  #last: Promise<void> = Promise.resolve();
  /** Each ends a wait before the next attempt. */
  readonly #waits = new Set<() => void>();

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#firstTry = { attempt: 1, signal: options.signal };
    this.#inlet = new Inlet<GatheredBatch>({
      name: options.name,
      scheduler: options.scheduler,
      handle: ([batch]) => (batch === undefined ? undefined : this.#begin(batch)),
      onCrash: options.onCrash,
      onEnd: () => {},
      telemetry: options.plan.telemetry,
    });
  }

  start(): void {
    this.#inlet.subscribe(this.#options.batches, { maxDemand: 1, minDemand: 0 });
  }

  get isBusy(): boolean {
    return this.#inlet.isBusy;
  }

  /** Begins no more batches. */
  retire(): void {
    this.#isRetired = true;
    this.#inlet.close();
    if (!this.isBusy) this.#options.onRetired();
  }

  /** Partitions were revoked: a batch that waits to be tried again lets go of their messages. */
  recheck(): void {
    for (const stop of [...this.#waits]) stop();
  }

  /** The synchronous path: no promise where `write` returns none. */
  #begin(given: GatheredBatch): Promise<void> | undefined {
    const { plan, sink, onTaken, onWriting } = this.#options;
    const count = given.messages.length;
    onTaken(count);
    onWriting(count);
    const batch = this.#owned(given);
    if (batch !== undefined) {
      const startedAt = plan.clock.now();
      let error: unknown;
      let failed = false;
      try {
        const result: unknown = this.#write(batch, this.#firstTry);
        if (isThenable(result)) return this.#finish(batch, result, startedAt, count);
      } catch (thrown) {
        failed = true;
        error = thrown;
      }
      if (failed) return this.#finish(batch, Promise.reject(error), startedAt, count);
      sink.onWritten(batch, 1, plan.clock.now() - startedAt);
    }
    onWriting(-count);
    if (this.#isRetired) this.#options.onRetired();
    return undefined;
  }

  async #finish(
    batch: GatheredBatch,
    first: PromiseLike<unknown>,
    startedAt: number,
    count: number,
  ): Promise<void> {
    try {
      await this.#settle(batch, first, startedAt);
    } finally {
      this.#options.onWriting(-count);
      if (this.#isRetired) this.#options.onRetired();
    }
  }

  /** Sees a batch through: until it is written, refused, or of no more use. */
  async #settle(
    given: GatheredBatch,
    first: PromiseLike<unknown> | undefined,
    firstAt: number,
    isAside = false,
  ): Promise<void> {
    const { plan, sink, account, signal } = this.#options;
    let batch: GatheredBatch | undefined = given;
    let pending = first;
    let startedAt = firstAt;
    for (let attempt = 1; ; attempt++) {
      try {
        pending ??= Promise.resolve(this.#write(batch, { attempt, signal }));
        await pending;
      } catch (error) {
        if (account.isClosed) return;
        const isRefused = !sink.retry.isTransient(error);
        if (isRefused && batch.messages.length > 1) {
          sink.onError(batch, attempt, error, "split", 0);
          return this.#split(batch);
        }
        if (isRefused && sink.isLastPlace && !isAside && this.#aside < mostAside) {
          void this.#tryAside(batch, error);
          return;
        }
        if ((isRefused && !sink.isLastPlace) || attempt >= sink.retry.maxAttempts) {
          sink.onError(batch, attempt, error, "failed", 0);
          sink.onRefused(batch.messages, error);
          return;
        }
        const waitMs = retryWaitMs(sink.retry, attempt, plan.random);
        sink.onError(batch, attempt, error, "retry", waitMs);
        await this.#wait(waitMs);
        if (account.isClosed) return;
        batch = this.#remaining(batch);
        if (batch === undefined) return;
        pending = undefined;
        startedAt = plan.clock.now();
        continue;
      }
      sink.onWritten(batch, attempt, plan.clock.now() - startedAt);
      return;
    }
  }

  /** A writer's calls never overlap: while messages are tried aside, one waits for the other. */
  #write(batch: GatheredBatch, context: WriteContext): unknown {
    const { sink, account } = this.#options;
    if (this.#aside === 0) return sink.write(batch, context);
    const written = this.#last.then(() => {
      if (account.isClosed) throw new Error("the pipeline was stopped before its turn came");
      return sink.write(batch, context);
    });
    this.#last = written.then(noop, noop);
    return written;
  }

  async #tryAside(batch: GatheredBatch, error: unknown): Promise<void> {
    const { plan, onWriting, onCrash } = this.#options;
    const count = batch.messages.length;
    this.#aside++;
    onWriting(count);
    try {
      await this.#settle(batch, Promise.reject(error), plan.clock.now(), true);
    } catch (thrown) {
      onCrash(thrown);
    } finally {
      this.#aside--;
      onWriting(-count);
    }
  }

  /** Half by half, in order, so that what can be written is. */
  async #split(batch: GatheredBatch): Promise<void> {
    const middle = batch.messages.length >> 1;
    for (const half of [batch.messages.slice(0, middle), batch.messages.slice(middle)]) {
      if (this.#options.account.isClosed) return;
      const part = this.#remaining(batch.with(half, "split"));
      if (part !== undefined) await this.#settle(part, undefined, this.#options.plan.clock.now());
    }
  }

  /** Without messages whose partition is no longer ours; undefined when none is left. */
  #owned(batch: GatheredBatch): GatheredBatch | undefined {
    const owned = this.#options.account.keepOwned(batch.messages);
    if (owned.length === 0) return undefined;
    return owned === batch.messages ? batch : batch.with(owned);
  }

  /** For another attempt: also without those that the attempt before has marked failed. */
  #remaining(batch: GatheredBatch): GatheredBatch | undefined {
    const open = this.#options.sink.partFailed(batch.messages);
    if (open.length === 0) return undefined;
    return this.#owned(open === batch.messages ? batch : batch.with(open));
  }

  async #wait(delayMs: number): Promise<void> {
    const { signal, plan } = this.#options;
    if (signal.aborted) return;
    const waits = this.#waits;
    await new Promise<void>((resolve) => {
      const timer = plan.clock.setTimer(stop, delayMs);
      // Only while it waits: the signal outlives a writer, and would keep it.
      signal.addEventListener("abort", stop);
      waits.add(stop);
      function stop(): void {
        timer.cancel();
        signal.removeEventListener("abort", stop);
        waits.delete(stop);
        resolve();
      }
    });
  }
}

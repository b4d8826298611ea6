import type { DispatcherFactory } from "../stage/dispatcher.ts";
import { Fifo } from "../stage/fifo.ts";
import { Outlet } from "../stage/outlet.ts";
import { partitionNumber } from "../stage/partition-dispatcher.ts";
import { type RateLimit, RateLimiter } from "../stage/rate-limiter.ts";
import type { Scheduler, Task } from "../stage/scheduler.ts";
import type { Account } from "./account.ts";
import type { Timer } from "./clock.ts";
import type { AnyMessage } from "./message.ts";
import type { Plan } from "./options.ts";

export interface SourceStageOptions {
  readonly plan: Plan;
  readonly scheduler: Scheduler;
  readonly account: Account;
  readonly dispatcher: DispatcherFactory<AnyMessage>;
  /** The source broke its contract. */
  readonly onBreach: (error: Error) => void;
}

/**
 * The producer of a pipeline: turns the demand of its processors into demand on the source, as far as `maxInFlight`,
 * the rate limit and a pause allow, and hands on what the source delivers.
 *
 * Invariant: `sourceDemand` (asked for and not delivered) plus what is in flight never exceeds `maxInFlight`.
 */
export class SourceStage implements Task {
  scheduled = false;
  /** Asked of the source and not yet delivered. */
  sourceDemand = 0;
  readonly outlet: Outlet<AnyMessage>;
  readonly #plan: Plan;
  readonly #scheduler: Scheduler;
  readonly #account: Account;
  readonly #onBreach: (error: Error) => void;
  readonly #limiter: RateLimiter;
  readonly #demanded;
  /** Wanted by processors and not yet asked of the source. */
  #wanted = 0;
  readonly #delivered = new Fifo<AnyMessage[]>();
  #deliveredCount = 0;
  #isPulling = false;
  #isPaused = false;
  #timer: Timer | undefined;

  constructor(options: SourceStageOptions) {
    const { plan, scheduler, account } = options;
    this.#plan = plan;
    this.#scheduler = scheduler;
    this.#account = account;
    this.#onBreach = options.onBreach;
    this.#limiter = new RateLimiter(plan.clock, plan.rateLimit);
    this.#demanded = plan.telemetry.channel("pipeline.demanded");
    this.outlet = new Outlet<AnyMessage>({
      name: "source",
      dispatcher: options.dispatcher,
      onDemand: (count) => {
        this.#wanted += count;
        this.wake();
      },
      telemetry: plan.telemetry,
    });
  }

  /** Delivered, and waiting for a processor. */
  get waiting(): number {
    return this.#deliveredCount + this.outlet.waiting;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  start(): void {
    this.#isPulling = true;
    this.wake();
  }

  stop(): void {
    this.#isPulling = false;
    this.#timer?.cancel();
  }

  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#plan.source.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#plan.source.resume();
    this.wake();
  }

  setRateLimit(limit: RateLimit | undefined): void {
    this.#limiter.set(limit);
    this.#timer?.cancel();
    this.#timer = undefined;
    this.wake();
  }

  wake(): void {
    if (!this.scheduled) this.#scheduler.schedule(this);
  }

  deliver(messages: AnyMessage[]): void {
    const count = messages.length;
    if (this.#account.isClosed || count === 0) return;
    if (count > this.sourceDemand) {
      const { name } = this.#plan.source;
      this.#onBreach(
        new RangeError(
          `source "${name}" delivered ${count} messages when ${this.sourceDemand} were asked for`,
        ),
      );
      return;
    }
    this.sourceDemand -= count;
    if (this.#plan.processors.partitionBy !== undefined)
      assignLanes(messages, this.#plan.processors.partitionBy);
    this.#limiter.arrived(count);
    this.#account.came(count);
    this.#delivered.push(messages);
    this.#deliveredCount += count;
    this.wake();
  }

  run(): number {
    const handed = this.#deliveredCount;
    if (handed > 0) {
      this.#deliveredCount = 0;
      for (let left = this.#delivered.length; left > 0; left--)
        this.outlet.emit(this.#delivered.shift() ?? []);
    }
    this.#pull();
    return handed;
  }

  #pull(): void {
    if (!this.#isPulling || this.#isPaused || this.#wanted === 0) return;
    const room = this.#plan.maxInFlight - this.#account.inFlight - this.sourceDemand;
    let count = Math.min(this.#wanted, room);
    if (count <= 0) return;
    const allowance = this.#limiter.allowance(this.sourceDemand);
    if (allowance < count) {
      this.#wakeWithNextInterval();
      count = allowance;
      if (count === 0) return;
    }
    this.#wanted -= count;
    this.sourceDemand += count;
    if (this.#demanded.active) {
      const { sourceDemand } = this;
      const { inFlight } = this.#account;
      this.#demanded.emit({ pipeline: this.#plan.name, count, sourceDemand, inFlight });
    }
    this.#plan.source.request(count);
  }

  #wakeWithNextInterval(): void {
    this.#timer ??= this.#plan.clock.setTimer(() => {
      this.#timer = undefined;
      this.wake();
    }, this.#limiter.waitMs);
  }
}

function assignLanes(messages: readonly AnyMessage[], keyOf: (message: AnyMessage) => string | number): void {
  for (const message of messages) {
    try {
      message.lane = partitionNumber(keyOf(message));
    } catch (error) {
      message.fail(error);
    }
  }
}

import { demandDispatcher } from "../stage/demand-dispatcher.ts";
import { Inlet } from "../stage/inlet.ts";
import { Outlet } from "../stage/outlet.ts";
import type { Scheduler, Task } from "../stage/scheduler.ts";
import type { Account } from "./account.ts";
import { GatheredBatch, type Trigger } from "./batch.ts";
import type { Timer } from "./clock.ts";
import type { AnyMessage } from "./message.ts";
import type { Plan } from "./options.ts";

export interface BatcherStageOptions {
  readonly name: string;
  readonly size: number;
  readonly withinMs: number;
  readonly plan: Plan;
  readonly scheduler: Scheduler;
  readonly account: Account;
  /** All that is in flight is with batchers and writers, and nothing more can be pulled: to wait is senseless. */
  readonly canMoreCome: () => boolean;
  readonly onCrash: (error: unknown) => void;
}

/** A batch that is not full yet. */
interface Gathering {
  readonly key: string | undefined;
  readonly messages: AnyMessage[];
  /** When it is written though it is not full; minus infinity: as soon as a writer is free. */
  readonly dueAt: number;
}

/**
 * Gathers messages into batches by key, size and time, and hands them to writers.
 *
 * A full batch leaves at once, and waits for a writer if none is free. One that is not full leaves when it is due and a
 * writer is free, the oldest first; while all writers are busy it goes on growing, which is what makes batches large
 * under load. With `withinMs` 0 a batch is due from the start.
 *
 * Invariants: a batch in `#open` has at least one and fewer than `size` messages; the map's order is that of their
 * first messages, so the first is due first. `gathered` counts messages here and in batches no writer has begun.
 */
export class BatcherStage {
  readonly inlet: Inlet<AnyMessage>;
  readonly outlet: Outlet<GatheredBatch>;
  gathered = 0;
  readonly #options: BatcherStageOptions;
  readonly #open = new Map<string | undefined, Gathering>();
  /** The batch of the last message; most often the next message belongs to it too. */
  #last: Gathering | undefined;
  #isDraining = false;
  #isTurnOrdered = false;
  #timer: Timer | undefined;
  readonly #release: Task = { scheduled: false, run: () => this.#releaseDue() };

  constructor(options: BatcherStageOptions) {
    this.#options = options;
    const { name, scheduler, plan } = options;
    this.inlet = new Inlet<AnyMessage>({
      name: `batcher ${name}`,
      scheduler,
      handle: (messages) => this.accept(messages),
      onCrash: options.onCrash,
      onEnd: () => {},
      telemetry: plan.telemetry,
    });
    this.outlet = new Outlet<GatheredBatch>({
      name: `batcher ${name}`,
      dispatcher: demandDispatcher,
      onDemand: () => this.#considerRelease(),
      telemetry: plan.telemetry,
    });
  }

  /** Takes messages in, in order. */
  accept(messages: readonly AnyMessage[]): void {
    const { size } = this.#options;
    this.gathered += messages.length;
    for (const message of messages) {
      let gathering = this.#last;
      if (gathering === undefined || gathering.key !== message.batchKey)
        gathering = this.#gatheringOf(message.batchKey);
      gathering.messages.push(message);
      if (gathering.messages.length >= size) this.#send(gathering, "size");
    }
    if (this.#open.size > 0) this.#considerRelease();
  }

  /** From now on nothing waits for more to come. */
  drain(): void {
    this.#isDraining = true;
    this.#considerRelease();
  }

  /** Lets go of messages whose partition was revoked. */
  dropRevoked(): void {
    for (const gathering of [...this.#open.values()]) {
      const owned = this.#options.account.keepOwned(gathering.messages);
      if (owned.length === gathering.messages.length) continue;
      this.gathered -= gathering.messages.length - owned.length;
      const { messages } = gathering;
      messages.splice(0, messages.length, ...owned);
      if (messages.length === 0) this.#close(gathering);
    }
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #gatheringOf(key: string | undefined): Gathering {
    let gathering = this.#open.get(key);
    if (gathering === undefined) {
      const { withinMs, plan } = this.#options;
      const dueAt = withinMs === 0 ? Number.NEGATIVE_INFINITY : plan.clock.now() + withinMs;
      gathering = { key, messages: [], dueAt };
      this.#open.set(key, gathering);
      if (withinMs > 0 && this.#timer === undefined) this.#armTimer(withinMs);
    }
    this.#last = gathering;
    return gathering;
  }

  #send(gathering: Gathering, trigger: Trigger): void {
    this.#close(gathering);
    this.outlet.emit([new GatheredBatch(gathering.messages, this.#options.name, gathering.key, trigger)]);
  }

  #close(gathering: Gathering): void {
    this.#open.delete(gathering.key);
    if (this.#last === gathering) this.#last = undefined;
  }

  /**
   * Orders a look at what is due, when all that is at hand has been handed on. Where handlers are asynchronous, more
   * may be at hand before the event loop has gone round: then it is at the end of that round.
   */
  #considerRelease(): void {
    if (this.#open.size === 0 || this.outlet.room === 0) return;
    if (!this.#options.account.isAsync) {
      this.#options.scheduler.whenIdle(this.#release);
    } else if (!this.#isTurnOrdered) {
      this.#isTurnOrdered = true;
      setImmediate(() => {
        this.#isTurnOrdered = false;
        this.#options.scheduler.whenIdle(this.#release);
      });
    }
  }

  #releaseDue(): number {
    let released = 0;
    for (const gathering of this.#open.values()) {
      if (this.outlet.room === 0) break;
      const trigger = this.#triggerNow(gathering);
      if (trigger === undefined) break;
      released += gathering.messages.length;
      this.#send(gathering, trigger);
    }
    return released;
  }

  #triggerNow(gathering: Gathering): Trigger | undefined {
    if (this.#isDraining) return "drain";
    if (gathering.dueAt === Number.NEGATIVE_INFINITY) return "idle";
    if (gathering.dueAt <= this.#options.plan.clock.now()) return "time";
    return this.#options.canMoreCome() ? undefined : "idle";
  }

  /** One timer at a time, for the oldest batch; it is not moved when that batch leaves early. */
  #armTimer(delayMs: number): void {
    this.#timer = this.#options.plan.clock.setTimer(() => {
      this.#timer = undefined;
      const now = this.#options.plan.clock.now();
      for (const { dueAt } of this.#open.values()) {
        if (dueAt <= now) continue;
        this.#armTimer(dueAt - now);
        break;
      }
      this.#considerRelease();
    }, delayMs);
  }
}

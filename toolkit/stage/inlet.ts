import { silent, type Telemetry } from "../telemetry/telemetry.ts";
import type { PlaceOptions } from "./dispatcher.ts";
import { Fifo } from "./fifo.ts";
import type { Outlet } from "./outlet.ts";
import type { Scheduler, Task } from "./scheduler.ts";
import { type DemandOptions, Subscription } from "./subscription.ts";

export interface InletOptions<Event> {
  readonly name: string;
  readonly scheduler: Scheduler;
  /**
   * Works on a chunk, never on two at once: the next turn comes when a returned promise is settled, or, where it returns
   * `unfinished`, with `finish`. The array is the handler's. Throwing, or rejecting, is a crash of the stage.
   */
  handle(events: Event[], subscription: Subscription<Event>): unknown;
  /** Chunks wait while this is false; call `wake` when it may have changed. Default: always open. */
  isOpen?(): boolean;
  onCrash(error: unknown): void;
  /** The last permanent producer has ended, and all that came from it is handled. */
  onEnd(): void;
  readonly telemetry?: Telemetry | undefined;
}

/** What a handler returns that calls `Inlet.finish` later: as a promise, and without the cost of one. */
export const unfinished = Symbol("unfinished");

/**
 * The side of a stage where events come in: any number of subscriptions, one mailbox, one chunk at a time.
 *
 * Invariant: the chunks in `#mail` came from the subscriptions in `#senders`, in the same order; of the first chunk
 * `#begun` events are handled or in work. Of a handler that has not finished yet, `#sender` sent the `#count` events.
 */
export class Inlet<Event> implements Task {
  readonly name: string;
  scheduled = false;
  readonly #options: InletOptions<Event>;
  readonly #scheduler: Scheduler;
  readonly #telemetry: Telemetry;
  readonly #subscriptions = new Set<Subscription<Event>>();
  readonly #mail = new Fifo<Event[]>();
  readonly #senders = new Fifo<Subscription<Event>>();
  #begun = 0;
  #busy = false;
  #closed = false;
  #sender: Subscription<Event> | undefined;
  #count = 0;
  readonly #settled = () => this.finish();
  readonly #rejected = (error: unknown) => this.crash(error);

  constructor(options: InletOptions<Event>) {
    this.name = options.name;
    this.#options = options;
    this.#scheduler = options.scheduler;
    this.#telemetry = options.telemetry ?? silent;
  }

  /** Asks an outlet for events, from now on. Throws a RangeError for demand or a place that cannot be. */
  subscribe(outlet: Outlet<Event>, options: DemandOptions & PlaceOptions<Event> = {}): Subscription<Event> {
    const subscription = new Subscription(this, outlet, options, this.#telemetry.channel("stage.asked"));
    outlet.join(subscription, options);
    this.#subscriptions.add(subscription);
    const subscribed = this.#telemetry.channel("stage.subscribed");
    if (subscribed.active) subscribed.emit({ stage: this.name, producer: outlet.name });
    subscription.start();
    return subscription;
  }

  /** A handler is at work. */
  get isBusy(): boolean {
    return this.#busy;
  }

  deliver(subscription: Subscription<Event>, events: Event[]): void {
    this.#mail.push(events);
    this.#senders.push(subscription);
    if (!this.#busy) this.#scheduler.schedule(this);
  }

  /** Looks again whether there is something to do. */
  wake(): void {
    if (!this.#busy && this.#mail.length > 0) this.#scheduler.schedule(this);
  }

  run(): number {
    if (this.#busy || this.#closed || this.#mail.length === 0) return 0;
    if (this.#options.isOpen !== undefined && !this.#options.isOpen()) return 0;
    const subscription = this.#senders.peek() as Subscription<Event>;
    const events = this.#nextChunk(subscription.quantum);
    // The handler may change the array.
    const count = events.length;
    this.#busy = true;
    let result: unknown;
    try {
      result = this.#options.handle(events, subscription);
    } catch (error) {
      this.crash(error);
      return count;
    }
    if (result !== unfinished && !isThenable(result)) {
      this.#handled(subscription, count);
      return count;
    }
    this.#sender = subscription;
    this.#count = count;
    if (result !== unfinished) (result as PromiseLike<unknown>).then(this.#settled, this.#rejected);
    return count;
  }

  /** The chunk is done whose handler has returned `unfinished`. */
  finish(): void {
    const subscription = this.#sender;
    this.#sender = undefined;
    if (subscription !== undefined) this.#handled(subscription, this.#count);
  }

  /** The handler has thrown, or (after `unfinished`) would have. */
  crash(error: unknown): void {
    this.#busy = false;
    this.#sender = undefined;
    this.#options.onCrash(error);
  }

  /** Begins no more chunks, and leaves all outlets; what was not begun goes back to them. */
  close(): void {
    this.#closed = true;
    for (const subscription of [...this.#subscriptions]) subscription.cancel();
  }

  /** For a subscription that leaves: takes its chunks out of the mailbox. */
  release(subscription: Subscription<Event>): Event[] {
    this.#subscriptions.delete(subscription);
    const released: Event[] = [];
    for (let left = this.#mail.length; left > 0; left--) {
      const sender = this.#senders.shift() as Subscription<Event>;
      const chunk = this.#mail.shift() as Event[];
      const events = this.#begun === 0 ? chunk : chunk.slice(this.#begun);
      this.#begun = 0;
      if (sender === subscription) {
        for (const event of events) released.push(event);
      } else {
        this.#mail.push(events);
        this.#senders.push(sender);
      }
    }
    const cancelled = this.#telemetry.channel("stage.cancelled");
    if (cancelled.active) {
      cancelled.emit({ stage: this.name, producer: subscription.outlet.name, requeued: released.length });
    }
    return released;
  }

  /** The outlet of a subscription ended; nothing of it is left here, unless it crashed. */
  ended(subscription: Subscription<Event>, error: unknown): void {
    this.#subscriptions.delete(subscription);
    const mode = subscription.cancelMode;
    if (error !== undefined) {
      if (mode !== "temporary") this.#options.onCrash(error);
      return;
    }
    if (mode !== "permanent") return;
    for (const other of this.#subscriptions) if (other.cancelMode === "permanent") return;
    this.#options.onEnd();
  }

  #nextChunk(quantum: number): Event[] {
    const chunk = this.#mail.peek() as Event[];
    const begun = this.#begun;
    if (chunk.length - begun > quantum) {
      this.#begun += quantum;
      return chunk.slice(begun, begun + quantum);
    }
    this.#begun = 0;
    this.#mail.shift();
    this.#senders.shift();
    return begun === 0 ? chunk : chunk.slice(begun);
  }

  #handled(subscription: Subscription<Event>, count: number): void {
    this.#busy = false;
    subscription.handled(count);
    this.wake();
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
  );
}

import { silent, type Telemetry } from "../telemetry/telemetry.ts";
import type { PlaceOptions } from "./dispatcher.ts";
import type { Outlet } from "./outlet.ts";
import type { Scheduler, Task } from "./scheduler.ts";
import { type DemandOptions, Subscription } from "./subscription.ts";

export interface InletOptions<Event> {
  readonly name: string;
  readonly scheduler: Scheduler;
  /**
   * Works on a chunk, never on two at once: the next turn comes when a returned promise is settled. The array is the
   * handler's. Throwing, or rejecting, is a crash of the stage.
   */
  handle(events: Event[], subscription: Subscription<Event>): unknown;
  /** Chunks wait while this is false; call `wake` when it may have changed. Default: always open. */
  isOpen?(): boolean;
  onCrash(error: unknown): void;
  /** The last permanent producer has ended, and all that came from it is handled. */
  onEnd(): void;
  readonly telemetry?: Telemetry | undefined;
}

/**
 * The side of a stage where events come in: any number of subscriptions, one mailbox, one chunk at a time.
 *
 * Invariant: `#mail[i]` came from `#senders[i]`; chunks before `#next` are handled or in work, and so are the first
 * `#begun` events of `#mail[#next]`.
 */
export class Inlet<Event> implements Task {
  readonly name: string;
  scheduled = false;
  readonly #options: InletOptions<Event>;
  readonly #scheduler: Scheduler;
  readonly #telemetry: Telemetry;
  readonly #subscriptions = new Set<Subscription<Event>>();
  #mail: Event[][] = [];
  #senders: Subscription<Event>[] = [];
  #next = 0;
  #begun = 0;
  #busy = false;
  #closed = false;

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
    if (!this.#busy && this.#next < this.#mail.length) this.#scheduler.schedule(this);
  }

  run(): number {
    if (this.#busy || this.#closed || this.#next >= this.#mail.length) return 0;
    if (this.#options.isOpen !== undefined && !this.#options.isOpen()) return 0;
    const subscription = this.#senders[this.#next] as Subscription<Event>;
    const events = this.#nextChunk(subscription.quantum);
    // The handler may change the array.
    const count = events.length;
    let result: unknown;
    try {
      result = this.#options.handle(events, subscription);
    } catch (error) {
      this.#options.onCrash(error);
      return count;
    }
    if (isThenable(result)) this.#await(result, subscription, count);
    else this.#handled(subscription, count);
    return count;
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
    const mail: Event[][] = [];
    const senders: Subscription<Event>[] = [];
    for (let i = this.#next; i < this.#mail.length; i++) {
      const sender = this.#senders[i] as Subscription<Event>;
      let events = this.#mail[i] as Event[];
      if (i === this.#next && this.#begun > 0) events = events.slice(this.#begun);
      if (sender === subscription) {
        for (const event of events) released.push(event);
      } else {
        mail.push(events);
        senders.push(sender);
      }
    }
    this.#mail = mail;
    this.#senders = senders;
    this.#next = 0;
    this.#begun = 0;
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
    const chunk = this.#mail[this.#next] as Event[];
    const begun = this.#begun;
    if (chunk.length - begun > quantum) {
      this.#begun += quantum;
      return chunk.slice(begun, begun + quantum);
    }
    this.#begun = 0;
    this.#next++;
    if (this.#next === this.#mail.length) {
      this.#mail.length = 0;
      this.#senders.length = 0;
      this.#next = 0;
    } else if (this.#next >= 64 && this.#next * 2 >= this.#mail.length) {
      this.#mail.splice(0, this.#next);
      this.#senders.splice(0, this.#next);
      this.#next = 0;
    }
    return begun === 0 ? chunk : chunk.slice(begun);
  }

  #await(result: PromiseLike<unknown>, subscription: Subscription<Event>, count: number): void {
    this.#busy = true;
    result.then(
      () => {
        this.#busy = false;
        this.#handled(subscription, count);
      },
      (error) => {
        this.#busy = false;
        this.#options.onCrash(error);
      },
    );
  }

  #handled(subscription: Subscription<Event>, count: number): void {
    subscription.handled(count);
    this.wake();
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
  );
}

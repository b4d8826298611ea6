import { silent, type Telemetry } from "../telemetry/telemetry.ts";
import { ChunkQueue } from "./chunk-queue.ts";
import type { Dispatcher, DispatcherFactory, Place, PlaceOptions } from "./dispatcher.ts";

export interface OutletOptions<Event> {
  readonly name: string;
  /** Default: `demandDispatcher`. */
  readonly dispatcher: DispatcherFactory<Event>;
  /** `count` more events are wanted than were asked for so far. */
  readonly onDemand: (count: number) => void;
  /** Events that may wait when there is no demand for them. Default: no limit. */
  readonly bufferSize?: number;
  /** Which events stay when the buffer is full: the oldest or the newest. Default `last`. */
  readonly bufferKeep?: "first" | "last";
  readonly telemetry?: Telemetry | undefined;
}

/** One who takes events from an outlet. */
export interface OutletSubscriber<Event> extends Place<Event> {
  /** Events received and not yet handled. */
  readonly held: number;
  /** There will be no more events; `error` is set when the stage crashed. */
  ended(error?: unknown): void;
}

/**
 * The side of a stage from which events leave: a dispatcher, and a buffer for what there is no demand for.
 *
 * Invariant: demand passed on to `onDemand` and not yet answered with events (`asked`), plus what is buffered, is never
 * less than the dispatcher's demand: unmet demand is remembered. It can be more, after a subscriber left; later
 * demand is then served from it first.
 */
export class Outlet<Event> {
  readonly name: string;
  #dispatcher: Dispatcher<Event>;
  readonly #onDemand: (count: number) => void;
  readonly #bufferSize: number;
  readonly #bufferKeep: "first" | "last";
  readonly #dropped;
  readonly #buffer = new ChunkQueue<Event>();
  readonly #subscribers = new Set<OutletSubscriber<Event>>();
  #asked = 0;
  #ending: { readonly error: unknown } | undefined;

  constructor(options: OutletOptions<Event>) {
    this.name = options.name;
    this.#dispatcher = options.dispatcher();
    this.#onDemand = options.onDemand;
    this.#bufferSize = options.bufferSize ?? Number.POSITIVE_INFINITY;
    this.#bufferKeep = options.bufferKeep ?? "last";
    this.#dropped = (options.telemetry ?? silent).channel("stage.dropped");
  }

  /** Demand for which there are no events here. Above 0: something more could leave at once. */
  get room(): number {
    return Math.max(0, this.#dispatcher.demand - this.#buffer.length);
  }

  /** Demand passed on and not yet answered. */
  get asked(): number {
    return this.#asked;
  }

  /** Events that wait for demand, here or in the dispatcher. */
  get waiting(): number {
    return this.#buffer.length + this.#dispatcher.kept;
  }

  /** Sends events, in order, to whom the dispatcher gives them; what nobody asked for is buffered. */
  emit(events: Event[]): void {
    if (events.length === 0 || this.#ending !== undefined) return;
    this.#asked = Math.max(0, this.#asked - events.length);
    if (this.#buffer.length === 0 && events.length <= this.#dispatcher.demand) {
      this.#dispatcher.dispatch(events);
      return;
    }
    this.#buffer.push(events);
    this.#flush();
    if (this.#buffer.length > this.#bufferSize) this.#trim();
  }

  join(subscriber: OutletSubscriber<Event>, options: PlaceOptions<Event>): void {
    this.#dispatcher.join(subscriber, options);
    this.#subscribers.add(subscriber);
    if (this.#ending !== undefined) this.endIfDone();
  }

  ask(subscriber: OutletSubscriber<Event>, count: number): void {
    this.#dispatcher.ask(subscriber, count);
    if (this.#buffer.length > 0) this.#flush();
    this.#demandMore();
  }

  /** The subscriber takes no more. Events it received and never began with go to the others, before all else. */
  leave(subscriber: OutletSubscriber<Event>, undelivered: Event[]): void {
    if (!this.#subscribers.delete(subscriber)) return;
    this.#buffer.unshift(this.#dispatcher.leave(subscriber, undelivered));
    this.#flush();
    this.#demandMore();
    if (this.#ending !== undefined) this.endIfDone();
  }

  /** Gives events out in another way from now on. Only while nobody subscribes, or an Error is thrown. */
  changeDispatcher(factory: DispatcherFactory<Event>): void {
    if (this.#subscribers.size > 0)
      throw new Error(`"${this.name}" has subscribers: its dispatcher cannot change`);
    this.#buffer.unshift(this.#dispatcher.takeKept());
    this.#dispatcher = factory();
  }

  /** Events that were given out come back, and go to others before all else. */
  putBack(events: Event[]): void {
    this.#buffer.unshift(events);
    this.#flush();
  }

  /**
   * No more events will be emitted. Subscribers hear of it when all events are handled, because until then one of them
   * may crash and leave its own to the others; after an error, at once.
   */
  end(error?: unknown): void {
    if (this.#ending !== undefined) return;
    this.#ending = { error };
    this.endIfDone();
  }

  get isEnding(): boolean {
    return this.#ending !== undefined;
  }

  /** Called when events were handled while the outlet is ending. */
  endIfDone(): void {
    const error = this.#ending?.error;
    if (error === undefined) {
      if (this.waiting > 0) return;
      for (const subscriber of this.#subscribers) if (subscriber.held > 0) return;
    }
    const subscribers = [...this.#subscribers];
    this.#subscribers.clear();
    for (const subscriber of subscribers) subscriber.ended(error);
  }

  #flush(): void {
    let count = Math.min(this.#dispatcher.demand, this.#buffer.length);
    while (count > 0) {
      this.#dispatcher.dispatch(this.#buffer.take(count));
      count = Math.min(this.#dispatcher.demand, this.#buffer.length);
    }
  }

  #demandMore(): void {
    const more = this.#dispatcher.demand - this.#buffer.length - this.#asked;
    if (more <= 0 || this.#ending !== undefined) return;
    this.#asked += more;
    this.#onDemand(more);
  }

  #trim(): void {
    const excess = this.#buffer.length - this.#bufferSize;
    const kept = this.#bufferKeep;
    if (kept === "last") {
      this.#buffer.take(excess);
    } else {
      const first = this.#buffer.take(this.#bufferSize);
      this.#buffer.take(excess);
      this.#buffer.push(first);
    }
    if (this.#dropped.active) this.#dropped.emit({ stage: this.name, events: excess, kept });
  }
}

import type { Events } from "../telemetry/events.ts";
import type { Channel } from "../telemetry/telemetry.ts";
import type { Inlet } from "./inlet.ts";
import type { Outlet, OutletSubscriber } from "./outlet.ts";

export interface DemandOptions {
  /** Events a consumer may hold from this subscription. Minimum 1, default 1,000. */
  readonly maxDemand?: number;
  /** The consumer asks for more when it holds no more than this. 0 to `maxDemand` - 1, default half of it. */
  readonly minDemand?: number;
  /** `automatic`: asked for by the rule above. `manual`: nothing is, until `subscription.ask`. */
  readonly demand?: "automatic" | "manual";
  /**
   * What the end of the producer means to the consumer. `permanent` (default): it crashes if the producer did, and ends
   * when the last of its permanent producers has ended. `transient`: it crashes if the producer did, and goes on
   * after an ordinary end. `temporary`: it goes on in either case.
   */
  readonly cancel?: "permanent" | "transient" | "temporary";
}

/**
 * What a consumer has asked of one producer.
 *
 * Invariants: `held` (received and not yet handled) is at most `outstanding` (asked for and not yet handled). With
 * automatic demand `outstanding` is at most `maxDemand`, and above `minDemand` whenever the handler rests.
 */
export class Subscription<Event> implements OutletSubscriber<Event> {
  demand = 0;
  held = 0;
  outstanding = 0;
  readonly cancelMode: "permanent" | "transient" | "temporary";
  /** Largest chunk a handler gets, so that more is asked for before all of what is held is done. */
  readonly quantum: number;
  readonly outlet: Outlet<Event>;
  readonly #inlet: Inlet<Event>;
  readonly #asked: Channel<Events["stage.asked"]>;
  readonly #maxDemand: number;
  readonly #minDemand: number;
  readonly #automatic: boolean;
  #over = false;

  constructor(
    inlet: Inlet<Event>,
    outlet: Outlet<Event>,
    options: DemandOptions,
    asked: Channel<Events["stage.asked"]>,
  ) {
    this.#inlet = inlet;
    this.outlet = outlet;
    this.#asked = asked;
    this.#maxDemand = options.maxDemand ?? 1_000;
    this.#minDemand = options.minDemand ?? Math.floor(this.#maxDemand / 2);
    this.#automatic = options.demand !== "manual";
    this.cancelMode = options.cancel ?? "permanent";
    if (!(this.#maxDemand >= 1)) throw new RangeError(`maxDemand must be at least 1, got ${this.#maxDemand}`);
    if (!(this.#minDemand >= 0 && this.#minDemand < this.#maxDemand)) {
      throw new RangeError(
        `minDemand must be 0 to maxDemand - 1 (${this.#maxDemand - 1}), got ${this.#minDemand}`,
      );
    }
    this.quantum = this.#automatic ? this.#maxDemand - this.#minDemand : Number.POSITIVE_INFINITY;
  }

  /** Asks for `count` more events. For manual demand; with automatic demand it would break the bound. */
  ask(count: number): void {
    if (this.#over || count <= 0) return;
    this.outstanding += count;
    if (this.#asked.active) {
      this.#asked.emit({
        stage: this.#inlet.name,
        producer: this.outlet.name,
        count,
        outstanding: this.outstanding,
      });
    }
    this.outlet.ask(this, count);
  }

  /** Wants nothing more. Events received and not begun with go back to the producer, for the others. */
  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.outlet.leave(this, this.#inlet.release(this));
  }

  /** First demand; called once, by the inlet. */
  start(): void {
    if (this.#automatic) this.ask(this.#maxDemand);
  }

  receive(events: Event[]): void {
    this.held += events.length;
    this.#inlet.deliver(this, events);
  }

  /** The handler is done with `count` events. */
  handled(count: number): void {
    this.held -= count;
    this.outstanding -= count;
    if (this.#over) return;
    if (this.#automatic && this.outstanding <= this.#minDemand) this.ask(this.#maxDemand - this.outstanding);
    if (this.outlet.isEnding) this.outlet.endIfDone();
  }

  ended(error?: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#inlet.ended(this, error);
  }
}

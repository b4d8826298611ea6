import type { Clock } from "../pipeline/clock.ts";

export interface RateLimit {
  /** Events in an interval. Minimum 1. */
  readonly allowed: number;
  readonly intervalMs: number;
}

/**
 * How many events may be asked for now, so that no more than `allowed` arrive in any interval.
 *
 * Intervals follow one another from the first use on. Demand cannot be taken back, so what was asked for and has not
 * come yet counts against the interval in which it may come: the one that is running.
 */
export class RateLimiter {
  readonly #clock: Clock;
  #limit: RateLimit | undefined;
  #endsAt = Number.NEGATIVE_INFINITY;
  #arrived = 0;

  constructor(clock: Clock, limit: RateLimit | undefined) {
    this.#clock = clock;
    this.#limit = limit;
  }

  /** From now on; what arrived in the running interval still counts. */
  set(limit: RateLimit | undefined): void {
    const before = this.#limit;
    this.#limit = limit;
    if (limit !== undefined && before !== undefined) this.#endsAt += limit.intervalMs - before.intervalMs;
  }

  /** @param outstanding asked for and not yet arrived */
  allowance(outstanding: number): number {
    if (this.#limit === undefined) return Number.POSITIVE_INFINITY;
    this.#roll(this.#limit);
    return Math.max(0, this.#limit.allowed - this.#arrived - outstanding);
  }

  arrived(count: number): void {
    if (this.#limit === undefined) return;
    this.#roll(this.#limit);
    this.#arrived += count;
  }

  /** Until the next interval begins. */
  get waitMs(): number {
    return Math.max(0, this.#endsAt - this.#clock.now());
  }

  #roll(limit: RateLimit): void {
    const now = this.#clock.now();
    if (now < this.#endsAt) return;
    const missed = Math.floor((now - this.#endsAt) / limit.intervalMs);
    this.#endsAt = Number.isFinite(missed)
      ? this.#endsAt + (missed + 1) * limit.intervalMs
      : now + limit.intervalMs;
    this.#arrived = 0;
  }
}

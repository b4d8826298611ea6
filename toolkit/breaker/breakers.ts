/** One breaker for each kind of job, since what fails for one kind may work for another. */
import { type Outcome, snooze } from "../jobs/outcome.ts";
import { type Clock, systemClock } from "../pipeline/clock.ts";
import { silent, type Telemetry } from "../telemetry/telemetry.ts";
import {
  ask,
  type BreakerOptions,
  type BreakerState,
  closedBreaker,
  failureShareOf,
  report,
} from "./breaker.ts";

export interface Breakers {
  /**
   * Makes the call, unless the breaker of its kind is open: then the outcome is a snooze until it may be tried again,
   * spread over a fifth of the time it stays open, so that what waited does not come back at once.
   * A `retry` counts as a failure of the service; `dead` does not: it answered, and the answer was no.
   */
  through(kind: string, call: () => Promise<Outcome>): Promise<Outcome>;
  stateOf(kind: string): BreakerState;
}

export interface BreakersOptions extends BreakerOptions {
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly telemetry?: Telemetry;
}

export function openBreakers(options: BreakersOptions): Breakers {
  const { clock = systemClock, random = Math.random, telemetry = silent } = options;
  check(options);
  const changed = telemetry.channel("breaker.changed");
  const states = new Map<string, BreakerState>();
  const stateOf = (kind: string) => states.get(kind) ?? closedBreaker;

  function become(kind: string, next: BreakerState): void {
    const before = stateOf(kind);
    states.set(kind, next);
    if (next.kind !== before.kind && changed.active) {
      changed.emit({ kind, to: next.kind, failureShare: failureShareOf(before) });
    }
  }

  return {
    stateOf,
    async through(kind, call) {
      const { state, permission } = ask(stateOf(kind), options, clock.now());
      become(kind, state);
      if (permission.kind === "refused") {
        return snooze(permission.untilMs - clock.now() + random() * (options.openMs / 5));
      }
      let succeeded = false;
      try {
        const outcome = await call();
        succeeded = outcome.kind !== "retry";
        return outcome;
      } finally {
        const { openings } = permission;
        become(kind, report(stateOf(kind), options, clock.now(), { openings, succeeded }));
      }
    },
  };
}

function check({ windowMs, minCalls, failureShare, openMs, trials }: BreakerOptions): void {
  if (!(windowMs > 0)) throw new RangeError(`windowMs must be above 0, and is ${windowMs}`);
  if (!(minCalls >= 1)) throw new RangeError(`minCalls must be at least 1, and is ${minCalls}`);
  if (!(failureShare > 0 && failureShare <= 1)) {
    throw new RangeError(`failureShare must be above 0 and at most 1, and is ${failureShare}`);
  }
  if (!(openMs > 0)) throw new RangeError(`openMs must be above 0, and is ${openMs}`);
  if (!(trials >= 1)) throw new RangeError(`trials must be at least 1, and is ${trials}`);
}

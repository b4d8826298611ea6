/**
 * A circuit breaker as a pure state machine (Nygard, Release It!, 2007): it stops calls to a service that fails anyway.
 *
 * ```text
 *            share of failures in the window >= failureShare
 *   closed ------------------------------------------------> open
 *     ^                                                       | openMs have passed
 *     |  `trials` successes              one failure          v
 *     +------------------------ half-open ----------------> open
 * ```
 *
 * Time comes with each call, so a test needs no timers, and a worker one clock. What is refused is not lost: the caller
 * snoozes the job until `untilMs`, which uses none of its attempts.
 */

export interface BreakerOptions {
  /** Calls older than this no longer count. */
  readonly windowMs: number;
  /** Fewer calls in the window decide nothing. */
  readonly minCalls: number;
  /** Opens at this share of failures, above 0 and at most 1. */
  readonly failureShare: number;
  /** How long no call is let through. */
  readonly openMs: number;
  /** Calls let through, at most at once, to find out whether it works again; all must succeed. */
  readonly trials: number;
}

/** One tenth of the window. */
interface Bucket {
  readonly startMs: number;
  readonly calls: number;
  readonly failures: number;
}

export type BreakerState = {
  /** How often it has opened. A call that was granted before it did so the last time tells nothing of now. */
  readonly openings: number;
} & (
  | { readonly kind: "closed"; readonly buckets: readonly Bucket[] }
  | { readonly kind: "open"; readonly untilMs: number }
  | {
      readonly kind: "half-open";
      readonly sinceMs: number;
      readonly begun: number;
      readonly succeeded: number;
    }
);

/** `refused` until `untilMs`, on the clock of `nowMs`; `openings` goes with the report of a call that was granted. */
export type Permission =
  | { readonly kind: "granted"; readonly openings: number }
  | { readonly kind: "refused"; readonly untilMs: number };

const bucketsPerWindow = 10;

export const closedBreaker: BreakerState = { kind: "closed", openings: 0, buckets: [] };

/** May a call be made now? A half-open breaker counts it as a trial: report what came of it. */
export function ask(
  state: BreakerState,
  options: BreakerOptions,
  nowMs: number,
): { readonly state: BreakerState; readonly permission: Permission } {
  const { openings } = state;
  const granted = { kind: "granted", openings } as const;
  switch (state.kind) {
    case "closed":
      return { state, permission: granted };
    case "open":
      if (nowMs < state.untilMs) {
        return { state, permission: { kind: "refused", untilMs: state.untilMs } };
      }
      return {
        state: { kind: "half-open", openings, sinceMs: nowMs, begun: 1, succeeded: 0 },
        permission: granted,
      };
    case "half-open": {
      // Trials that nobody reported on: their caller died. Others get their places.
      const isStale = nowMs - state.sinceMs >= options.openMs;
      if (isStale) {
        return { state: { ...state, sinceMs: nowMs, begun: 1, succeeded: 0 }, permission: granted };
      }
      if (state.begun < options.trials) {
        return { state: { ...state, begun: state.begun + 1 }, permission: granted };
      }
      return { state, permission: { kind: "refused", untilMs: state.sinceMs + options.openMs } };
    }
  }
}

/** What came of a call that was granted, and how often the breaker had opened when it was. */
export function report(
  state: BreakerState,
  options: BreakerOptions,
  nowMs: number,
  { openings, succeeded }: { readonly openings: number; readonly succeeded: boolean },
): BreakerState {
  if (openings !== state.openings) return state;
  const opened = { kind: "open", openings: openings + 1, untilMs: nowMs + options.openMs } as const;
  switch (state.kind) {
    case "closed": {
      const buckets = counted(state.buckets, options, nowMs, succeeded);
      const { calls, failures } = totals(buckets);
      // A success may complete the number of calls, and is no reason to open.
      return !succeeded && calls >= options.minCalls && failures >= options.failureShare * calls
        ? opened
        : { kind: "closed", openings, buckets };
    }
    case "open":
      return state;
    case "half-open": {
      if (!succeeded) return opened;
      const now = state.succeeded + 1;
      return now >= options.trials ? { ...closedBreaker, openings } : { ...state, succeeded: now };
    }
  }
}

/** Share of failures among the calls that count; 0 without any. */
export function failureShareOf(state: BreakerState): number {
  if (state.kind !== "closed") return state.kind === "open" ? 1 : 0;
  const { calls, failures } = totals(state.buckets);
  return calls === 0 ? 0 : failures / calls;
}

function counted(
  buckets: readonly Bucket[],
  { windowMs }: BreakerOptions,
  nowMs: number,
  succeeded: boolean,
): Bucket[] {
  const widthMs = windowMs / bucketsPerWindow;
  const startMs = Math.floor(nowMs / widthMs) * widthMs;
  const kept = buckets.filter((one) => one.startMs > nowMs - windowMs);
  const last = kept.at(-1);
  const current = last?.startMs === startMs ? last : { startMs, calls: 0, failures: 0 };
  const before = current === last ? kept.slice(0, -1) : kept;
  return [...before, { startMs, calls: current.calls + 1, failures: current.failures + (succeeded ? 0 : 1) }];
}

function totals(buckets: readonly Bucket[]): { calls: number; failures: number } {
  return buckets.reduce(
    (sum, one) => ({ calls: sum.calls + one.calls, failures: sum.failures + one.failures }),
    { calls: 0, failures: 0 },
  );
}

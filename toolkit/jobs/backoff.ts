/**
 * How long to wait before the next attempt. Three things that are often one are apart here:
 *
 * - the **formula**: failures so far -> milliseconds (`exponential`, `linear`, `fixed`, under a cap: `capped`);
 * - the **jitter**: which share of that is left to chance (`jittered`), or all of it (`decorrelated`);
 * - the **waiting**, which is the queue's: nothing in this file knows of time or timers.
 *
 * ```ts
 * const backoff = jittered(capped(exponential({ baseMs: 100, factor: 2 }), 5_000), 0.5);
 * backoff({ failures: 3, random: Math.random }); // 200 to 400
 * ```
 */

/** Milliseconds to wait after the n-th failure; n is at least 1. */
export type Formula = (failures: number) => number;

export interface BackoffStep {
  /** Failed attempts so far, at least 1. */
  readonly failures: number;
  /** The wait before the attempt that has just failed; undefined after the first. */
  readonly previousMs?: number | undefined;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** The wait before the next attempt, in ms. Never negative, never more than its formula's value or cap. */
export type Backoff = (step: BackoffStep) => number;

/** base x factor^(n - 1). Large n give Infinity: put a cap on it. */
export function exponential({ baseMs, factor }: { baseMs: number; factor: number }): Formula {
  check("baseMs", baseMs, 0);
  check("factor", factor, 1);
  return (failures) => (baseMs === 0 ? 0 : baseMs * factor ** (failures - 1));
}

/** base + step x (n - 1); the step is the base unless given. */
export function linear({ baseMs, stepMs = baseMs }: { baseMs: number; stepMs?: number }): Formula {
  check("baseMs", baseMs, 0);
  check("stepMs", stepMs, 0);
  return (failures) => baseMs + stepMs * (failures - 1);
}

export function fixed(baseMs: number): Formula {
  check("baseMs", baseMs, 0);
  return () => baseMs;
}

export function capped(formula: Formula, capMs: number): Formula {
  check("capMs", capMs, 0);
  return (failures) => Math.min(capMs, formula(failures));
}

/**
 * Takes a random share of up to `share` off the formula's value v: uniform in (v x (1 - share), v]. 0 is none; 1 is the
 * "full jitter" of Brooker, Exponential Backoff and Jitter (AWS Architecture Blog, 2015), 0.5 its "equal jitter".
 */
export function jittered(formula: Formula, share: number): Backoff {
  if (!(share >= 0 && share <= 1)) throw new RangeError(`jitter is a share from 0 to 1, and not ${share}`);
  return ({ failures, random }) => formula(failures) * (1 - share * random());
}

/**
 * "Decorrelated jitter" of the same article: min(cap, uniform in [base, 3 x the wait before)). It grows like an
 * exponential in the mean, and two jobs that failed together drift apart with every attempt.
 */
export function decorrelated({ baseMs, capMs }: { baseMs: number; capMs: number }): Backoff {
  check("baseMs", baseMs, 0);
  check("capMs", capMs, 0);
  return ({ previousMs = baseMs, random }) => {
    const most = Math.max(baseMs, 3 * previousMs);
    return Math.min(capMs, baseMs + (most - baseMs) * random());
  };
}

/**
 * The milliseconds that a Retry-After header asks for: a number of seconds, or an HTTP date (RFC 9110, 10.2.3).
 * Undefined when there is none or it is neither.
 * @param now epoch ms
 */
export function retryAfterMs(header: string | undefined, now: number): number | undefined {
  const text = header?.trim() ?? "";
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  // A date has letters: what else Date.parse takes for one is none.
  const at = /^[A-Z][a-z]+,? /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

function check(name: string, value: number, atLeast: number): void {
  if (!(value >= atLeast && value < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`${name} is a number of at least ${atLeast}, and not ${value}`);
  }
}

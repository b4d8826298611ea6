/** How often and how far apart a job is tried, by the class of its last error. */
import { type Backoff, capped, exponential, jittered } from "./backoff.ts";

export interface RetryRule {
  /** Attempts in all, the first included. At least 1; Infinity for no bound. */
  readonly maxAttempts: number;
  readonly backoff: Backoff;
}

export interface RetryPolicy extends RetryRule {
  /** What differs for an error class: "timeout" may be worth fewer attempts, "rate-limited" longer waits. */
  readonly byClass?: Readonly<Record<string, Partial<RetryRule>>>;
}

/** The rule for a job whose last error was of this class. */
export function ruleFor(policy: RetryPolicy, errorClass: string): RetryRule {
  // Own names only: an error class may be any text, "constructor" too.
  const own = Object.hasOwn(policy.byClass ?? {}, errorClass) ? policy.byClass?.[errorClass] : undefined;
  return { maxAttempts: own?.maxAttempts ?? policy.maxAttempts, backoff: own?.backoff ?? policy.backoff };
}

/** The policy that the worker contract tells by its `RETRY_*` variables. */
export function policyOf(retry: {
  readonly maxAttempts: number;
  readonly baseMs: number;
  readonly factor: number;
  readonly capMs: number;
  readonly jitter: number;
}): RetryPolicy {
  const { maxAttempts, baseMs, factor, capMs, jitter } = retry;
  return { maxAttempts, backoff: jittered(capped(exponential({ baseMs, factor }), capMs), jitter) };
}

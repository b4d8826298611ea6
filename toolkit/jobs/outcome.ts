/**
 * What came of one attempt at a job: a value of a closed set, and never an exception. What becomes of the job then is
 * `decide`'s business (decide.ts), and how a queue does it the adapter's (toolkit/redis/job-worker.ts).
 *
 * | outcome | sense | uses an attempt |
 * |---|---|---|
 * | `ok` | done | yes |
 * | `retry` | failed, may succeed later | yes |
 * | `snooze` | not tried: not now (a breaker is open, a limit is reached) | no |
 * | `cancel` | no longer wanted: done without an effect | yes |
 * | `dead` | will never succeed: to the dead letters, whatever attempts are left | yes |
 */

/** An error as it is kept: a short name that policies and operators go by, and one line for people. */
export interface JobError {
  /** Such as "timeout", "unavailable", "refused". */
  readonly errorClass: string;
  readonly message: string;
}

export type Outcome =
  | { readonly kind: "ok" }
  /** `afterMs`: the other side said how long to stay away (Retry-After). */
  | { readonly kind: "retry"; readonly error: JobError; readonly afterMs?: number }
  | { readonly kind: "snooze"; readonly forMs: number }
  | { readonly kind: "cancel"; readonly reason: string }
  | { readonly kind: "dead"; readonly error: JobError };

export const ok: Outcome = { kind: "ok" };

/** @param afterMs wait at least so long, whatever the policy says */
export function retry(errorClass: string, message: string, afterMs?: number): Outcome {
  const error = { errorClass, message };
  return afterMs === undefined ? { kind: "retry", error } : { kind: "retry", error, afterMs };
}

/** @throws RangeError for a time that is not finite or below 0 */
export function snooze(forMs: number): Outcome {
  if (!(forMs >= 0 && forMs < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`a snooze is a number of milliseconds of at least 0, and not ${forMs}`);
  }
  return { kind: "snooze", forMs };
}

export const cancel = (reason: string): Outcome => ({ kind: "cancel", reason });

export const dead = (errorClass: string, message: string): Outcome => ({
  kind: "dead",
  error: { errorClass, message },
});

/** What was thrown where an outcome was expected: may succeed later, for all that is known. */
export const outcomeOfThrown = (thrown: unknown): Outcome => ({
  kind: "retry",
  error: errorOfThrown(thrown),
});

export function errorOfThrown(thrown: unknown): JobError {
  if (!(thrown instanceof Error)) return { errorClass: "thrown", message: String(thrown) };
  return { errorClass: thrown.name, message: thrown.message === "" ? thrown.name : thrown.message };
}

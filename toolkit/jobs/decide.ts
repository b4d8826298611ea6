/**
 * What becomes of a job after an attempt: a pure function of what the job carries, what came of the attempt, and the
 * policy. The first attempt may have been made outside of any queue, straight from a topic: it is one like the others.
 */
import { type Attempt, type JobState, nextAttempt, withAttempt } from "./job-state.ts";
import type { JobError, Outcome } from "./outcome.ts";
import { type RetryPolicy, ruleFor } from "./policy.ts";

export type Step<Data> =
  /** Nothing is left to do; `reason` is set for a job that was cancelled. */
  | { readonly kind: "done"; readonly reason?: string }
  /** To be tried again at `state.notBefore`; keep this state durably. `isAttempt`: an attempt was used. */
  | { readonly kind: "wait"; readonly state: JobState<Data>; readonly isAttempt: boolean }
  /** To be kept as a dead letter, with this history, for this error. */
  | { readonly kind: "bury"; readonly state: JobState<Data>; readonly error: JobError };

/** Epoch ms, from the same clock; the wait counts from the end. */
export interface AttemptTimes {
  readonly startedAt: number;
  readonly endedAt: number;
}

/** Thirty days: a formula without a cap reaches Infinity, which is no time to wait until. */
const longestWaitMs = 30 * 24 * 3_600_000;

/** @param random uniform in [0, 1) */
export function decide<Data>(
  state: JobState<Data>,
  outcome: Outcome,
  policy: RetryPolicy,
  times: AttemptTimes,
  random: () => number = Math.random,
): Step<Data> {
  switch (outcome.kind) {
    case "ok":
      return { kind: "done" };
    case "cancel":
      return { kind: "done", reason: outcome.reason };
    case "snooze": {
      const notBefore = Math.ceil(times.endedAt + outcome.forMs);
      return {
        kind: "wait",
        isAttempt: false,
        state: { ...state, notBefore, snoozes: state.snoozes + 1 },
      };
    }
    case "dead":
      return bury(state, outcome.error, times);
    case "retry":
      return again(state, outcome, policy, times, random);
  }
}

function again<Data>(
  state: JobState<Data>,
  { error, afterMs = 0 }: Extract<Outcome, { kind: "retry" }>,
  policy: RetryPolicy,
  times: AttemptTimes,
  random: () => number,
): Step<Data> {
  const rule = ruleFor(policy, error.errorClass);
  const failures = nextAttempt(state);
  if (failures >= rule.maxAttempts) return bury(state, error, times);
  const previousMs = state.history.at(-1)?.waitMs ?? undefined;
  // Rounded up: a wait may be a millisecond longer than the formula says, and never shorter.
  const waitMs = Math.min(
    longestWaitMs,
    Math.ceil(Math.max(afterMs, rule.backoff({ failures, previousMs, random }))),
  );
  return {
    kind: "wait",
    isAttempt: true,
    state: {
      ...withAttempt(state, attemptOf(state, error, times, waitMs)),
      notBefore: Math.ceil(times.endedAt) + waitMs,
    },
  };
}

function bury<Data>(state: JobState<Data>, error: JobError, times: AttemptTimes): Step<Data> {
  const ended = withAttempt(state, attemptOf(state, error, times, null));
  return { kind: "bury", state: { ...ended, verdict: error }, error };
}

function attemptOf(
  state: JobState<unknown>,
  error: JobError,
  { startedAt, endedAt }: AttemptTimes,
  waitMs: number | null,
): Attempt {
  return {
    attempt: nextAttempt(state),
    at: new Date(startedAt).toISOString(),
    tookMs: Math.round(endedAt - startedAt),
    errorClass: error.errorClass,
    message: error.message,
    waitMs,
  };
}

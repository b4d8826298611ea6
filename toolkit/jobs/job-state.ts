/** What a job carries from attempt to attempt, stored with it: what is to be done, and all that came of it so far. */
import type { JobError } from "./outcome.ts";

/** One attempt that failed. */
export interface Attempt extends JobError {
  /** 1 for the first. */
  readonly attempt: number;
  /** When it began, ISO 8601. */
  readonly at: string;
  readonly tookMs: number;
  /** The wait that was decided after it; null when it was the last. */
  readonly waitMs: number | null;
}

export interface JobState<Data> {
  readonly data: Data;
  /** Attempts that failed. */
  readonly failures: number;
  /** The last of them, oldest first; a job without a bound on its attempts must not grow without one. */
  readonly history: readonly Attempt[];
  /** Epoch ms before which the next attempt must not begin, whoever picks the job up and why. */
  readonly notBefore: number;
  /** Times it was put off without an attempt. */
  readonly snoozes: number;
  /** Set when it is decided that the job is dead and it is not buried yet: then nothing is tried any more. */
  readonly verdict?: JobError;
  /** Set when an attempt succeeded and what it brought about is not kept yet: nothing is tried any more either. */
  readonly succeeded?: true;
}

/** Attempts kept in a history. */
const keptAttempts = 100;

/** The state after one more failed attempt. */
export function withAttempt<Data>(state: JobState<Data>, attempt: Attempt): JobState<Data> {
  return {
    ...state,
    failures: state.failures + 1,
    history: [...state.history, attempt].slice(-keptAttempts),
  };
}

/** A job of which nothing is known but what is to be done. */
export function newJob<Data>(data: Data, notBefore = 0): JobState<Data> {
  return { data, failures: 0, history: [], notBefore, snoozes: 0 };
}

/** The number of the attempt that comes next. */
export const nextAttempt = (state: JobState<unknown>): number => state.failures + 1;

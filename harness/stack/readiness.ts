/**
 * Waiting for a named condition, with a deadline.
 *
 * A condition is a value: what is awaited, in words, and a probe that throws as long as it is not met.
 * Small ones compose (`inTurn`); whoever waits adds the deadline, and what makes waiting hopeless.
 */
import { setTimeout as sleep } from "node:timers/promises";

export interface Condition<T> {
  /** Completes "waited for ...": "Kafka to answer on 127.0.0.1:9092". */
  readonly what: string;
  /** Resolves when met; throws what is missing otherwise. Should give up by itself after `withinMs`, a whole number. */
  readonly probe: (withinMs: number) => Promise<T>;
}

export interface Patience {
  readonly timeoutMs: number;
  /** Pause between two attempts; 20 ms when absent. */
  readonly everyMs?: number;
  /** Longest single attempt; 2,000 ms when absent. A hung attempt is left behind and counts as failed. */
  readonly attemptMs?: number;
  /** Says why the condition can no longer be met, such as "it exited with code 1": ends the wait at once. */
  readonly hopeless?: () => string | undefined;
  /** The last lines of the log of what is awaited; shown with the failure. */
  readonly logTail?: () => readonly string[];
}

/** A condition that was not met in time, or that became hopeless. */
export class NotMet extends Error {
  /** One line: what was awaited, for how long, and the last failure. */
  readonly summary: string;
  readonly logTail: readonly string[];

  constructor(summary: string, logTail: readonly string[]) {
    super([summary, ...logTail].join("\n"));
    this.name = "NotMet";
    this.summary = summary;
    this.logTail = logTail;
  }
}

/**
 * Polls until the condition is met and gives what its probe gave.
 *
 * @throws NotMet, naming what was awaited, for how long, the last failure, and the tail of the log
 */
export async function until<T>(condition: Condition<T>, patience: Patience): Promise<T> {
  const { timeoutMs, everyMs = 20, attemptMs = 2_000, hopeless = () => undefined } = patience;
  const startedAt = performance.now();
  const fail = (failure: string): NotMet => {
    const waited = ((performance.now() - startedAt) / 1000).toFixed(1);
    return new NotMet(`waited ${waited} s for ${condition.what}: ${failure}`, patience.logTail?.() ?? []);
  };
  let lastFailure: string | undefined;
  for (;;) {
    const leftMs = timeoutMs - (performance.now() - startedAt);
    const withinMs = Math.max(1, Math.ceil(Math.min(attemptMs, leftMs)));
    const outcome = await attempt(condition.probe, withinMs);
    // An attempt that the deadline cut short says less than the one before it.
    const cutShort = !outcome.met && outcome.late && withinMs < attemptMs;
    if (!outcome.met && !(cutShort && lastFailure !== undefined)) lastFailure = outcome.failure;
    // Asked after the attempt too: a stranger on the same port may have answered for a process that is gone.
    const reason = hopeless();
    if (reason !== undefined) throw fail(reason);
    if (outcome.met) return outcome.value;
    if (performance.now() - startedAt + everyMs >= timeoutMs) throw fail(lastFailure ?? outcome.failure);
    await sleep(everyMs);
  }
}

/** Meets the conditions one after the other and gives what the last one gave. A failure names the step. */
export function inTurn<T>(first: Condition<unknown>, second: Condition<T>): Condition<T> {
  const named = async <R>(step: Condition<R>, withinMs: number): Promise<R> => {
    try {
      return await step.probe(withinMs);
    } catch (error) {
      throw new Error(`still waiting for ${step.what}: ${messageOf(error)}`);
    }
  };
  return {
    what: `${first.what}, then ${second.what}`,
    probe: async (withinMs) => {
      await named(first, withinMs);
      return named(second, withinMs);
    },
  };
}

type Outcome<T> =
  | { readonly met: true; readonly value: T }
  | { readonly met: false; readonly failure: string; readonly late: boolean };

async function attempt<T>(probe: (withinMs: number) => Promise<T>, withinMs: number): Promise<Outcome<T>> {
  const timer = new AbortController();
  const tooLate = sleep(withinMs, undefined, { signal: timer.signal }).then(
    (): Outcome<T> => ({ met: false, failure: `no answer within ${withinMs} ms`, late: true }),
    // Aborted: the probe was first, and this branch lost the race.
    (): Outcome<T> => ({ met: false, failure: "aborted", late: true }),
  );
  const answer = probe(withinMs).then(
    (value): Outcome<T> => ({ met: true, value }),
    (error: unknown): Outcome<T> => ({ met: false, failure: messageOf(error), late: false }),
  );
  try {
    return await Promise.race([answer, tooLate]);
  } finally {
    timer.abort();
  }
}

/** One line for an error of any shape. Only its message: error objects of clients carry credentials. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return [...new Set(error.errors.map(messageOf))].join("; ");
  }
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.split("\n")[0] ?? "";
}

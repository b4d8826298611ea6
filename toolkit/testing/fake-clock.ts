import type { Clock } from "../pipeline/clock.ts";

export interface FakeClock extends Clock {
  /**
   * Moves time on, and rings the timers that become due on the way, in order, each at its own time. After each it lets
   * the event loop go round, so that what a timer started (promises, scheduled stages) is done before the next one.
   */
  advance(ms: number): Promise<void>;
  /** Timers that wait. */
  readonly timers: number;
}

/** A clock that stands still until a test moves it. Starts at 0. */
export function fakeClock(): FakeClock {
  const waiting = new Set<{ readonly at: number; readonly callback: () => void }>();
  let now = 0;

  function nextDue(until: number): { readonly at: number; readonly callback: () => void } | undefined {
    let next: { readonly at: number; readonly callback: () => void } | undefined;
    for (const timer of waiting)
      if (timer.at <= until && (next === undefined || timer.at < next.at)) next = timer;
    return next;
  }

  return {
    now: () => now,
    setTimer(callback, delayMs) {
      const timer = { at: now + Math.max(0, delayMs), callback };
      waiting.add(timer);
      return { cancel: () => waiting.delete(timer) };
    },
    async advance(ms) {
      const until = now + ms;
      await eventLoopTurns(2);
      for (let timer = nextDue(until); timer !== undefined; timer = nextDue(until)) {
        waiting.delete(timer);
        now = Math.max(now, timer.at);
        timer.callback();
        await eventLoopTurns(2);
      }
      now = until;
      await eventLoopTurns(2);
    },
    get timers() {
      return waiting.size;
    },
  };
}

/** Lets the event loop go round: all that can happen without timers and I/O has happened after a few turns. */
export async function eventLoopTurns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

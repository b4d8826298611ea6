/** Time and timers, passed in so that a test can turn the hands itself (`testing/fake-clock.ts`). */
export interface Clock {
  /** Milliseconds that never go back; the zero point means nothing. */
  now(): number;
  /** Calls `callback` once, after at least `delayMs`, or 24 days if that is less. The timer keeps the process alive. */
  setTimer(callback: () => void, delayMs: number): Timer;
}

export interface Timer {
  /** Nothing happens if the timer has already rung. */
  cancel(): void;
}

/** What setTimeout can wait; for anything longer it does not wait at all. */
const longestTimeoutMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (callback, delayMs) => {
    const timeout = setTimeout(callback, Math.min(delayMs, longestTimeoutMs));
    return { cancel: () => clearTimeout(timeout) };
  },
};

/** Time and timers, passed in so that a test can turn the hands itself (`testing/fake-clock.ts`). */
export interface Clock {
  /** Milliseconds that never go back; the zero point means nothing. */
  now(): number;
  /** Calls `callback` once, after at least `delayMs`. The timer keeps the process alive. */
  setTimer(callback: () => void, delayMs: number): Timer;
}

export interface Timer {
  /** Nothing happens if the timer has already rung. */
  cancel(): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer: (callback, delayMs) => {
    const timeout = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(timeout) };
  },
};

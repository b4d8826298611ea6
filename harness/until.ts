/** Waiting for a condition, with a deadline and a name. */

export interface UntilOptions {
  readonly timeoutMs: number;
  readonly everyMs?: number;
  /** Ends the wait early, by rejection with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Resolves with the first value of `probe` that is neither undefined nor false. A probe that throws counts
 * as "not yet".
 * @param what completes "waited for ..."
 * @throws Error naming what was awaited, for how long, and the last error of the probe
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  { timeoutMs, everyMs = 50, signal }: UntilOptions,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    signal?.throwIfAborted();
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= deadline) {
      const reason = last instanceof Error ? `; last error: ${last.message}` : "";
      throw new Error(`waited ${timeoutMs / 1000} s for ${what}${reason}`);
    }
    await pauseFor(everyMs, signal);
  }
}

/** A pause that an abort ends by rejection. */
export function pauseFor(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const timer = setTimeout(done, Math.max(0, ms));
    signal?.addEventListener("abort", aborted, { once: true });
    function done(): void {
      signal?.removeEventListener("abort", aborted);
      resolve();
    }
    function aborted(): void {
      clearTimeout(timer);
      reject(signal?.reason);
    }
  });
}

/** Waits for `work`; returns early, without an error, when `signal` is aborted. */
export async function untilAborted(signal: AbortSignal, work: Promise<unknown>): Promise<void> {
  const ended = new AbortController();
  const aborted = pauseFor(2 ** 30, AbortSignal.any([signal, ended.signal])).catch(() => undefined);
  try {
    await Promise.race([
      work.catch((error: unknown) => {
        if (!signal.aborted) throw error;
      }),
      aborted,
    ]);
  } finally {
    ended.abort();
  }
}

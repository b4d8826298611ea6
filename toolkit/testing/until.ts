export interface UntilOptions {
  /** Default 4,000 ms. */
  readonly deadlineMs?: number;
}

/**
 * Resolves when `condition` holds; it is asked once every turn of the event loop. Rejects when the deadline has passed,
 * with an error that says what was awaited and for how long.
 */
export async function until(
  what: string,
  condition: () => boolean,
  options: UntilOptions = {},
): Promise<void> {
  const deadlineMs = options.deadlineMs ?? 4_000;
  const startedAt = performance.now();
  while (!condition()) {
    if (performance.now() - startedAt > deadlineMs) throw new Error(`waited ${deadlineMs} ms for ${what}`);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/**
 * A moment of the wall clock on this process's monotonic clock (`performance.now()`), as they stand to each other now. In a
 * process that is kept for the next run they part: when the machine sleeps, and when its clock is set.
 */
export const monotonicOf = (epochMs: number): number => performance.now() - (Date.now() - epochMs);

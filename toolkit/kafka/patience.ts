/**
 * How long a source bears with work that does not move, and how long it stays away from its group when it has left.
 *
 * Whether its store is back is seen only by work. So it comes again on trial: soon at first, and twice as late each
 * time it had to leave once more. On trial it leaves as soon as it was away: others have the partitions for half of the
 * time at least, and a store that is back is noticed before it has been missed for twice as long as it was.
 */
export interface Patience {
  /** Time without progress after which to leave. */
  readonly limitMs: number;
  /** Time after which to come again. */
  readonly awayMs: number;
  left(): void;
  /** Work was finished: the trial, if it was one, is passed. */
  finished(): void;
}

const firstShare = 1 / 8;

/** @param leastMs shortest time away, for others to notice; never more than `stuckAfterMs` */
export function createPatience(stuckAfterMs: number, leastMs: number): Patience {
  let awayMs: number | undefined;
  return {
    get limitMs() {
      return awayMs ?? stuckAfterMs;
    },
    get awayMs() {
      return awayMs ?? 0;
    },
    left() {
      const next = awayMs === undefined ? Math.max(leastMs, stuckAfterMs * firstShare) : awayMs * 2;
      awayMs = Math.min(stuckAfterMs, next);
    },
    finished() {
      awayMs = undefined;
    },
  };
}

/**
 * Whether what came late did so because something stood still for a moment. Whatever falls due in such a moment comes late
 * together, so late ones that overlap are one observation, however many they are: a share of them that is larger than a
 * promise allows may be a single pause of the host.
 */

/** When something was due, and when it came: Infinity when it never did. */
export interface Delay {
  readonly dueMs: number;
  readonly cameMs: number;
}

/** In the part of a run that a judge looks at. */
const mostStandstills = 2;
/** Of one, with the time in which what waited meanwhile is worked off. */
const longestMs = 500;

/** Whether all these delays fit into two standstills, each no longer than half a second. */
export function areStandstills(late: readonly Delay[]): boolean {
  let count = 0;
  let fromMs = Number.NEGATIVE_INFINITY;
  let untilMs = Number.NEGATIVE_INFINITY;
  for (const { dueMs, cameMs } of late.toSorted((a, b) => a.dueMs - b.dueMs)) {
    if (dueMs > untilMs) {
      count += 1;
      fromMs = dueMs;
    }
    untilMs = Math.max(untilMs, cameMs);
    if (count > mostStandstills || untilMs - fromMs > longestMs) return false;
  }
  return true;
}

/** Said of such a run. */
export const standstillWords =
  "All that came late fell into one or two standstills of at most half a second, which a host may have: so few observations decide nothing.";

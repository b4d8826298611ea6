import type { RetryPlan } from "./options.ts";

/**
 * Wait before the next attempt, in ms, after `failures` (1 or more) failed ones:
 * min(cap, base x factor^(failures - 1)), less a random share of up to `jitter`.
 */
export function retryWaitMs(
  policy: Pick<RetryPlan, "baseMs" | "factor" | "capMs" | "jitter">,
  failures: number,
  random: () => number,
): number {
  const wait = Math.min(policy.capMs, policy.baseMs * policy.factor ** (failures - 1));
  return wait * (1 - policy.jitter * random());
}

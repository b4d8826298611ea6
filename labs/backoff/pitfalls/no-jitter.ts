/**
 * Mistake: the wait is the formula's value, and nothing is left to chance.
 *
 * Why people make it: the schedule is what was asked for, and randomness is hard to test.
 *
 * What it costs: events that failed together come back together, and then again together. The gateway that could not
 * take them the first time gets the same burst at 300, 900 and 2,100 ms.
 *
 * Fails `no-herd`.
 */
import { parts, work } from "../solution.ts";

await work({ ...parts, backoff: (retry) => parts.backoff({ ...retry, jitter: 0 }) });

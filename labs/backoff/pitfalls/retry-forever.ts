/**
 * Mistake: attempts are counted, and the count has no end.
 *
 * Why people make it: "we must not lose a payment", and a dead letter looks like a loss.
 *
 * What it costs: an event that can never succeed is never seen by anybody. It waits among the others, with the longest
 * wait of all, and a year of them is a queue that is always full and an error rate that nobody looks at any more.
 *
 * Fails `attempts-bounded`.
 */
import { parts, work } from "../solution.ts";

await work({ ...parts, maxAttempts: () => Number.POSITIVE_INFINITY });

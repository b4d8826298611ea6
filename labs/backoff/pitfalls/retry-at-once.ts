/**
 * Mistake: what failed is tried again at once, as often as the policy allows.
 *
 * Why people make it: most failures are short, and in every test the second attempt succeeded.
 *
 * What it costs: all attempts are used up within milliseconds, while the gateway is still down, and its trouble is
 * multiplied by the number of attempts. An outage of four seconds then kills every event that came in it.
 *
 * Fails `cadence`.
 */
import { parts, work } from "../solution.ts";

await work({ ...parts, backoff: () => () => 0 });

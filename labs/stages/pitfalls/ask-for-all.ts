/**
 * Mistake: a consumer asks for everything there is.
 *
 * Why people make it: asking once is simpler than asking again and again, and the source is quick.
 *
 * What it costs: demand is a promise to hold what comes. All events are fetched at once and wait in memory, first in one
 * consumer's hands; the others, and a source that could have given them to another worker, have nothing left.
 *
 * Fails `demand-bounded`.
 */
import { parts, work } from "../solution.ts";

await work({ ...parts, demand: () => ({ maxDemand: 1_000_000, minDemand: 0 }) });

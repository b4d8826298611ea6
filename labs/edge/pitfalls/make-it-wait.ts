/**
 * Mistake: nobody is refused. A request for which there is no place waits, open, until there is one.
 *
 * Why people make it: an error looks worse than a slow answer, and with Kafka waiting *is* the backpressure.
 *
 * What it costs: who sends does not slow down because an answer is late; it sends the next request beside it. Requests
 * pile up in the worker's memory, each waits longer than the one before it, and long before memory is out all of them
 * have waited longer than their sender did: work for nobody.
 *
 * Fails `answers-in-time`.
 */
import { parts, work } from "../solution.ts";

await work({ ...parts, maxInFlight: () => 1_000_000 });

/**
 * Mistake: every message at hand is called for at once.
 *
 * Why people make it: `Promise.all(messages.map(call))` is one line, and each call costs the worker next to nothing.
 *
 * What it costs: it costs the gateway. A service with places for two gets thirty-two calls, and each of them waits
 * for the others; a service that was slow is then down. The worker's own numbers look splendid until that moment.
 *
 * Fails `bounded-concurrency`.
 */
import { parts, work } from "../solution.ts";

await work({ ...parts, places: (env) => env.maxInFlight });

/**
 * Mistake: a fixed rate instead of demand: 40 calls a second, which the gateway survived in the load test.
 *
 * Why people make it: a rate limit is a number that can be written down, agreed on and put into a configuration.
 *
 * What it costs: the number is right for one work time. While the gateway is quick, places stand empty and the backlog
 * grows for no reason; when it gets slower than the number says, the limit no longer limits anything.
 *
 * Fails `rate-matches-capacity`.
 */
import { setTimeout as delay } from "node:timers/promises";
import { parts, work } from "../solution.ts";

const perSecond = 40;
let next = performance.now();

await work({
  ...parts,
  async settle(gateway, message) {
    next = Math.max(performance.now(), next + 1_000 / perSecond);
    await delay(next - performance.now());
    await parts.settle(gateway, message);
  },
});

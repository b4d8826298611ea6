/**
 * Mistake: the handler waits and tries again itself, and the event keeps its place meanwhile.
 *
 * Why people make it: a loop with a sleep is the first thing that works, and it needs no Redis.
 *
 * What it costs: every place is soon taken by an event that sleeps, and healthy ones wait behind it. Nothing is lost
 * and nothing is wrong in any table; everything is seconds late, long after the gateway is well again.
 *
 * Fails `no-head-of-line`.
 */
import { setTimeout as delay } from "node:timers/promises";
import { newJob } from "../../../toolkit/jobs/job-state.ts";
import { parts, work } from "../solution.ts";

await work({
  ...parts,
  async first(attempt, payment) {
    let step = await attempt(newJob(payment));
    while (step.kind === "wait") {
      await delay(Math.max(0, step.state.notBefore - Date.now()));
      step = await attempt(step.state);
    }
    return step;
  },
});

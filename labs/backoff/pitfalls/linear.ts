/**
 * Mistake: the wait grows by the base with every attempt, and is called exponential.
 *
 * Why people make it: `base * attempt` is one line, and after two attempts it looks the same: 300, 600.
 *
 * What it costs: from the third attempt on it falls behind, and the more attempts the further. The gateway gets
 * several times the calls it would get in a long outage, and the attempts last for a fraction of it.
 *
 * Fails `exponential`.
 */
import { capped, jittered, linear } from "../../../toolkit/jobs/backoff.ts";
import { parts, work } from "../solution.ts";

await work({
  ...parts,
  backoff: ({ baseMs, capMs, jitter }) => jittered(capped(linear({ baseMs }), capMs), jitter),
});

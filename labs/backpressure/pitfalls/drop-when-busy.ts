/**
 * Mistake: an event that comes while all places are taken is given up, and acknowledged.
 *
 * Why people make it: load shedding is good advice, for requests whose caller is told and can try again.
 *
 * What it costs: nobody is told here. The offset is committed, so Kafka will not deliver the event again; a payment is
 * gone, and lag, memory and error rate all look healthy while it happens.
 *
 * Fails `lossless`.
 */
import { parts, work } from "../solution.ts";

const busyAbove = 2;
let busy = 0;

await work({
  ...parts,
  places: (env) => env.maxInFlight,
  async settle(gateway, message) {
    if (busy >= busyAbove) return;
    busy += 1;
    await parts.settle(gateway, message).finally(() => {
      busy -= 1;
    });
  },
});

/**
 * Mistake: events with keys go to whoever is free.
 *
 * Why people make it: it balances best, and at first sight order is kept: events leave the producer one after the other.
 *
 * What it costs: two events of one account are worked on by two consumers at once, and the later one may be done first.
 * A balance is then wrong now and then, and right again in every test with one consumer.
 *
 * Fails `order-per-partition`.
 */
import { demandDispatcher } from "../../../toolkit/stage/demand-dispatcher.ts";
import { parts, work } from "../solution.ts";

await work({
  ...parts,
  dispatcher: (round) => (round.dispatch === "partition" ? demandDispatcher : parts.dispatcher(round)),
});

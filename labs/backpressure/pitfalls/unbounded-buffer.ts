/**
 * Mistake: the worker pulls whatever there is into a list in memory, and works the list off.
 *
 * Why people make it: "a queue in between decouples the two", and as long as the gateway keeps up the list is empty.
 *
 * What it costs: the backlog moves from the broker, which has a disk for it, into the worker's heap. The gateway slows
 * down, the list grows at the speed of the network, and the worker is killed for its memory; then it starts again,
 * with the same backlog.
 *
 * Fails `bounded-memory`.
 */
import { kafkaSource } from "../../../toolkit/kafka/source.ts";
import { parts, work } from "../solution.ts";

await work({
  ...parts,
  source: ({ kafka }) => kafkaSource({ ...kafka, maxBytesInWork: Number.MAX_SAFE_INTEGER }),
  maxInFlight: () => 1_000_000,
});

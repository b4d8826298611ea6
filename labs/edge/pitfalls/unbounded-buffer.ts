/**
 * Mistake: everything is accepted at once into a list in memory, and the list is worked off.
 *
 * Why people make it: it never says no and never keeps anybody waiting. As long as the gateway keeps up the list is
 * empty.
 *
 * What it costs: the gateway slows down, and the list grows at the speed of the network until the process is killed for
 * its memory, with everything in it that was promised.
 *
 * Fails `bounded-memory`.
 */
import { parts, work } from "../solution.ts";

await work({ ...parts, answer: "taken", maxInFlight: () => 1_000_000 });

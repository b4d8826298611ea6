/**
 * Mistake: SIGTERM ends the process on the spot.
 *
 * Why people make it: it is what happens when nobody writes a handler, and a worker that must survive SIGKILL anyway
 * seems to need no better end.
 *
 * What it costs: every deployment breaks the requests that are in flight. Their senders do not know whether the event
 * is stored; those who send it again make a duplicate, those who do not make a loss.
 *
 * Fails `drains`.
 */
import { parts, work } from "../solution.ts";

await work({
  ...parts,
  untilStopped: () => new Promise((resolve) => process.once("SIGTERM", () => resolve(process.exit(0)))),
});

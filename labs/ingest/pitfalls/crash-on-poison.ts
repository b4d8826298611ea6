/**
 * Mistake: a message that cannot be read ends the process.
 *
 * Why people make it: "fail fast", or no catch around JSON.parse at all, with a supervisor that starts the worker
 * again.
 *
 * What it costs: the offset of the bad message was never committed, so the next process reads the same message and
 * dies of it too. One message of one producer stops the partition for everybody, until a person moves the offset by
 * hand.
 *
 * Fails `poison-contained`.
 */
import { ingest, parts } from "../solution.ts";

await ingest({
  ...parts,
  async reject(_db, messages) {
    for (const { origin, failure } of messages) {
      console.error(`partition ${origin.partition} offset ${origin.offset}: ${failure?.reason}`);
    }
    process.exit(1);
  },
});

/**
 * Mistake: an error of the database is caught and logged, and the worker goes on with the next batch.
 *
 * Why people make it: "one failed write must not stop the stream", and a linter that wants every promise handled.
 *
 * What it costs: a write that returns normally counts as done, so the batch is acknowledged. Each second without the
 * database is a second of payments that are gone; what is left of them is a line in a log.
 *
 * Fails `lossless`.
 */
import { ingest, parts } from "../solution.ts";

await ingest({
  ...parts,
  async store(db, payments) {
    try {
      await parts.store(db, payments);
    } catch (error) {
      console.error(`could not store ${payments.length} payments:`, error);
    }
  },
});

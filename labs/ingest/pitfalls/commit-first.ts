/**
 * Mistake: nobody awaits the write. To the pipeline the batch is done at once, so its offsets are committed first
 * and the rows follow when they can.
 *
 * Why people make it: it is one missing `await`, it is faster, and all rows are there in the end. Automatic commits
 * by a timer, the default of many client libraries, do the same.
 *
 * What it costs: as long as the database is slow or away, the group has moved past messages that exist nowhere but
 * in this process. When it dies then, they are lost, and Kafka will not deliver them again.
 *
 * Fails `commit-behind-write`.
 */
import { setTimeout as delay } from "node:timers/promises";
import { ingest, parts } from "../solution.ts";

await ingest({
  ...parts,
  async store(db, payments) {
    void storeSometime(db, payments);
  },
});

async function storeSometime(...batch: Parameters<typeof parts.store>): Promise<void> {
  try {
    await parts.store(...batch);
  } catch {
    await delay(100);
    await storeSometime(...batch);
  }
}

/**
 * Mistake: the keys that were seen are kept in a Map of the process. The effect is one transaction.
 *
 * Why people make it: no table, no round trip, and a test that sends everything twice is green. "There is only one
 * consumer of a partition anyway."
 *
 * What it costs: memory dies with its process. What the dead worker had stored and not yet committed goes to one that
 * has never seen it. The same happens at every rebalance, and with every copy in a partition of another worker.
 *
 * Fails `crash-safe`.
 */
import { inTransaction } from "../../../toolkit/postgres/open.ts";
import { flag } from "../money.ts";
import { newAndConflicting } from "../pitfall-parts.ts";
import { parts, payOnce } from "../solution.ts";

const seen = new Map<string, Uint8Array>();

await payOnce({
  ...parts,
  async store(db, calls) {
    const { fresh, conflicts } = newAndConflicting(calls, seen);
    // At once, so that a batch beside this one sees them too.
    for (const { key, payloadHash } of fresh) seen.set(key, payloadHash);
    try {
      await inTransaction(db, async (connection) => {
        if (fresh.length > 0) await parts.spend(connection, fresh);
        await flag(connection, conflicts);
      });
    } catch (error) {
      for (const { key } of fresh) seen.delete(key);
      throw error;
    }
  },
});

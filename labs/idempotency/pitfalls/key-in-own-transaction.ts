/**
 * Mistake: the keys are stored first, in a transaction of their own, and the effects after it in another.
 *
 * Why people make it: a helper that "claims" keys is easier to share when it needs nobody's transaction, and it keeps
 * the locks short. No payment is ever doubled.
 *
 * What it costs: a worker that dies between the two has claimed payments it never made. When they are delivered again
 * their keys are known, so they are skipped: lost without an error, and for good.
 *
 * Fails `crash-safe`.
 */
import { onceEach } from "../../../toolkit/delivery/once.ts";
import { inTransaction } from "../../../toolkit/postgres/open.ts";
import { flag } from "../money.ts";
import type { Call } from "../payment.ts";
import { parts, payOnce } from "../solution.ts";

await payOnce({
  ...parts,
  async store(db, calls) {
    const claimed: Call[] = [];
    const results = await inTransaction(db, (connection) =>
      onceEach(connection, calls, async (_, fresh) => {
        claimed.push(...fresh);
        return undefined;
      }),
    );
    await inTransaction(db, async (connection) => {
      if (claimed.length > 0) await parts.spend(connection, claimed);
      await flag(
        connection,
        calls.filter((_, i) => results[i]?.kind === "conflict"),
      );
    });
  },
});

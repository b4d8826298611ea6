/**
 * Mistake: keys and ledger are one transaction; the accounts are charged after it, in a statement of its own.
 *
 * Why people make it: every batch touches the same few accounts, and their locks make batches wait for one another.
 * Outside of the transaction the locks are short, and the throughput is better.
 *
 * What it costs: between the two the books do not balance, and whoever decides about a budget meanwhile decides on an
 * old balance, so more is spent than there is. A worker that dies in between leaves it so for ever.
 *
 * Fails `budget-respected`.
 */
import { onceEach } from "../../../toolkit/delivery/once.ts";
import { inTransaction } from "../../../toolkit/postgres/open.ts";
import { book, charge, decide, flag } from "../money.ts";
import type { Call } from "../payment.ts";
import { parts, payOnce } from "../solution.ts";

await payOnce({
  ...parts,
  async store(db, calls) {
    const accepted: Call[] = [];
    await inTransaction(db, async (connection) => {
      const results = await onceEach(connection, calls, async (_, fresh) => {
        const decision = await decide(connection, fresh);
        await book(connection, decision);
        accepted.push(...decision.accepted);
        return undefined;
      });
      await flag(
        connection,
        calls.filter((_, i) => results[i]?.kind === "conflict"),
      );
    });
    await charge(db, accepted);
  },
});

/**
 * The operator's tool of the exercise: `npm run dlq`, with a purge of its own that is yours to mend.
 */
import { conditionOf } from "../../toolkit/delivery/operate.ts";
import { operations, operator } from "../../toolkit/operator/command.ts";

process.exitCode = await operator(process.argv.slice(2), {
  ...operations,
  // TODO 5: purge-audited, audit-append-only
  // Nobody is asked who they are or why, and no trace is left. Refuse without an actor and a reason (throw before
  // anything is changed), and write the entry of the audit trail in the same transaction: without it, no purge.
  async purge(db, filter) {
    const { sql, values } = conditionOf({ ...filter, states: ["dead"] });
    const { rows } = await db.query<{ id: string }>(
      `UPDATE dead_letters SET state = 'purged', value = NULL, edited_value = NULL WHERE ${sql} RETURNING id::text`,
      values,
    );
    return { purged: rows.map(({ id }) => id) };
  },
});

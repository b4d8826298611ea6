/** The operator's tool of silent-purge.ts: no actor, no reason, no entry in the audit trail. */
import { conditionOf } from "../../../toolkit/delivery/operate.ts";
import { operations, operator } from "../../../toolkit/operator/command.ts";

process.exitCode = await operator(process.argv.slice(2), {
  ...operations,
  async purge(db, filter) {
    const { sql, values } = conditionOf({ ...filter, states: ["dead"] });
    const { rows } = await db.query<{ id: string }>(
      `UPDATE dead_letters SET state = 'purged', value = NULL, edited_value = NULL WHERE ${sql} RETURNING id::text`,
      values,
    );
    return { purged: rows.map(({ id }) => id) };
  },
});

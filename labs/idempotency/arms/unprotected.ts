/**
 * No protection at all: what is delivered is done, each time. It runs beside the solution, with the same seed, so that
 * one picture shows both.
 */
import { inTransaction } from "../../../toolkit/postgres/open.ts";
import { parts, payOnce } from "../solution.ts";

await payOnce({
  ...parts,
  async store(db, calls) {
    await inTransaction(db, (connection) => parts.spend(connection, calls));
  },
});

/**
 * Mistake: the operator's tool purges what it is told to, for whoever starts it, and leaves no trace. The worker is
 * the solution's; the mistake is in silent-purge.operator.ts.
 *
 * Why people make it: it is an internal tool, and everyone who can reach it may use it. Often it is not even a tool but
 * an UPDATE in a SQL client.
 *
 * What it costs: some weeks later a payment is missed. It was in no table and in no log, and nobody can say whether it
 * was thrown away, by whom, or why.
 *
 * Fails `purge-audited`.
 */
import { work } from "../solution.ts";

await work();

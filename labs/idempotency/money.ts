/** The effect of this lab: money. Every function works on the connection it is given, so the caller sets the transaction. */
import type { Queryable } from "../../toolkit/postgres/open.ts";
import type { Call } from "./payment.ts";

export interface Decision {
  readonly accepted: readonly Call[];
  readonly declined: readonly Call[];
}

/**
 * Which payments the budgets have room for, in the order given. Locks the accounts until the transaction ends, so that
 * nobody spends from them meanwhile; in their own order, so that two batches do not deadlock.
 */
export async function decide(client: Queryable, calls: readonly Call[]): Promise<Decision> {
  const { rows } = await client.query<{ account_id: string; room: string }>({
    name: "lock accounts",
    text: `
      SELECT account_id, budget_cents - spent_cents AS room FROM accounts
      WHERE account_id = ANY($1::text[]) ORDER BY account_id FOR UPDATE`,
    values: [[...new Set(calls.map(({ payment }) => payment.accountId))]],
  });
  const room = new Map(rows.map((row) => [row.account_id, Number(row.room)]));
  const accepted: Call[] = [];
  const declined: Call[] = [];
  for (const call of calls) {
    const { accountId, amountCents } = call.payment;
    const left = (room.get(accountId) ?? 0) - amountCents;
    if (left >= 0) room.set(accountId, left);
    (left >= 0 ? accepted : declined).push(call);
  }
  return { accepted, declined };
}

/** Writes down what was decided. */
export async function book(client: Queryable, { accepted, declined }: Decision): Promise<void> {
  if (accepted.length > 0) await insert(client, "ledger", accepted);
  if (declined.length > 0) await insert(client, "declined", declined);
}

/** Takes the money from the accounts. */
export async function charge(client: Queryable, accepted: readonly Call[]): Promise<void> {
  const spent = new Map<string, number>();
  for (const { payment } of accepted) {
    spent.set(payment.accountId, (spent.get(payment.accountId) ?? 0) + payment.amountCents);
  }
  if (spent.size === 0) return;
  await client.query({
    name: "charge accounts",
    text: `
      UPDATE accounts SET spent_cents = spent_cents + charge.cents
      FROM unnest($1::text[], $2::bigint[]) AS charge (account_id, cents)
      WHERE accounts.account_id = charge.account_id`,
    values: [[...spent.keys()], [...spent.values()]],
  });
}

/** Keeps the messages that used a key again for another payload; their place in Kafka is their own key. */
export async function flag(client: Queryable, calls: readonly Call[]): Promise<void> {
  if (calls.length === 0) return;
  const records = calls.map(({ record }) => record);
  await client.query({
    name: "flag conflicts",
    text: `
      INSERT INTO key_conflicts (topic, partition, "offset", event_id, value)
      SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::uuid[], $5::bytea[])
      ORDER BY 1, 2, 3
      ON CONFLICT (topic, partition, "offset") DO NOTHING`,
    values: [
      records.map(({ topic }) => topic),
      records.map(({ partition }) => partition),
      records.map(({ offset }) => offset),
      calls.map(({ payment }) => payment.eventId),
      records.map(({ value }) => value),
    ],
  });
}

async function insert(
  client: Queryable,
  table: "ledger" | "declined",
  calls: readonly Call[],
): Promise<void> {
  await client.query({
    name: `insert into ${table}`,
    text: `
      INSERT INTO ${table} (event_id, account_id, amount_cents)
      SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[])`,
    values: [
      calls.map(({ payment }) => payment.eventId),
      calls.map(({ payment }) => payment.accountId),
      calls.map(({ payment }) => payment.amountCents),
    ],
  });
}

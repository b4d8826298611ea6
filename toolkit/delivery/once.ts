/**
 * One effect for one key, however often it is asked for: the key and the effect are stored in one transaction.
 *
 * Guaranteed under READ COMMITTED, the default of Postgres: of all transactions that claim a key at once, one inserts
 * it, and `ON CONFLICT DO NOTHING` makes the others wait at the unique index until that one has ended. When it
 * commits, they find the key (their next statement has a newer snapshot) and get its outcome; when it rolls back or
 * its process dies, its key and its effect vanish together, and one of those that waited goes on. Under REPEATABLE
 * READ and above the ones that waited get a serialization failure (40001) instead: run the transaction again.
 *
 * Not guaranteed: effects outside of this transaction (a call to a service, another database) may happen again; and a
 * key that was cleaned away (`deleteExpiredKeys`) is forgotten, so keep keys for longer than duplicates can come.
 */
import type { Queryable } from "../postgres/open.ts";

/** Run it with `ensureSchema` at the start of a worker. */
export const idempotencyKeysSchema = `
  CREATE TABLE IF NOT EXISTS idempotency_keys (
    key          text        COLLATE "C" PRIMARY KEY,
    payload_hash bytea       NOT NULL,
    outcome      jsonb,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp()
  );
  CREATE INDEX IF NOT EXISTS idempotency_keys_age ON idempotency_keys (created_at);`;

/** What came of a call. `conflict`: the key was used before with another payload, and nothing was done. */
export type Once<Outcome> =
  | { readonly kind: "done"; readonly outcome: Outcome }
  | { readonly kind: "duplicate"; readonly outcome: Outcome }
  | { readonly kind: "conflict" };

/** Who asks for an effect: the key, and the hash of the payload it was first used with (see `payloadHash`). */
export interface KeyedCall {
  readonly key: string;
  readonly payloadHash: Uint8Array;
}

/**
 * Runs `effect` unless its key is known.
 *
 * @param client a connection inside a transaction, which the caller commits (`inTransaction`); `effect` must use it
 * @param effect gives the outcome, as JSON: a duplicate gets it as it was stored. What it throws is thrown on, and
 *   the caller's rollback takes the key back
 */
export async function once<Outcome>(
  client: Queryable,
  key: string,
  payloadHash: Uint8Array,
  effect: (client: Queryable) => Promise<Outcome>,
): Promise<Once<Outcome>> {
  const [result] = await onceEach(client, [{ key, payloadHash }], async (connection) => [
    await effect(connection),
  ]);
  if (result === undefined) throw new Error(`no result for the key ${key}`);
  return result;
}

/**
 * The form for batches: one statement claims all keys, `effect` is called once with the calls that are new (not at
 * all when none is), and one more statement keeps their outcomes. A key that is twice in the batch is one effect.
 * Keys are claimed in their own order, so that two batches which share keys do not deadlock.
 *
 * @param client a connection inside a transaction, which the caller commits; `effect` must use it
 * @param effect gives the outcomes, as JSON, in the order of the calls it was given; undefined: nothing to keep, and
 *   every outcome is null
 * @returns one result for each call, in order
 * @throws RangeError when `effect` gives another number of outcomes
 */
export async function onceEach<Call extends KeyedCall, Outcome>(
  client: Queryable,
  calls: readonly Call[],
  effect: (client: Queryable, fresh: readonly Call[]) => Promise<readonly Outcome[] | undefined>,
): Promise<Once<Outcome>[]> {
  const first = firstOfEachKey(calls);
  const known = new Map<string, Known<Outcome>>();
  const fresh: Call[] = [];
  let open = [...first.values()];
  // More than one round only when a key was cleaned away between the claim and the look.
  while (open.length > 0) {
    const taken = await claim(client, open);
    fresh.push(...open.filter((_, i) => !taken.has(i)));
    const others = open.filter((_, i) => taken.has(i));
    for (const [key, one] of await recall<Outcome>(client, others)) known.set(key, one);
    open = others.filter(({ key }) => !known.has(key));
  }
  const outcomes = fresh.length === 0 ? [] : await effect(client, fresh);
  if (outcomes !== undefined && outcomes.length !== fresh.length) {
    throw new RangeError(`the effect gave ${outcomes.length} outcomes for ${fresh.length} calls`);
  }
  if (outcomes !== undefined && fresh.length > 0) await keep(client, fresh, outcomes);
  const done = new Map(fresh.map(({ key }, i) => [key, (outcomes?.[i] ?? null) as Outcome]));
  return calls.map((call) => {
    const before = known.get(call.key);
    const payloadHash = before?.payloadHash ?? first.get(call.key)?.payloadHash;
    if (payloadHash === undefined || !sameBytes(payloadHash, call.payloadHash)) return { kind: "conflict" };
    if (before !== undefined) return { kind: "duplicate", outcome: before.outcome };
    const outcome = done.get(call.key) as Outcome;
    return first.get(call.key) === call ? { kind: "done", outcome } : { kind: "duplicate", outcome };
  });
}

interface Known<Outcome> {
  readonly payloadHash: Uint8Array;
  readonly outcome: Outcome;
}

function firstOfEachKey<Call extends KeyedCall>(calls: readonly Call[]): Map<string, Call> {
  const first = new Map<string, Call>();
  for (const call of calls) if (!first.has(call.key)) first.set(call.key, call);
  return first;
}

/**
 * Inserts the keys that are not there; gives the places in the list of those that are. Waits for transactions that
 * hold one of them.
 */
async function claim(client: Queryable, calls: readonly KeyedCall[]): Promise<Set<number>> {
  const { rows } = await client.query<{ at: number }>({
    name: "claim idempotency keys",
    text: `
      WITH call AS MATERIALIZED (
        SELECT key COLLATE "C" AS key, decode(payload_hash, 'hex') AS payload_hash, at
        FROM ROWS FROM (json_array_elements_text($1::json), json_array_elements_text($2::json))
          WITH ORDINALITY AS call (key, payload_hash, at)
      ), claimed AS (
        INSERT INTO idempotency_keys (key, payload_hash)
        SELECT key, payload_hash FROM call ORDER BY key
        ON CONFLICT (key) DO NOTHING
        RETURNING key
      )
      SELECT at::integer FROM call WHERE key NOT IN (SELECT key FROM claimed)`,
    // As JSON, which Node makes of a list several times quicker than the client makes an array of it.
    values: [
      JSON.stringify(calls.map(({ key }) => key)),
      JSON.stringify(calls.map(({ payloadHash }) => hexOf(payloadHash))),
    ],
  });
  return new Set(rows.map(({ at }) => at - 1));
}

async function recall<Outcome>(
  client: Queryable,
  calls: readonly KeyedCall[],
): Promise<Map<string, Known<Outcome>>> {
  if (calls.length === 0) return new Map();
  const { rows } = await client.query<{ key: string; payload_hash: Buffer; outcome: Outcome }>({
    name: "recall idempotency keys",
    text: "SELECT key, payload_hash, outcome FROM idempotency_keys WHERE key = ANY($1::text[])",
    values: [calls.map(({ key }) => key)],
  });
  return new Map(rows.map(({ key, payload_hash, outcome }) => [key, { payloadHash: payload_hash, outcome }]));
}

async function keep(
  client: Queryable,
  calls: readonly KeyedCall[],
  outcomes: readonly unknown[],
): Promise<void> {
  await client.query({
    name: "keep idempotent outcomes",
    text: `
      UPDATE idempotency_keys SET outcome = kept.outcome
      FROM unnest($1::text[], $2::jsonb[]) AS kept (key, outcome)
      WHERE idempotency_keys.key = kept.key`,
    values: [calls.map(({ key }) => key), outcomes.map((outcome) => JSON.stringify(outcome ?? null))],
  });
}

const hexOf = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString("hex");

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

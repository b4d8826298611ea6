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
import { byteaArray, textArray } from "../postgres/binary-array.ts";
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
  const { keys, keyOf } = foldByKey<Call, Outcome>(calls);
  await claimOrRecall(client, keys);
  const fresh = [...keys.values()].filter(({ known }) => known === undefined);
  const freshCalls = fresh.map(({ call }) => call);
  const outcomes = fresh.length === 0 ? [] : await effect(client, freshCalls);
  if (outcomes !== undefined && outcomes.length !== fresh.length) {
    throw new RangeError(`the effect gave ${outcomes.length} outcomes for ${fresh.length} calls`);
  }
  if (outcomes !== undefined && fresh.length > 0) await keep(client, freshCalls, outcomes);
  fresh.forEach((key, i) => {
    key.outcome = (outcomes?.[i] ?? null) as Outcome;
  });
  return calls.map((call, i) => resultOf(call, i, keyOf[i] as Key<Call, Outcome>));
}

/** A key of the batch. */
interface Key<Call, Outcome> {
  /** The first call with it, and its place in the batch: the others are its duplicates or conflicts. */
  readonly call: Call;
  readonly at: number;
  /** What the table held of it before; undefined: nothing, so that the key is claimed and the effect is due. */
  known: Known<Outcome> | undefined;
  /** Of the effect. */
  outcome: Outcome | undefined;
}

interface Known<Outcome> {
  readonly payloadHash: Uint8Array;
  readonly outcome: Outcome;
}

/** The keys of the batch in the order they first came, and the key of each call: a look at a map for each call, once. */
function foldByKey<Call extends KeyedCall, Outcome>(
  calls: readonly Call[],
): { readonly keys: Map<string, Key<Call, Outcome>>; readonly keyOf: readonly Key<Call, Outcome>[] } {
  const keys = new Map<string, Key<Call, Outcome>>();
  const keyOf = calls.map((call, at) => {
    const before = keys.get(call.key);
    if (before !== undefined) return before;
    const key = { call, at, known: undefined, outcome: undefined };
    keys.set(call.key, key);
    return key;
  });
  return { keys, keyOf };
}

function resultOf<Call extends KeyedCall, Outcome>(
  call: Call,
  at: number,
  { call: first, at: firstAt, known, outcome }: Key<Call, Outcome>,
): Once<Outcome> {
  if (known === undefined && at === firstAt) return { kind: "done", outcome: outcome as Outcome };
  const { payloadHash } = known ?? first;
  if (Buffer.compare(payloadHash, call.payloadHash) !== 0) return { kind: "conflict" };
  return { kind: "duplicate", outcome: known === undefined ? (outcome as Outcome) : known.outcome };
}

/** Claims what can be claimed; what was there is `known` afterwards. */
async function claimOrRecall<Call extends KeyedCall, Outcome>(
  client: Queryable,
  keys: ReadonlyMap<string, Key<Call, Outcome>>,
): Promise<void> {
  let open: readonly KeyedCall[] = [...keys.values()].map(({ call }) => call);
  // More than one round only when a key was cleaned away between the claim and the look.
  while (open.length > 0) {
    const taken = await claim(client, open);
    const found = await recall<Outcome>(client, taken);
    for (const [key, known] of found) (keys.get(key) as Key<Call, Outcome>).known = known;
    open = taken.filter(({ key }) => !found.has(key));
  }
}

/** Inserts the keys that are not there; gives the others. Waits for transactions that hold one of them. */
async function claim(client: Queryable, calls: readonly KeyedCall[]): Promise<readonly KeyedCall[]> {
  const { rows } = await client.query<{ keys: string[] | null }>({
    name: "claim idempotency keys",
    // The client finds the keys that are missing among the claimed: to look for them here takes five times as long.
    text: `
      WITH claimed AS (
        INSERT INTO idempotency_keys (key, payload_hash)
        SELECT unnest($1::text[]) COLLATE "C" AS key, unnest($2::bytea[])
        ORDER BY key
        ON CONFLICT (key) DO NOTHING
        RETURNING key
      )
      SELECT json_agg(key) AS keys FROM claimed HAVING count(*) < cardinality($1::text[])`,
    values: [textArray(calls.map(({ key }) => key)), byteaArray(calls.map(({ payloadHash }) => payloadHash))],
  });
  const [some] = rows;
  if (some === undefined) return [];
  const claimed = new Set(some.keys);
  return calls.filter(({ key }) => !claimed.has(key));
}

async function recall<Outcome>(
  client: Queryable,
  calls: readonly KeyedCall[],
): Promise<Map<string, Known<Outcome>>> {
  if (calls.length === 0) return new Map();
  const { rows } = await client.query<{ key: string; payload_hash: Buffer; outcome: Outcome }>({
    name: "recall idempotency keys",
    text: "SELECT key, payload_hash, outcome FROM idempotency_keys WHERE key = ANY($1::text[])",
    values: [textArray(calls.map(({ key }) => key))],
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
    values: [
      textArray(calls.map(({ key }) => key)),
      outcomes.map((outcome) => JSON.stringify(outcome ?? null)),
    ],
  });
}

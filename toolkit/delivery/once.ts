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
 *
 * The table has 16 bytes of each key: a UUID as it is, of any other string a hash (`keyUuid`). Two keys are as unlikely
 * to collide as two random UUIDs, and when they do their payloads tell: the second is a `conflict`, and not swallowed
 * as a duplicate. Only when both the keys' hashes and the payloads are equal would it be.
 */
import { byteaArray, uuidArray } from "../postgres/binary-array.ts";
import type { Queryable } from "../postgres/open.ts";
import { keyUuid } from "./key-uuid.ts";

/**
 * Run it with `ensureSchema` at the start of a worker.
 *
 * There is one index, since each costs every key: `deleteExpiredKeys` finds the old ones without. Its place in the
 * table is the row of `idempotency_keys_sweep`.
 */
export const idempotencyKeysSchema = `
  CREATE TABLE IF NOT EXISTS idempotency_keys (
    key          uuid        PRIMARY KEY,
    created_at   timestamptz NOT NULL DEFAULT statement_timestamp(),
    payload_hash bytea       NOT NULL,
    outcome      jsonb
  );
  CREATE TABLE IF NOT EXISTS idempotency_keys_sweep (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    next_block bigint  NOT NULL DEFAULT 0
  );
  INSERT INTO idempotency_keys_sweep DEFAULT VALUES ON CONFLICT DO NOTHING;`;

/** What came of a call. `conflict`: the key was used before with another payload, and nothing was done. */
export type Once<Outcome> =
  | { readonly kind: "done"; readonly outcome: Outcome }
  | { readonly kind: "duplicate"; readonly outcome: Outcome }
  | { readonly kind: "conflict" };

/** Who asks for an effect: the key, any string, and the hash of the payload it was first used with (see `payloadHash`). */
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
  const fresh = keys.filter(({ known }) => known === undefined);
  const freshCalls = fresh.map(({ call }) => call);
  const outcomes = fresh.length === 0 ? [] : await effect(client, freshCalls);
  if (outcomes !== undefined && outcomes.length !== fresh.length) {
    throw new RangeError(`the effect gave ${outcomes.length} outcomes for ${fresh.length} calls`);
  }
  if (outcomes !== undefined && fresh.length > 0) await keep(client, fresh, outcomes);
  fresh.forEach((key, i) => {
    key.outcome = (outcomes?.[i] ?? null) as Outcome;
  });
  return calls.map((call, i) => resultOf(call, i, keyOf[i] as Key<Call, Outcome>));
}

/** A key of the batch. */
interface Key<Call, Outcome> {
  /** As the table has it. */
  readonly uuid: string;
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

/**
 * The keys of the batch in the order they first came, and the key of each call: a look at a map for each call, once.
 * By their UUIDs, so that a collision within the batch is a conflict like one with the table.
 */
function foldByKey<Call extends KeyedCall, Outcome>(
  calls: readonly Call[],
): { readonly keys: readonly Key<Call, Outcome>[]; readonly keyOf: readonly Key<Call, Outcome>[] } {
  const keys = new Map<string, Key<Call, Outcome>>();
  const keyOf = calls.map((call, at) => {
    const uuid = keyUuid(call.key);
    const before = keys.get(uuid);
    if (before !== undefined) return before;
    const key = { uuid, call, at, known: undefined, outcome: undefined };
    keys.set(uuid, key);
    return key;
  });
  return { keys: [...keys.values()], keyOf };
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
  keys: readonly Key<Call, Outcome>[],
): Promise<void> {
  let open = keys;
  // Another round only for keys that were committed while the statement ran: it waited for them and does not see them.
  while (open.length > 0) {
    const taken = await claim<Call, Outcome>(client, open);
    open = open.filter((key) => {
      const row = taken.get(key.uuid);
      if (row === undefined) return false;
      if (row.payload_hash === null) return true;
      key.known = { payloadHash: row.payload_hash, outcome: row.outcome };
      return false;
    });
  }
}

/** Of a key that was not claimed; no hash: it is not in the statement's snapshot. */
interface TakenRow<Outcome> {
  readonly key: string;
  readonly payload_hash: Buffer | null;
  readonly outcome: Outcome;
}

/**
 * Inserts the keys that are not there; gives the others. Waits for transactions that hold one of them. Both in one
 * statement, since each costs a turn of a thread that has other batches to send.
 */
async function claim<Call extends KeyedCall, Outcome>(
  client: Queryable,
  keys: readonly Key<Call, Outcome>[],
): Promise<ReadonlyMap<string, TakenRow<Outcome>>> {
  const { rows } = await client.query<TakenRow<Outcome>>({
    name: "claim idempotency keys",
    // As an array and apart (OFFSET 0): as a join, the rows of a table without statistics might all be read.
    text: `
      WITH claimed AS (
        INSERT INTO idempotency_keys (key, payload_hash)
        SELECT unnest($1::uuid[]) AS key, unnest($2::bytea[])
        ORDER BY key
        ON CONFLICT (key) DO NOTHING
        RETURNING key
      ), taken AS MATERIALIZED (
        SELECT key FROM unnest($1::uuid[]) AS asked (key) WHERE key NOT IN (SELECT key FROM claimed)
      )
      SELECT key, payload_hash, outcome
      FROM taken LEFT JOIN (
        SELECT key, payload_hash, outcome FROM idempotency_keys
        WHERE key = ANY (ARRAY (SELECT key FROM taken))
        OFFSET 0
      ) AS seen USING (key)`,
    values: [uuidsOf(keys), byteaArray(keys.map(({ call }) => call.payloadHash))],
  });
  return new Map(rows.map((row) => [row.key, row]));
}

async function keep(
  client: Queryable,
  keys: readonly { readonly uuid: string }[],
  outcomes: readonly unknown[],
): Promise<void> {
  await client.query({
    name: "keep idempotent outcomes",
    text: `
      UPDATE idempotency_keys SET outcome = kept.outcome
      FROM unnest($1::uuid[], $2::jsonb[]) AS kept (key, outcome)
      WHERE idempotency_keys.key = kept.key`,
    values: [uuidsOf(keys), outcomes.map((outcome) => JSON.stringify(outcome ?? null))],
  });
}

const uuidsOf = (keys: readonly { readonly uuid: string }[]): Buffer =>
  uuidArray(keys.map(({ uuid }) => uuid));

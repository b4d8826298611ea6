import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
// biome-ignore lint/style/noRestrictedImports: as above
import type { Stack } from "../../harness/stack/stack.ts";
// biome-ignore lint/style/noRestrictedImports: a test on real servers borrows the harness's stack; the toolkit does not
import { sharedStack } from "../../harness/testing.ts";
// biome-ignore lint/style/noRestrictedImports: as above
import { until } from "../../harness/until.ts";
import { ensureSchema } from "../postgres/ensure-schema.ts";
import { type Database, inTransaction, openPostgres, type Queryable } from "../postgres/open.ts";
import { idempotencyKeysSchema, type KeyedCall, once, onceEach } from "./once.ts";
import { payloadHash } from "./payload-hash.ts";

let stack: Stack;
let db: Database;

beforeAll(async () => {
  stack = await sharedStack();
  db = openPostgres(stack.direct.databaseUrl, { maxConnections: 12 });
  await ensureSchema(db, `${idempotencyKeysSchema} CREATE TABLE IF NOT EXISTS once_effects (key text)`);
});

afterAll(async () => {
  await db?.query("DROP TABLE idempotency_keys, idempotency_keys_sweep, once_effects");
  await db?.end();
});

beforeEach(async () => {
  await db.query("TRUNCATE idempotency_keys, once_effects");
});

const hashOfA = payloadHash("a");

async function effects(key: string): Promise<number> {
  return (await db.query("SELECT FROM once_effects WHERE key = $1", [key])).rowCount ?? 0;
}

async function insertEffect(client: Queryable, key: string): Promise<void> {
  await client.query("INSERT INTO once_effects VALUES ($1)", [key]);
}

const payOnce = (key: string, payload = "a") =>
  inTransaction(db, (client) =>
    once(client, key, payloadHash(payload), async (connection) => {
      await insertEffect(connection, key);
      return { paid: key };
    }),
  );

describe("once", () => {
  test("a duplicate has no effect and gets the first outcome", async () => {
    expect(await payOnce("k")).toEqual({ kind: "done", outcome: { paid: "k" } });
    expect(await payOnce("k")).toEqual({ kind: "duplicate", outcome: { paid: "k" } });
    expect(await effects("k")).toBe(1);
  });

  test("the same key with another payload is a conflict and has no effect", async () => {
    await payOnce("k");
    expect(await payOnce("k", "b")).toEqual({ kind: "conflict" });
    expect(await effects("k")).toBe(1);
  });

  test("of ten at the same moment one has the effect, and all get its outcome", async () => {
    const results = await Promise.all(Array.from({ length: 10 }, () => payOnce("k")));
    expect(results.filter(({ kind }) => kind === "done")).toHaveLength(1);
    expect(results.filter(({ kind }) => kind === "duplicate")).toHaveLength(9);
    expect(results.map((result) => "outcome" in result && result.outcome)).toEqual(
      Array.from({ length: 10 }, () => ({ paid: "k" })),
    );
    expect(await effects("k")).toBe(1);
  });

  test("an effect that fails takes its key back, and one that waited for it goes on", async () => {
    let fail = (_: Error): void => undefined;
    let began = false;
    const failing = inTransaction(db, (client) =>
      once(client, "k", hashOfA, async (connection) => {
        await insertEffect(connection, "k");
        began = true;
        return await new Promise<never>((_, reject) => {
          fail = reject;
        });
      }),
    );
    failing.catch(() => undefined);
    await until("the effect to begin", () => began, { timeoutMs: 4_000 });
    const second = payOnce("k");
    await until(
      "the second transaction to wait for the key",
      async () => {
        const { rowCount } = await db.query(
          "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INTO idempotency_keys%'",
        );
        return rowCount === 1;
      },
      { timeoutMs: 4_000 },
    );
    fail(new Error("the effect failed"));
    await expect(failing).rejects.toThrow("the effect failed");
    expect(await second).toEqual({ kind: "done", outcome: { paid: "k" } });
    expect(await effects("k")).toBe(1);
  });
});

describe("onceEach", () => {
  test("agrees with a map of keys, for any batches with keys repeated within and between them", async () => {
    const call = fc.record({ key: fc.constantFrom("p", "q", "r", "s"), payload: fc.constantFrom("a", "b") });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(call, { maxLength: 6 }), { maxLength: 4 }), async (batches) => {
        await db.query("TRUNCATE idempotency_keys");
        const model = new Map<string, { payload: string; outcome: number }>();
        let next = 0;
        for (const batch of batches) {
          const expected = batch.map(({ key, payload }) => {
            const before = model.get(key);
            if (before === undefined) {
              const outcome = model.size;
              model.set(key, { payload, outcome });
              return { kind: "done", outcome };
            }
            return before.payload === payload
              ? { kind: "duplicate", outcome: before.outcome }
              : { kind: "conflict" };
          });
          const calls = batch.map(({ key, payload }) => ({ key, payloadHash: payloadHash(payload) }));
          const given = await inTransaction(db, (client) =>
            onceEach(client, calls, async (_, fresh) => fresh.map(() => next++)),
          );
          expect(given).toEqual(expected);
        }
      }),
      { numRuns: 50 },
    );
  });

  test("batches that share keys in opposite orders do not deadlock", async () => {
    const calls: KeyedCall[] = Array.from({ length: 200 }, (_, i) => ({
      key: `k${i}`,
      payloadHash: hashOfA,
    }));
    const store = (some: readonly KeyedCall[]) =>
      inTransaction(db, (client) =>
        onceEach(client, some, async (connection, fresh) => {
          for (const { key } of fresh) await insertEffect(connection, key);
          return undefined;
        }),
      );
    await Promise.all(Array.from({ length: 8 }, (_, i) => store(i % 2 === 0 ? calls : [...calls].reverse())));
    const { rows } = await db.query<{ all: string; keys: string }>(
      `SELECT count(*) AS all, count(DISTINCT key) AS keys FROM once_effects`,
    );
    expect(rows).toEqual([{ all: "200", keys: "200" }]);
  });

  test("another number of outcomes than calls is an error, and nothing is stored", async () => {
    const batch = inTransaction(db, (client) =>
      onceEach(client, [{ key: "k", payloadHash: hashOfA }], async () => []),
    );
    await expect(batch).rejects.toThrow("0 outcomes for 1 calls");
    expect((await payOnce("k")).kind).toBe("done");
  });
});

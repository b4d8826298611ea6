import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
// biome-ignore lint/style/noRestrictedImports: as above
import type { Stack } from "../../harness/stack/stack.ts";
// biome-ignore lint/style/noRestrictedImports: a test on real servers borrows the harness's stack; the toolkit does not
import { sharedStack } from "../../harness/testing.ts";
import { ensureSchema } from "../postgres/ensure-schema.ts";
import { type Database, inTransaction, openPostgres, type Queryable } from "../postgres/open.ts";
import { deleteExpiredKeys, type ExpireOptions, type Sweep, sweepStatement } from "./expire-keys.ts";
import { idempotencyKeysSchema } from "./once.ts";

const hourMs = 3_600_000;
const database = "expire_keys_test";

let stack: Stack;
let server: Database;
/** Of its own, for another test has the table too. */
let db: Database;

beforeAll(async () => {
  stack = await sharedStack();
  server = openPostgres(stack.direct.databaseUrl, { maxConnections: 1 });
  await server.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
  await server.query(`CREATE DATABASE ${database}`);
  const url = new URL(stack.direct.databaseUrl);
  url.pathname = `/${database}`;
  db = openPostgres(url.href, { maxConnections: 6 });
  await ensureSchema(db, idempotencyKeysSchema);
});

afterAll(async () => {
  await db?.end();
  await server?.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
  await server?.end();
});

beforeEach(async () => {
  await db.query("TRUNCATE idempotency_keys");
  await db.query("UPDATE idempotency_keys_sweep SET next_block = 0");
});

/** Some 80 are a block. Every second one is an hour too old, or all of them. */
async function insertKeys(count: number, expired: "half" | "all" = "half"): Promise<void> {
  await db.query(
    `INSERT INTO idempotency_keys (key, payload_hash, created_at)
     SELECT gen_random_uuid(), sha256('a'), now() - CASE WHEN $2 OR i % 2 = 0 THEN interval '2 hours' ELSE interval '0' END
     FROM generate_series(1, $1::int) AS i`,
    [count, expired === "all"],
  );
}

const sweep = (client: Queryable = db, options: Partial<ExpireOptions> = {}) =>
  deleteExpiredKeys(client, { olderThanMs: hourMs, ...options });

/** Until the lap is not open any more. */
async function sweeps(options: Partial<ExpireOptions>): Promise<Sweep[]> {
  const all: Sweep[] = [];
  do all.push(await sweep(db, options));
  while (all.at(-1)?.lap === "open");
  return all;
}

const sum = (all: readonly Sweep[]): number => all.reduce((total, { deleted }) => total + deleted, 0);

async function left(): Promise<{ expired: number; young: number }> {
  const { rows } = await db.query<{ expired: number; young: number }>(
    `SELECT count(*) FILTER (WHERE expired)::int AS expired, count(*) FILTER (WHERE NOT expired)::int AS young
     FROM (SELECT created_at < now() - interval '1 hour' AS expired FROM idempotency_keys) AS keys`,
  );
  return rows[0] as { expired: number; young: number };
}

describe("deleteExpiredKeys", () => {
  test("deletes every expired key within one lap, and no younger one", async () => {
    await insertKeys(1_000);
    const all = await sweeps({ blocks: 3 });
    expect(all.at(-1)?.lap).toBe("done");
    expect(all.length).toBeGreaterThan(2);
    expect(sum(all)).toBe(500);
    expect(await left()).toEqual({ expired: 0, young: 500 });
  });

  test("reads no more blocks and deletes no more keys than it may", async () => {
    await insertKeys(1_000, "all");
    const first = await sweep(db, { blocks: 2 });
    expect(first.lap).toBe("open");
    const { rows } = await db.query<{ first: string }>(
      "SELECT min(ctid)::text AS first FROM idempotency_keys",
    );
    expect(rows[0]?.first).toBe("(2,1)");
    // More blocks than keys: the hand stops within a block, and goes on there.
    const all = await sweeps({ limit: 7 });
    expect(all.every(({ deleted }) => deleted <= 7)).toBe(true);
    expect(all.filter(({ deleted }) => deleted < 7)).toHaveLength(1);
    expect(first.deleted + sum(all)).toBe(1_000);
  });

  test("a lap over an empty table is done at once", async () => {
    expect(await sweep()).toEqual({ deleted: 0, lap: "done" });
  });

  test("begins again at the first block when the table has become shorter than the hand's place", async () => {
    await insertKeys(1_000, "all");
    await sweep(db, { blocks: 5 });
    await db.query("TRUNCATE idempotency_keys");
    await insertKeys(10, "all");
    expect(await sweep()).toEqual({ deleted: 10, lap: "done" });
  });

  test("keys that another transaction holds are left for the next lap, and not waited for", async () => {
    await insertKeys(100, "all");
    await inTransaction(db, async (holder) => {
      await holder.query("SELECT FROM idempotency_keys LIMIT 3 FOR UPDATE");
      expect(await sweep()).toEqual({ deleted: 97, lap: "done" });
    });
    expect(await sweep()).toEqual({ deleted: 3, lap: "done" });
  });

  test("while one cleaner has the hand, another does nothing and does not wait", async () => {
    await insertKeys(1_000, "all");
    await inTransaction(db, async (first) => {
      expect((await sweep(first, { blocks: 2 })).lap).toBe("open");
      expect(await sweep()).toEqual({ deleted: 0, lap: "held" });
    });
    expect((await sweep()).lap).toBe("done");
    expect((await left()).expired).toBe(0);
  });

  test("a cleaner that fails leaves its keys and the hand where they were", async () => {
    await insertKeys(1_000, "all");
    const failing = inTransaction(db, async (first) => {
      await sweep(first, { blocks: 2 });
      throw new Error("the cleaner failed");
    });
    await expect(failing).rejects.toThrow("the cleaner failed");
    expect(await sweep(db, { limit: 2_000 })).toEqual({ deleted: 1_000, lap: "done" });
  });

  test("six cleaners at once delete each expired key, none of them twice, in one lap", async () => {
    await insertKeys(4_000);
    const laps: Sweep[] = [];
    const clean = async () => {
      // The others stop at "held" in life; here they come back, to meet the hand as often as they can.
      while (!laps.some(({ lap }) => lap === "done")) laps.push(await sweep(db, { blocks: 2, limit: 50 }));
    };
    await Promise.all(Array.from({ length: 6 }, clean));
    expect(sum(laps)).toBe(2_000);
    expect(await left()).toEqual({ expired: 0, young: 2_000 });
  });

  test("reads only its blocks: the plan is a range of the table, whatever its size", async () => {
    const plan = async () => {
      const { rows } = await db.query<{ "QUERY PLAN": string }>(`EXPLAIN ${sweepStatement}`, [
        hourMs,
        1_000,
        2,
      ]);
      return rows.map((row) => row["QUERY PLAN"]).join("\n");
    };
    await insertKeys(20_000);
    expect(await plan()).toMatch(/Tid Range Scan on idempotency_keys/);
    await db.query("ANALYZE idempotency_keys");
    expect(await plan()).toMatch(/Tid Range Scan on idempotency_keys/);
    expect(await plan()).not.toMatch(/Seq Scan on idempotency_keys /);
  });

  test("says that its row is missing, which would otherwise look like another cleaner for ever", async () => {
    await inTransaction(db, async (client) => {
      await client.query("DELETE FROM idempotency_keys_sweep");
      await expect(sweep(client)).rejects.toThrow("run idempotencyKeysSchema");
      await client.query("INSERT INTO idempotency_keys_sweep DEFAULT VALUES");
    });
  });

  test("refuses a limit or an age that makes no sense", async () => {
    await expect(sweep(db, { olderThanMs: -1 })).rejects.toThrow(RangeError);
    await expect(sweep(db, { limit: 0 })).rejects.toThrow(RangeError);
    await expect(sweep(db, { blocks: 1.5 })).rejects.toThrow(RangeError);
  });
});

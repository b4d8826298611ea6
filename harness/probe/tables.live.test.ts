import { readFile } from "node:fs/promises";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isDrill } from "../drill.ts";
import { loadLabs } from "../labs.ts";
import { planMessages } from "../load/messages.ts";
import { sharedStack } from "../testing.ts";
import { connectProbe, tableReader } from "./tables.ts";

let database: pg.Client;
beforeAll(async () => {
  database = await connectProbe((await sharedStack()).direct.databaseUrl);
});
afterAll(() => database?.end());

const labs = (await loadLabs()).flatMap((lab) => (isDrill(lab) ? [] : [lab]));
const tables = labs.flatMap((lab) => lab.tables.map((table) => ({ lab, table, name: table.name })));

/** Of its schema's tables alone, gone with the transaction. */
async function withSchema<T>(home: string, work: () => Promise<T>): Promise<T> {
  await database.query("BEGIN; CREATE SCHEMA sluice_try; SET LOCAL search_path TO sluice_try");
  try {
    await database.query(await readFile(new URL("./schema.sql", home), "utf8"));
    return await work();
  } finally {
    await database.query("ROLLBACK");
  }
}

const giant: Readonly<Record<string, string>> = {
  text: "repeat('x', 5000000)",
  bytea: "decode(repeat('ab', 5000000), 'hex')",
  jsonb: `to_jsonb(repeat('x', 5000000))`,
  uuid: "gen_random_uuid()",
  "timestamp with time zone": "now()",
};

test.each(tables)("of giant values in $name of the $lab.name lab, little is read", async ({ lab, table }) => {
  const read = await withSchema(lab.home, async () => {
    const { rows: columns } = await database.query<{ column_name: string; data_type: string }>(
      `SELECT column_name, data_type FROM information_schema.columns
       WHERE table_schema = 'sluice_try' AND table_name = $1 AND is_identity = 'NO'`,
      [table.name],
    );
    await database.query(
      `INSERT INTO ${table.name} (${columns.map(({ column_name }) => pg.escapeIdentifier(column_name)).join()})
       SELECT ${columns.map(({ data_type }) => giant[data_type] ?? "1").join()}`,
    );
    const reader = tableReader(database, table, false);
    return { all: await reader.readAll(0), tail: await reader.tail() };
  });
  expect(read.all).toHaveLength(1);
  const length = JSON.stringify(read).length;
  expect(length).toBeGreaterThan(10);
  expect(length).toBeLessThan(1_000_000);
});

test("a message that is kept as it was sent is told from one that differs in a byte, of whatever length", async () => {
  const ingest = tables.find(({ lab, name }) => lab.name === "ingest" && name === "rejected_messages");
  if (ingest === undefined) throw new Error("ingest keeps no rejected messages");
  const { lab, table } = ingest;
  const plan = planMessages(3, lab.profiles.full.load, lab.partitions);
  const kinds = new Map(
    Array.from({ length: plan.length }, (_, i) => plan.at(i)).map((one) => [one.malformation, one]),
  );
  expect([...kinds.keys()]).toEqual(expect.arrayContaining(["oversized", "no-value", "empty"]));
  kinds.delete(undefined);
  const at = table.columns.findIndex(({ name }) => name === "value");
  await withSchema(lab.home, async () => {
    const reader = tableReader(database, table, false);
    for (const { index } of kinds.values()) {
      const message = { ...plan.at(index), topic: "t", offset: 7, event: undefined };
      const value = plan.value(index);
      const insert = (bytes: Buffer | null) =>
        database.query(`INSERT INTO rejected_messages VALUES ('t', $1, 7, $2, $3, 'no event')`, [
          message.partition,
          Buffer.from(message.accountId),
          bytes,
        ]);
      await insert(value);
      await insert(Buffer.concat([value ?? Buffer.alloc(0), Buffer.from("x")]));
      const [same, other] = await reader.readAll(0);
      const expected = table.expected({ ...message, value: () => value });
      expect(same?.values).toEqual(expected);
      expect(other?.values[at]).not.toBe(expected[at]);
      await database.query("DELETE FROM rejected_messages");
    }
  });
});

/**
 * What idempotency costs: `onceEach` with the insert as its effect, beside the ingest lab's plain
 * `INSERT ... ON CONFLICT DO NOTHING`. Both store the same messages in batches of the same size, two at a time, on the
 * same real Postgres; each run on a database of its own.
 */
import pg from "pg";
import { openStack } from "../harness/stack/choose.ts";
import type { Stack } from "../harness/stack/stack.ts";
import { parts } from "../labs/ingest/solution.ts";
import { idempotencyKeysSchema, type KeyedCall, onceEach } from "../toolkit/delivery/once.ts";
import { payloadHash } from "../toolkit/delivery/payload-hash.ts";
import type { KafkaRecord } from "../toolkit/kafka/record.ts";
import { Message } from "../toolkit/pipeline/message.ts";
import { jsonArray } from "../toolkit/postgres/json-array.ts";
import { type Database, inTransaction, openPostgres } from "../toolkit/postgres/open.ts";
import { median } from "./median.ts";

const batchSize = 1_500;
const writers = 2;
const messageBytes = 230;
/** One in this many messages is one sent before. */
const duplicateOneIn = 10;

type Arm = "plain" | "once";
type Payment = Message<Buffer, KafkaRecord>;

export interface OnceResult {
  readonly messages: number;
  /** Medians over the repeats. */
  readonly messagesPerSecond: Readonly<Record<Arm, number>>;
  /** Each repeat, in the order they were run. */
  readonly repeats: Readonly<Record<Arm, readonly number[]>>;
}

export interface OnceOptions {
  /** Default: one is opened, and stopped afterwards. */
  readonly stack?: Stack;
  readonly messages: number;
  readonly repeats: number;
  readonly onProgress: (line: string) => void;
}

/** Rejects when a run lost or doubled a row. */
export async function benchOnce(options: OnceOptions): Promise<OnceResult> {
  const { messages, repeats, onProgress } = options;
  const stack =
    options.stack ?? (await openStack({ kind: "auto", env: process.env, onProgress, benchmark: true }));
  try {
    const { batches, events } = preload(messages);
    const runs: Record<Arm, number[]> = { plain: [], once: [] };
    // A B A B: what the machine does meanwhile falls on both.
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      for (const arm of ["plain", "once"] as const) {
        const rate = await run(stack, arm, batches, events, `bench_${arm}_${repeat}_${process.pid}`);
        runs[arm].push(rate);
        onProgress(`once: ${arm} ${Math.round(rate / 1_000)}k messages/s`);
      }
    }
    return {
      messages,
      messagesPerSecond: { plain: median(runs.plain), once: median(runs.once) },
      repeats: runs,
    };
  } finally {
    if (options.stack === undefined) await stack.stop();
  }
}

async function run(
  stack: Stack,
  arm: Arm,
  batches: readonly (readonly Payment[])[],
  events: number,
  name: string,
): Promise<number> {
  const server = new pg.Client({ connectionString: stack.direct.databaseUrl });
  await server.connect();
  await server.query(`CREATE DATABASE ${name}`);
  const url = new URL(stack.direct.databaseUrl);
  url.pathname = `/${name}`;
  const db = openPostgres(url.href, { maxConnections: writers, log: () => undefined });
  try {
    await db.query(`
      CREATE TABLE payments (
        event_id uuid NOT NULL, account_id text NOT NULL, amount_cents bigint NOT NULL,
        occurred_at timestamptz NOT NULL, sequence bigint NOT NULL, padding text NOT NULL)`);
    await db.query(
      arm === "plain" ? "CREATE UNIQUE INDEX payments_key ON payments (event_id)" : idempotencyKeysSchema,
    );
    // What the run before left to be written must not slow this one down.
    await server.query("CHECKPOINT");
    const store = arm === "plain" ? parts.store : storeOnce;
    let next = 0;
    const startedAt = performance.now();
    await Promise.all(
      Array.from({ length: writers }, async () => {
        for (let batch = batches[next++]; batch !== undefined; batch = batches[next++])
          await store(db, batch);
      }),
    );
    const seconds = (performance.now() - startedAt) / 1_000;
    const { rows } = await db.query<{ stored: string; different: string }>(
      "SELECT count(*) AS stored, count(DISTINCT event_id) AS different FROM payments",
    );
    const { stored, different } = rows[0] ?? {};
    if (Number(stored) !== events || Number(different) !== events) {
      throw new Error(`${arm} stored ${stored} rows of ${different} events; there were ${events} events`);
    }
    return batches.reduce((sum, batch) => sum + batch.length, 0) / seconds;
  } finally {
    await db.end();
    await server.query(`DROP DATABASE ${name} WITH (FORCE)`);
    await server.end();
  }
}

async function storeOnce(db: Database, payments: readonly Payment[]): Promise<void> {
  // The key is known from the check of the message, which both ways need; the hash is made here.
  const calls = payments.map(({ value, origin }) => ({
    key: String(origin.key),
    payloadHash: payloadHash(value),
    value,
  }));
  await inTransaction(db, (connection) => onceEach(connection, calls, insert));
}

async function insert(
  connection: Parameters<typeof onceEach>[0],
  fresh: readonly (KeyedCall & { readonly value: Buffer })[],
): Promise<undefined> {
  await connection.query({
    name: "insert payments",
    text: `
      INSERT INTO payments (event_id, account_id, amount_cents, occurred_at, sequence, padding)
      SELECT "eventId", "accountId", "amountCents", "occurredAt", sequence, padding
      FROM json_to_recordset($1::json) AS payment (
        "eventId" uuid, "accountId" text, "amountCents" bigint, "occurredAt" timestamptz,
        sequence bigint, padding text)`,
    values: [jsonArray(fresh.map(({ value }) => value))],
  });
}

/** The messages in batches; every tenth is an earlier one again. The record's key is the event id. */
function preload(messages: number): { batches: Payment[][]; events: number } {
  const assignment = { topic: "payments", partition: 0, generation: 0, revoked: false };
  const batches: Payment[][] = [];
  const all: Payment[] = [];
  let events = 0;
  for (let i = 0; i < messages; i += 1) {
    const again = i % duplicateOneIn === duplicateOneIn - 1 ? all[Math.floor(i / 2)] : undefined;
    if (again === undefined) events += 1;
    const payment = again ?? message(i, assignment);
    all.push(payment);
    if (i % batchSize === 0) batches.push([]);
    batches.at(-1)?.push(payment);
  }
  return { batches, events };
}

function message(index: number, assignment: Payment["assignment"]): Payment {
  const scattered = (Math.imul(index, 0x9e3779b1) >>> 0).toString(16).padStart(8, "0");
  const eventId = `${scattered}-${scattered.slice(4)}-4${scattered.slice(1, 4)}-8${scattered.slice(0, 3)}-${index.toString(16).padStart(12, "0")}`;
  const fields = {
    eventId,
    accountId: `acct-${index % 200}`,
    amountCents: (index * 7_919) % 500_000,
    occurredAt: new Date(1_767_600_000_000 + index).toISOString(),
    sequence: Math.floor(index / 200),
  };
  const length = Buffer.byteLength(JSON.stringify({ ...fields, padding: "" }));
  const value = Buffer.from(
    JSON.stringify({ ...fields, padding: "x".repeat(Math.max(0, messageBytes - length)) }),
  );
  const record: KafkaRecord = {
    topic: "payments",
    partition: 0,
    offset: index,
    key: Buffer.from(eventId),
    value,
    headers: {},
    timestamp: 0,
  };
  return new Message(value, record, assignment, index);
}

/** The figures as lines of a table. */
export function onceTable({ messages, messagesPerSecond: { plain, once } }: OnceResult): string[] {
  return [
    `storing ${messages.toLocaleString("en")} messages, ${writers} batches of ${batchSize} at a time`,
    `  INSERT ... ON CONFLICT    messages/s   ${plain.toFixed(0).padStart(10)}`,
    `  onceEach                  messages/s   ${once.toFixed(0).padStart(10)}   ratio ${(once / plain).toFixed(2)}`,
  ];
}

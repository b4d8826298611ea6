import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Admin, Kafka, logLevel, type Message as Outgoing, type Producer } from "kafkajs";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Link, ServiceName, Stack } from "../../harness/stack/stack.ts";
import { sharedStack } from "../../harness/testing.ts";
import { createTopics } from "../../harness/topics.ts";

const partitions = 4;
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
let stack: Stack;
let admin: Admin;
let producer: Producer;
let postgres: pg.Client;
let db: pg.Client;
let place: string;
let places = 0;
const workers: Worker[] = [];

interface Worker {
  readonly process: ChildProcess;
  readonly exited: Promise<number | NodeJS.Signals | null>;
  stderr: string;
}

beforeAll(async () => {
  stack = await sharedStack();
  const kafka = new Kafka({ brokers: stack.direct.kafkaBrokers.split(","), logLevel: logLevel.NOTHING });
  admin = kafka.admin();
  producer = kafka.producer();
  postgres = new pg.Client({ connectionString: stack.direct.databaseUrl });
  await Promise.all([admin.connect(), producer.connect(), postgres.connect()]);
});

beforeEach(async () => {
  place = `solution_${process.pid}_${++places}`;
  await createTopics(admin, [{ topic: place, numPartitions: partitions }]);
  await postgres.query(`CREATE DATABASE ${place}`);
  db = new pg.Client({ connectionString: inDatabase(stack.direct.databaseUrl) });
  await db.connect();
  await db.query(readFileSync(here("schema.sql"), "utf8"));
});

afterEach(async () => {
  link("kafka").heal();
  link("postgres").heal();
  for (const worker of workers) worker.process.kill("SIGKILL");
  await Promise.all(workers.splice(0).map((worker) => worker.exited));
  await db.end();
  await postgres.query(`DROP DATABASE ${place} WITH (FORCE)`);
});

afterAll(async () => {
  await Promise.all([admin?.disconnect(), producer?.disconnect(), postgres?.end()]);
});

function inDatabase(serverUrl: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${place}`;
  return url.href;
}

function link(service: ServiceName): Link {
  const proxy = stack.link(service);
  if (proxy === undefined) throw new Error(`these tests cut ${service}: they need a stack with its proxy`);
  return proxy;
}

function startWorker(): Worker {
  const child = spawn(process.execPath, ["--import", "tsx", here("solution.ts")], {
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      PATH: process.env.PATH,
      KAFKA_BROKERS: stack.worker.kafkaBrokers,
      KAFKA_TOPIC: place,
      KAFKA_GROUP_ID: place,
      KAFKA_SESSION_TIMEOUT_MS: "2000",
      DATABASE_URL: inDatabase(stack.worker.databaseUrl),
      WORKER_MAX_IN_FLIGHT: "2000",
    },
  });
  const worker: Worker = {
    process: child,
    exited: new Promise((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal))),
    stderr: "",
  };
  child.stderr?.on("data", (chunk) => {
    worker.stderr += chunk;
  });
  workers.push(worker);
  return worker;
}

function payment(fields: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    eventId: randomUUID(),
    accountId: "acct-0001",
    amountCents: 4_000_000_000_001,
    occurredAt: "2026-01-05T08:00:00.123Z",
    sequence: 1,
    padding: 'it\'s "quoted" \\ with\ttabs,\nnewlines, é and 😀',
    ...fields,
  };
}

async function send(values: readonly (Buffer | string | null)[]): Promise<void> {
  const messages = values.map(
    (value, at): Outgoing => ({ key: `acct-${at % 100}`, value, partition: at % partitions }),
  );
  for (let at = 0; at < messages.length; at += 1_000) {
    await producer.send({ topic: place, messages: messages.slice(at, at + 1_000) });
  }
}

/** Sends payments until told to stop; the result tells their ids. */
function sendSteadily(): { stop(): Promise<Set<string>> } {
  const ids = new Set<string>();
  let going = true;
  const done = (async () => {
    while (going) {
      const some = Array.from({ length: 40 }, (_, at) => payment({ sequence: at }));
      await send(some.map((one) => JSON.stringify(one)));
      for (const one of some) ids.add(String(one.eventId));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  return {
    async stop() {
      going = false;
      await done;
      return ids;
    },
  };
}

async function count(table: "payments" | "rejected_messages"): Promise<number> {
  const { rows } = await db.query<{ count: string }>(`SELECT count(*) FROM ${table}`);
  return Number(rows[0]?.count);
}

async function storedIds(): Promise<string[]> {
  const { rows } = await db.query<{ event_id: string }>("SELECT event_id FROM payments");
  return rows.map((row) => row.event_id);
}

/** Messages sent and not yet covered by a committed offset. */
async function lag(): Promise<number> {
  const [ends, [group]] = await Promise.all([
    admin.fetchTopicOffsets(place),
    admin.fetchOffsets({ groupId: place, topics: [place] }),
  ]);
  const committed = (group?.partitions ?? []).reduce((sum, one) => sum + Math.max(0, Number(one.offset)), 0);
  return ends.reduce((sum, one) => sum + Number(one.offset), 0) - committed;
}

async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs = 20_000,
): Promise<void> {
  const startedAt = performance.now();
  while (!(await holds())) {
    if (performance.now() - startedAt > deadlineMs) {
      throw new Error(
        `waited ${deadlineMs} ms for ${what}; ${workers.map((worker) => worker.stderr).join("")}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe("what is stored", () => {
  test("every value exactly as it was sent", async () => {
    const sent = [
      payment(),
      payment({ amountCents: Number.MAX_SAFE_INTEGER, padding: "" }),
      payment({
        amountCents: -1,
        accountId: "口座 'x' \\ \"y\"",
        padding: "\\u0000 in plain letters, \u2028, \ufeff",
      }),
      payment({ occurredAt: "2024-02-29T23:59:59.999999+05:30" }),
    ];
    await send(sent.map((one) => JSON.stringify(one)));
    startWorker();
    await until("all rows", async () => (await count("payments")) === sent.length);
    const { rows } = await db.query("SELECT * FROM payments");
    for (const one of sent) {
      const row = rows.find((candidate) => candidate.event_id === one.eventId);
      expect(row).toEqual({
        event_id: one.eventId,
        account_id: one.accountId,
        amount_cents: String(one.amountCents),
        occurred_at: new Date(String(one.occurredAt)),
        sequence: String(one.sequence),
        padding: one.padding,
      });
    }
  });

  test("repeated events once, repeated fields by their last value, numbers that are no integers not at all", async () => {
    const text = JSON.stringify(
      payment({ eventId: "00000000-0000-4000-8000-000000000001", amountCents: 0, sequence: 0 }),
    );
    await send([
      text.replace('"amountCents":0', '"amountCents":1.5e3'),
      text.replace("0001", "0002").replace('"amountCents":0', '"amountCents":1,"amountCents":2'),
      ...Array.from({ length: 50 }, () => text.replace("0001", "0003")),
    ]);
    startWorker();
    await until("nothing to be left", async () => (await lag()) === 0);
    const { rows } = await db.query(
      "SELECT event_id, amount_cents, sequence FROM payments ORDER BY event_id",
    );
    expect(rows).toEqual([
      { event_id: "00000000-0000-4000-8000-000000000002", amount_cents: "2", sequence: "0" },
      { event_id: "00000000-0000-4000-8000-000000000003", amount_cents: "0", sequence: "0" },
    ]);
    const rejected = await db.query("SELECT reason FROM rejected_messages");
    expect(rejected.rows).toEqual([{ reason: 'invalid input syntax for type bigint: "1.5e3"' }]);
  });

  test("what is no payment is kept with its bytes and a reason, and holds up nothing", async () => {
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    const text = JSON.stringify(payment());
    const poison: (Buffer | string | null)[] = [
      null,
      Buffer.alloc(0),
      Buffer.alloc(1_000_000, Buffer.from([0xff, 0x00, 0x7b])),
      "{\u0000",
      text.slice(0, 40),
      JSON.stringify(payment({ amountCents: "12" })),
      JSON.stringify(payment({ padding: "a\u0000b" })),
      JSON.stringify(payment({ padding: "\ud83d" })),
      // Passes the check, and only Postgres cannot take it.
      text.replace("{", `{"extra":${deep},`),
      text.replace("{", '{"extra":"\\u0000",'),
    ];
    const good = Array.from({ length: 300 }, () => JSON.stringify(payment()));
    await send([...good.slice(0, 100), ...poison, ...good.slice(100)]);
    const worker = startWorker();
    await until("all offsets to be committed", async () => (await lag()) === 0);
    const rejected = await db.query(
      `SELECT topic, partition, "offset", key, value, reason FROM rejected_messages ORDER BY rejected_at`,
    );
    expect(await count("payments")).toBe(good.length);
    expect(rejected.rows).toHaveLength(poison.length);
    for (const [at, value] of poison.entries()) {
      const sentAt = 100 + at;
      const offset = Math.floor(sentAt / partitions);
      const row = rejected.rows.find(
        (one) => one.partition === sentAt % partitions && Number(one.offset) === offset,
      );
      expect(row, `poison ${at} at offset ${offset}`).toBeDefined();
      expect(String(row.key)).toBe(`acct-${sentAt % 100}`);
      const isSame = value === null ? row.value === null : Buffer.from(value).equals(row.value);
      expect(isSame, `bytes of poison ${at}`).toBe(true);
      expect(row.reason).not.toBe("");
    }
    expect(worker.process.exitCode).toBeNull();
  });
});

describe("what breaks", () => {
  test("Postgres cut, Kafka cut and a kill: nothing is lost and nothing is doubled", async () => {
    const first = startWorker();
    const sending = sendSteadily();
    await until("rows", async () => (await count("payments")) > 200);
    for (const service of ["postgres", "kafka"] as const) {
      link(service).cut();
      await new Promise((resolve) => setTimeout(resolve, 700));
      link(service).heal();
      const before = await count("payments");
      await until(`rows after the cut of ${service}`, async () => (await count("payments")) > before + 200);
    }
    expect(first.process.exitCode).toBeNull();
    first.process.kill("SIGKILL");
    await first.exited;
    const second = startWorker();
    const before = await count("payments");
    await until("rows after the kill", async () => (await count("payments")) > before + 200);
    const sent = await sending.stop();
    await until("all offsets to be committed", async () => (await lag()) === 0);
    const stored = await storedIds();
    expect(stored).toHaveLength(sent.size);
    expect(new Set(stored)).toEqual(sent);
    expect(second.process.exitCode).toBeNull();
  });

  test("SIGTERM in mid-work: what was begun is stored and committed, and it exits 0", async () => {
    await send(Array.from({ length: 20_000 }, () => JSON.stringify(payment())));
    const worker = startWorker();
    await until("the work to begin", async () => (await count("payments")) > 0);
    worker.process.kill("SIGTERM");
    const startedAt = performance.now();
    expect(await worker.exited).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(20_000 - (await lag())).toBe(await count("payments"));
  });

  test("SIGTERM while Postgres is away: it still ends in time, and hands back what it could not store", async () => {
    const worker = startWorker();
    await until("its keys", async () => {
      const { rows } = await db.query("SELECT to_regclass('payments_key') AS key");
      return rows[0].key !== null;
    });
    link("postgres").cut();
    await send(Array.from({ length: 500 }, () => JSON.stringify(payment())));
    await until("it to notice", () => worker.stderr.includes("cannot write a batch (retry)"));
    worker.process.kill("SIGTERM");
    const startedAt = performance.now();
    expect(await worker.exited).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    expect(await lag()).toBe(500);
  });
});

describe("the start", () => {
  test("workers that start together add the keys once, share the work, and none fails", async () => {
    await send(Array.from({ length: 4_000 }, () => JSON.stringify(payment())));
    const together = [startWorker(), startWorker(), startWorker()];
    await until("all offsets to be committed", async () => (await lag()) === 0);
    expect(await count("payments")).toBe(4_000);
    expect(together.map((worker) => worker.process.exitCode)).toEqual([null, null, null]);
    const { rows } = await db.query(
      "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    );
    expect(rows.map((row) => row.indexname)).toEqual(["payments_key", "rejected_messages_key"]);
  });

  test("a worker that starts before its database answers waits for it", async () => {
    await send([JSON.stringify(payment())]);
    link("postgres").cut();
    const worker = startWorker();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(worker.process.exitCode).toBeNull();
    link("postgres").heal();
    await until("the row", async () => (await count("payments")) === 1);
  });
});

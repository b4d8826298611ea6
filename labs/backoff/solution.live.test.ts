import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { Kafka, logLevel } from "kafkajs";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Stack } from "../../harness/stack/stack.ts";
import { sharedStack } from "../../harness/testing.ts";
import { createTopics } from "../../harness/topics.ts";
import { until } from "../../harness/until.ts";

const place = `backoff_solution_${process.pid}`;
const within = { timeoutMs: 20_000, everyMs: 50 };
const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
let stack: Stack;
let db: pg.Client;
let gateway: Server;
let worker: ChildProcess | undefined;
/** Calls by event; the first is answered with 503. */
const calls = new Map<string, number>();

const inDatabase = (url: string) => Object.assign(new URL(url), { pathname: `/${place}` }).href;

beforeAll(async () => {
  stack = await sharedStack();
  await onServer(`CREATE DATABASE ${place}`);
  db = new pg.Client({ connectionString: inDatabase(stack.direct.databaseUrl) });
  await db.connect();
  await db.query(readFileSync(file("schema.sql"), "utf8"));
  gateway = createServer((request, response) => {
    const url = request.url ?? "";
    const count = (calls.get(url) ?? 0) + 1;
    calls.set(url, count);
    request.resume().once("end", () => response.writeHead(count === 1 ? 503 : 200).end());
  });
  await once(gateway.listen(0, "127.0.0.1"), "listening");
});

afterAll(async () => {
  stack?.link("postgres")?.heal();
  worker?.kill("SIGKILL");
  gateway?.closeAllConnections();
  gateway?.close();
  await db?.end();
  await onServer(`DROP DATABASE ${place} WITH (FORCE)`);
});

async function onServer(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: stack.direct.databaseUrl });
  await client.connect();
  await client.query(statement);
  await client.end();
}

async function send(count: number): Promise<void> {
  const kafka = new Kafka({ brokers: stack.direct.kafkaBrokers.split(","), logLevel: logLevel.NOTHING });
  const [admin, producer] = [kafka.admin(), kafka.producer()];
  await Promise.all([admin.connect(), producer.connect()]);
  await createTopics(admin, [{ topic: place, numPartitions: 1 }]);
  const messages = Array.from({ length: count }, () => ({
    value: JSON.stringify({ eventId: randomUUID(), accountId: "acct-0001", amountCents: 1 }),
  }));
  await producer.send({ topic: place, messages });
  await Promise.all([admin.disconnect(), producer.disconnect()]);
}

function startWorker(): ChildProcess {
  return spawn(process.execPath, ["--import", "tsx", file("solution.ts")], {
    stdio: "ignore",
    env: {
      PATH: process.env.PATH,
      KAFKA_BROKERS: stack.worker.kafkaBrokers,
      KAFKA_TOPIC: place,
      KAFKA_GROUP_ID: place,
      KAFKA_SESSION_TIMEOUT_MS: "2000",
      DATABASE_URL: inDatabase(stack.worker.databaseUrl),
      REDIS_URL: stack.worker.redisUrl,
      REDIS_PREFIX: place,
      GATEWAY_URL: `http://127.0.0.1:${(gateway.address() as AddressInfo).port}`,
      WORKER_CONCURRENCY: "8",
      WORKER_MAX_IN_FLIGHT: "100",
      RETRY_MAX_ATTEMPTS: "3",
      RETRY_BASE_MS: "1000",
      RETRY_FACTOR: "1",
      RETRY_CAP_MS: "1000",
      RETRY_JITTER: "0",
    },
  });
}

async function rowsOf(table: "payments" | "dead_letters"): Promise<number> {
  const { rows } = await db.query<{ count: number }>(`SELECT count(*)::int AS count FROM ${table}`);
  return rows[0]?.count ?? 0;
}

test("Postgres away for longer than all the waits of the policy: what the gateway took is stored, and asked for once", async () => {
  const link = stack.link("postgres");
  if (link === undefined) throw new Error("this test cuts postgres: it needs a stack with its proxy");
  const count = 20;
  await send(count);
  worker = startWorker();
  await until("all to have failed once", () => calls.size === count, within);
  link.cut();
  await until("the gateway to take all", () => [...calls.values()].every((one) => one > 1), within);
  // Three attempts, a second apart.
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  link.heal();
  await until(
    "all to end",
    async () => (await rowsOf("payments")) + (await rowsOf("dead_letters")) >= count,
    within,
  );
  expect([await rowsOf("payments"), await rowsOf("dead_letters")]).toEqual([count, 0]);
  expect(new Set(calls.values())).toEqual(new Set([2]));
});

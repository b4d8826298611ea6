import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Kafka, logLevel } from "kafkajs";
import pg from "pg";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { isDrill } from "./drill.ts";
import type { Lab, WatchedQuery } from "./lab.ts";
import { loadLab } from "./labs.ts";
import { run } from "./run.ts";
import type { Stack } from "./stack/stack.ts";
import { resolveSubject } from "./subject/resolve.ts";
import { sharedStack } from "./testing.ts";
import { pauseFor, until } from "./until.ts";

const ingest = await labOf("ingest");
const project = fileURLToPath(new URL("..", import.meta.url));
let stack: Stack;
let administrator: pg.Client;
const folder = await mkdtemp(join(tmpdir(), "sluice-run-"));
beforeAll(async () => {
  stack = await sharedStack();
  administrator = new pg.Client({ connectionString: stack.direct.databaseUrl });
  await administrator.connect();
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await administrator?.end();
  await rm(folder, { recursive: true, force: true });
});

async function labOf(name: string): Promise<Lab> {
  const lab = await loadLab(name);
  if (isDrill(lab)) throw new TypeError(`${name} runs without servers`);
  return lab;
}

/** The same servers, as if they had been found: what is made on them must be removed again. */
const found = (): Stack => Object.create(stack, { lasts: { value: true } });

const calm = ingest.proofInCalm ?? ingest.profiles.quick;
const start = (lab: Lab, on: Stack, onProgress: () => void = () => undefined) =>
  run({
    lab,
    subject: resolveSubject(ingest.home, "solution", []),
    profile: "quick",
    scenario: calm,
    seed: 7,
    stack: on,
    folder,
    command: "again",
    cwd: project,
    onProgress,
  });

const column = async (sql: string): Promise<string[]> =>
  (await administrator.query({ text: sql, rowMode: "array" })).rows.map(([one]) => String(one));
const databases = () => column("SELECT datname FROM pg_database ORDER BY 1");

async function topics(): Promise<string[]> {
  const admin = new Kafka({
    brokers: stack.direct.kafkaBrokers.split(","),
    logLevel: logLevel.NOTHING,
  }).admin();
  await admin.connect();
  const names = await admin.listTopics();
  await admin.disconnect();
  return names.sort();
}

const made = async () => [...(await databases()), ...(await topics())];
/** What was made since, and is still there. Of what was there before some may be about to go. */
const madeSince = (before: readonly string[]) => async () =>
  (await made()).filter((name) => !before.includes(name));
/** A broker tells of a topic for a moment after it has deleted it. */
const within = { timeout: 5_000, interval: 100 };

test("a run that ends before its worker starts leaves no database and no topic on servers that stay", async () => {
  const before = await made();
  vi.stubEnv("SLUICE_CACHE", "/dev/null/nowhere");
  await expect(start(ingest, found())).rejects.toThrow("cannot write to the cache folder");
  vi.unstubAllEnvs();
  await expect.poll(madeSince(before), within).toEqual([]);
});

test("a run whose schema cannot be applied leaves no database either", async () => {
  const before = await made();
  await expect(start({ ...ingest, home: import.meta.url }, found())).rejects.toThrow("schema.sql");
  await expect.poll(madeSince(before), within).toEqual([]);
});

test("a run whose watches cannot be opened ends all its other probes", async () => {
  // A database that lets the harness in only so often.
  await administrator.query("DROP ROLE IF EXISTS sluice_limited");
  await administrator.query("CREATE ROLE sluice_limited LOGIN SUPERUSER PASSWORD 'limited'");
  await administrator.query("ALTER ROLE sluice_limited NOSUPERUSER CREATEDB CONNECTION LIMIT 2");
  const limited = new URL(stack.direct.databaseUrl);
  limited.username = "sluice_limited";
  limited.password = "limited";
  const on: Stack = Object.create(found(), {
    direct: { value: { ...stack.direct, databaseUrl: limited.href } },
  });
  const watch = (name: string): WatchedQuery => ({ name, columns: ["one"], sql: "SELECT 1", everyMs: 50 });
  let told = 0;
  await expect(
    start({ ...ingest, watches: ["a", "b", "c"].map(watch) }, on, () => {
      told += 1;
    }),
  ).rejects.toThrow("too many connections");
  told = 0;
  const connections = () => column("SELECT pid FROM pg_stat_activity WHERE usename = 'sluice_limited'");
  await until("its connections to end", async () => (await connections()).length === 0, { timeoutMs: 2_000 });
  // Twice as long as between two samples.
  await pauseFor(500);
  expect(told).toBe(0);
  await administrator.query("DROP ROLE sluice_limited");
});

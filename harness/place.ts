/** A fresh place for one run: a database with the lab's schema, topics, a group and a Redis prefix of its own. */
import { readFile } from "node:fs/promises";
import { type Admin, Kafka, logLevel } from "kafkajs";
import pg from "pg";
import type { Lab } from "./lab.ts";
import { connectProbe } from "./probe/tables.ts";
import type { Stack } from "./stack/stack.ts";
import { createTopics } from "./topics.ts";
import { until } from "./until.ts";

/** Longer than the session of a worker that was killed: until its end the group has a member. */
const groupsEmptyWithinMs = 5_000;
const keysAtOnce = 1_000;
/** A server that takes connections and answers nothing must not hold up the end of a run. */
const redisAnswersWithinMs = 5_000;

export interface Place {
  readonly topic: string;
  /** What the broker is warmed up with goes there; workers do not know it. */
  readonly warmUpTopic: string;
  readonly groupId: string;
  /** Of those who read the topic once more, where a scenario has that. */
  readonly replayGroupId: string;
  readonly redisPrefix: string;
  /** For the harness, and for workers. */
  readonly databaseUrl: string;
  readonly workerDatabaseUrl: string;
  readonly admin: Admin;
  /** The probes' own connection to the run's database. */
  readonly database: pg.Client;
  /** Removes topics, groups, database and Redis keys again. Never throws: what it cannot remove it leaves. */
  remove(): Promise<void>;
}

/** @param runId lower-case letters, digits and hyphens */
export async function createPlace(stack: Stack, lab: Lab, runId: string): Promise<Place> {
  const databaseName = `sluice_${runId.replaceAll("-", "_")}`;
  const topic = `${lab.name}-${runId}`;
  const warmUpTopic = `warm-up-${runId}`;
  const groupId = `${lab.name}-${runId}`;
  const replayGroupId = `${groupId}-replay`;
  const redisPrefix = `${runId}:`;
  const kafka = new Kafka({
    clientId: "sluice-harness",
    brokers: stack.direct.kafkaBrokers.split(","),
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 8 },
  });
  const admin = kafka.admin();
  let database: pg.Client | undefined;
  const remove = async (): Promise<void> => {
    // A stack that was started for this is thrown away as a whole; one that stays is left as it was found.
    if (stack.lasts) {
      await Promise.allSettled([
        // The topics last: the client asks for them whenever it asks for anything.
        deleteGroups(admin, [groupId, replayGroupId])
          .catch(() => undefined)
          .then(() => admin.deleteTopics({ topics: [topic, warmUpTopic], timeout: 5_000 })),
        deleteKeys(stack, redisPrefix),
        Promise.resolve(database?.end()).finally(() => dropDatabase(stack, databaseName)),
      ]);
    }
    await Promise.allSettled([database?.end(), admin.disconnect()]);
  };
  // Both are awaited even when one fails: what is still being made cannot be removed.
  const [connected, topics] = await Promise.allSettled([
    createDatabase(stack, lab, databaseName),
    admin.connect().then(() =>
      createTopics(
        admin,
        [topic, warmUpTopic].map((one) => ({ topic: one, numPartitions: lab.partitions })),
      ),
    ),
  ]);
  if (connected.status === "fulfilled") database = connected.value;
  if (database === undefined || topics.status === "rejected") {
    await remove();
    throw connected.status === "rejected"
      ? connected.reason
      : topics.status === "rejected"
        ? topics.reason
        : undefined;
  }
  return {
    topic,
    warmUpTopic,
    groupId,
    replayGroupId,
    redisPrefix,
    databaseUrl: withDatabase(stack.direct.databaseUrl, databaseName),
    workerDatabaseUrl: withDatabase(stack.worker.databaseUrl, databaseName),
    admin,
    database,
    remove,
  };
}

async function deleteGroups(admin: Admin, ours: readonly string[]): Promise<void> {
  // A group that never had a member is unknown to the broker, and the client would ask for it again and again.
  const known = async (): Promise<string[]> =>
    (await admin.listGroups()).groups.map(({ groupId }) => groupId).filter((one) => ours.includes(one));
  await until(
    "the groups to be empty",
    async () => {
      const groups = await known();
      if (groups.length > 0) await admin.deleteGroups(groups);
      return true;
    },
    { timeoutMs: groupsEmptyWithinMs, everyMs: 250 },
  );
}

/** @param prefix without a character that stands for others in a pattern of Redis */
async function deleteKeys(stack: Stack, prefix: string): Promise<void> {
  const { Redis } = await import("ioredis");
  const client = new Redis(stack.direct.redisUrl, {
    maxRetriesPerRequest: 1,
    retryStrategy: () => null,
    commandTimeout: redisAnswersWithinMs,
    enableReadyCheck: false,
  });
  client.on("error", () => undefined);
  try {
    let cursor = "0";
    do {
      const [next, keys] = await client.scan(cursor, "MATCH", `${prefix}*`, "COUNT", keysAtOnce);
      if (keys.length > 0) await client.unlink(...keys);
      cursor = next;
    } while (cursor !== "0");
  } finally {
    client.disconnect();
  }
}

async function createDatabase(stack: Stack, lab: Lab, name: string): Promise<pg.Client> {
  await asAdministrator(stack, `CREATE DATABASE ${pg.escapeIdentifier(name)}`);
  const client = await connectProbe(withDatabase(stack.direct.databaseUrl, name));
  try {
    await client.query(await readFile(new URL("./schema.sql", lab.home), "utf8"));
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

const dropDatabase = (stack: Stack, name: string) =>
  asAdministrator(stack, `DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`);

async function asAdministrator(stack: Stack, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: stack.direct.databaseUrl });
  client.on("error", () => undefined);
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

/** Conditions that hold when a service really answers: not an open port, but a request served. */
import { Socket } from "node:net";
import { Redis } from "ioredis";
import { Kafka } from "kafkajs";
import { Client } from "pg";
import { type Condition, inTurn } from "./readiness.ts";

/** The brokers serve metadata and a group's coordinator serves its offsets: consumer groups can form at once. */
export function kafkaAnswers(brokers: string): Condition<void> {
  return inTurn(kafkaServes(brokers), coordinatorServes(brokers));
}

function kafkaServes(brokers: string): Condition<void> {
  return {
    what: `Kafka to answer on ${brokers}`,
    probe: (withinMs) =>
      withAdmin(brokers, withinMs, async (admin) => {
        const cluster = await admin.describeCluster();
        if (cluster.brokers.length === 0) throw new Error("it knows no broker yet");
      }),
  };
}

/** Finding the first coordinator makes Kafka create its offsets topic, which would else delay the first group. */
function coordinatorServes(brokers: string): Condition<void> {
  return {
    what: "its group coordinator",
    probe: (withinMs) =>
      withAdmin(brokers, withinMs, async (admin) => {
        // kafkajs looks a coordinator up at the brokers it knows, and it knows none before it has metadata.
        await admin.describeCluster();
        await admin.fetchOffsets({ groupId: "sluice-readiness" });
      }),
  };
}

type Admin = ReturnType<Kafka["admin"]>;

async function withAdmin(
  brokers: string,
  withinMs: number,
  use: (admin: Admin) => Promise<void>,
): Promise<void> {
  const kafka = new Kafka({
    clientId: "sluice-readiness",
    brokers: brokers.split(",").map((broker) => broker.trim()),
    connectionTimeout: withinMs,
    requestTimeout: withinMs,
    retry: { retries: 0 },
    logCreator: () => () => {},
  });
  const admin = kafka.admin();
  try {
    await admin.connect();
    await use(admin);
  } finally {
    await admin.disconnect();
  }
}

/** A query is served. Gives the server's version, such as "17.6". */
export function postgresAnswers(url: string, address: string): Condition<string> {
  return {
    what: `PostgreSQL to answer on ${address}`,
    probe: async (withinMs) => {
      // A socket of our own: a server that hangs cannot be left politely.
      const socket = new Socket();
      const client = new Client({
        connectionString: url,
        connectionTimeoutMillis: withinMs,
        query_timeout: withinMs,
        stream: () => socket,
      });
      client.on("error", () => {});
      try {
        await client.connect();
        const result = await client.query<{ server_version: string }>("SHOW server_version");
        return result.rows[0]?.server_version.split(" ")[0] ?? "unknown";
      } finally {
        await Promise.race([
          client.end().catch(() => {}),
          new Promise((resolve) => socket.once("close", resolve).destroy()),
        ]);
      }
    },
  };
}

/** PING is served, so it is not loading its data any more. Gives the server's version, such as "6.2.6". */
export function redisAnswers(url: string, address: string): Condition<string> {
  return {
    what: `Redis to answer on ${address}`,
    probe: async (withinMs) => {
      const redis = new Redis(url, {
        lazyConnect: true,
        connectTimeout: withinMs,
        commandTimeout: withinMs,
        maxRetriesPerRequest: 0,
        enableReadyCheck: false,
        retryStrategy: () => null,
      });
      let failure: Error | undefined;
      redis.on("error", (error: Error) => {
        failure = error;
      });
      try {
        await redis.connect();
        await redis.ping();
        const info = await redis.info("server");
        return /^redis_version:(\S+)/m.exec(info)?.[1] ?? "unknown";
      } catch (error) {
        // "Connection is closed." hides why; the socket's own error says it.
        throw failure ?? error;
      } finally {
        redis.disconnect();
      }
    },
  };
}

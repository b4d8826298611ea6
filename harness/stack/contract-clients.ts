/** Real clients for the contract suite: write something under a key, read how often it is there. */
import { Redis } from "ioredis";
import { Kafka } from "kafkajs";
import { Client } from "pg";
import { createTopics } from "../topics.ts";
import type { Endpoints, ServiceName } from "./stack.ts";

export interface ServiceClients {
  /** A row, a key, or a message in a topic of that name; durable when it resolves. */
  write(service: ServiceName, key: string): Promise<void>;
  /** A connection that has been used and stays open: what it writes next, it writes there. */
  writer(service: ServiceName): Promise<Writer>;
  /** How many rows, keys or messages there are under that key. */
  read(service: ServiceName, key: string): Promise<number>;
  /** The first message of the topic of that key, by way of a consumer group. */
  consume(key: string): Promise<string>;
}

export interface Writer {
  write(key: string): Promise<unknown>;
  close(): void;
}

export function serviceClients(endpoints: Endpoints): ServiceClients {
  const kafka = new Kafka({
    brokers: endpoints.kafkaBrokers.split(","),
    logCreator: () => () => {},
    retry: { initialRetryTime: 50, retries: 8 },
  });
  /** Sends once or fails: what a retry sent over a new connection would be another matter. */
  const once = new Kafka({
    brokers: endpoints.kafkaBrokers.split(","),
    logCreator: () => () => {},
    retry: { retries: 0 },
  });

  const openPostgres = async (): Promise<Client> => {
    const client = new Client({ connectionString: endpoints.databaseUrl, connectionTimeoutMillis: 5_000 });
    client.on("error", () => {});
    await client.connect();
    await client.query("CREATE TABLE IF NOT EXISTS contract (key text)");
    return client;
  };
  const postgres = async <T>(use: (client: Client) => Promise<T>): Promise<T> => {
    const client = await openPostgres();
    try {
      return await use(client);
    } finally {
      await client.end();
    }
  };
  const openRedis = (): Redis => {
    const client = new Redis(endpoints.redisUrl, { maxRetriesPerRequest: 1, retryStrategy: () => null });
    client.on("error", () => {});
    return client;
  };
  const redis = async <T>(use: (client: Redis) => Promise<T>): Promise<T> => {
    const client = openRedis();
    try {
      return await use(client);
    } finally {
      client.disconnect();
    }
  };
  const admin = async <T>(use: (client: ReturnType<Kafka["admin"]>) => Promise<T>): Promise<T> => {
    const client = kafka.admin();
    await client.connect();
    try {
      return await use(client);
    } finally {
      await client.disconnect();
    }
  };
  const topicOf = (key: string): string => `contract-${key.replaceAll(" ", "-")}`;
  const produce = async (key: string): Promise<void> => {
    const producer = kafka.producer();
    await admin((client) => createTopics(client, [{ topic: topicOf(key), numPartitions: 1 }]));
    await producer.connect();
    try {
      await producer.send({ topic: topicOf(key), messages: [{ value: key }] });
    } finally {
      await producer.disconnect();
    }
  };
  const insert = (client: Client, key: string) => client.query("INSERT INTO contract VALUES ($1)", [key]);
  const set = (client: Redis, key: string) => client.set(`contract:${key}`, key);
  const messages = (key: string): Promise<number> =>
    admin(async (client) => {
      const partitions = await client.fetchTopicOffsets(topicOf(key));
      return partitions.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
    });

  return {
    write: async (service, key) => {
      if (service === "kafka") await produce(key);
      if (service === "redis") await redis((client) => set(client, key));
      if (service === "postgres") await postgres((client) => insert(client, key));
    },
    writer: async (service) => {
      if (service === "redis") {
        const client = openRedis();
        await client.ping();
        return { write: (key) => set(client, key), close: () => client.disconnect() };
      }
      if (service === "postgres") {
        const client = await openPostgres();
        return { write: (key) => insert(client, key), close: () => void client.end().catch(() => {}) };
      }
      const producer = once.producer();
      await producer.connect();
      await admin((client) => createTopics(client, [{ topic: topicOf("writer"), numPartitions: 1 }]));
      const write = (key: string) =>
        producer.send({ topic: topicOf("writer"), messages: [{ key, value: key }] });
      await write("opened");
      return { write, close: () => void producer.disconnect() };
    },
    read: (service, key) => {
      if (service === "kafka") return messages(key);
      if (service === "redis") return redis((client) => client.exists(`contract:${key}`));
      return postgres(async (client) => {
        const result = await client.query("SELECT 1 FROM contract WHERE key = $1", [key]);
        return result.rows.length;
      });
    },
    consume: async (key) => {
      const consumer = kafka.consumer({ groupId: topicOf(key), maxWaitTimeInMs: 100 });
      await consumer.connect();
      await consumer.subscribe({ topic: topicOf(key), fromBeginning: true });
      try {
        return await new Promise<string>((resolve, reject) => {
          consumer.run({ eachMessage: async ({ message }) => resolve(String(message.value)) }).catch(reject);
        });
      } finally {
        await consumer.disconnect();
      }
    },
  };
}

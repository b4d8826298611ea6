/** Sends messages to Kafka, each to the partition of its key, and resolves when the broker has them. */
import { randomUUID } from "node:crypto";
import { CompressionTypes } from "kafkajs";
import { logToStderr } from "../worker/log.ts";
import { createClient } from "./client.ts";

export interface Publishable {
  readonly topic: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer | Buffer[]>>;
}

export interface Publisher {
  /** All or, after an error, perhaps some of them; acknowledged by all in-sync replicas. */
  publish(messages: readonly Publishable[]): Promise<void>;
  close(): Promise<void>;
}

/** Well under the broker's message.max.bytes together with one large message. */
const maxRequestBytes = 500_000;

export async function openPublisher(brokers: readonly string[]): Promise<Publisher> {
  process.env.KAFKAJS_NO_PARTITIONER_WARNING = "1";
  const client = createClient({
    brokers,
    clientId: `sluice-publisher-${randomUUID().slice(0, 8)}`,
    requestTimeoutMs: 10_000,
    retry: { initialRetryTime: 100, retries: 5 },
    log: logToStderr,
  });
  const producer = client.kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  return {
    async publish(messages) {
      for (let from = 0, to = 0; from < messages.length; from = to) {
        let bytes = 0;
        while (to < messages.length && (to === from || bytes < maxRequestBytes)) {
          bytes += messages[to]?.value?.length ?? 0;
          if (to > from && bytes >= maxRequestBytes) break;
          to += 1;
        }
        const topics = new Map<string, Publishable[]>();
        for (const message of messages.slice(from, to)) {
          topics.set(message.topic, [...(topics.get(message.topic) ?? []), message]);
        }
        await producer.sendBatch({
          acks: -1,
          compression: CompressionTypes.None,
          topicMessages: [...topics].map(([topic, some]) => ({
            topic,
            messages: some.map(({ key, value, headers }) => ({ key, value, headers: { ...headers } })),
          })),
        });
      }
    },
    async close() {
      await producer.disconnect();
      client.destroy();
    },
  };
}

/**
 * Mistake: a large batch is fetched and worked off, and the group hears nothing before it is done.
 *
 * Why people make it: fetching much at once is efficient, and the client sends heartbeats between batches; as long as
 * the gateway is quick a batch takes a fraction of the session.
 *
 * What it costs: the gateway slows down, the batch outlasts the session, and the group takes the partitions away from
 * a worker that is healthy. Its commit is refused, so the batch is delivered and called for again: slow work makes
 * more work.
 *
 * Fails `no-rebalance`.
 */
import { Kafka, logLevel } from "kafkajs";
import { workerEnv } from "../../../toolkit/worker/env.ts";
import { openGateway } from "../gateway.ts";

const { kafka, gatewayUrl, concurrency } = workerEnv();
const gateway = openGateway(gatewayUrl);
const consumer = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).consumer({
  groupId: kafka.groupId,
  sessionTimeout: kafka.sessionTimeoutMs,
  heartbeatInterval: kafka.sessionTimeoutMs / 4,
  maxBytesPerPartition: 8 * 1024 * 1024,
  maxBytes: 64 * 1024 * 1024,
});
await consumer.connect();
await consumer.subscribe({ topic: kafka.topic, fromBeginning: true });
await consumer.run({
  async eachBatch({ batch }) {
    const left = batch.messages.values();
    const caller = async () => {
      for (const { value } of left) {
        const body = value ?? Buffer.alloc(0);
        await gateway.accept(JSON.parse(body.toString()).eventId, body);
      }
    };
    await Promise.all(Array.from({ length: concurrency }, caller));
  },
});

process.once("SIGTERM", async () => {
  await consumer.disconnect();
  gateway.close();
});

/**
 * The backpressure drill, yours to solve. This worker starts, calls the gateway, and fails the drill:
 *
 *     npx tsx labs/backpressure/run.ts --profile quick --subject exercise
 *
 * Connections, calls and shutdown are done. Below are four TODOs; each names the criteria it earns. Do one, run again,
 * and see which verdict changed and which did not. README.md has the steps and hints.
 */
import { Kafka, logLevel } from "kafkajs";
import { workerEnv } from "../../toolkit/worker/env.ts";
import { openGateway } from "./gateway.ts";

const env = workerEnv();
const gateway = openGateway(env.gatewayUrl);
const kafka = new Kafka({
  brokers: [...env.kafka.brokers],
  clientId: env.workerId,
  logLevel: logLevel.ERROR,
});
const consumer = kafka.consumer({
  groupId: env.kafka.groupId,
  sessionTimeout: env.kafka.sessionTimeoutMs,
  heartbeatInterval: env.kafka.sessionTimeoutMs / 4,
  maxWaitTimeInMs: 100,
  // TODO 3: bounded-in-flight
  // A fetch is memory too: four partitions of a megabyte are 250 events that were pulled and wait here. How much do
  // you need, so that no place stands empty while the next fetch is under way?
  maxBytesPerPartition: 1024 * 1024,
});

/** Pulled, and not called for yet. */
const waiting: Buffer[] = [];

// TODO 1: bounded-memory, bounded-in-flight, pull-rate-falls
// `eachMessage` returns as soon as the event is in the list, so kafkajs pulls the next one, and the next. Return when
// there is room again: a promise that you resolve when a call has ended.
//
// TODO 2: lossless
// kafkajs commits what `eachMessage` returned for. Die now, and everything in the list is lost, though it is committed.
// Commit (`autoCommit: false`, `commitOffsets`) behind the last of the contiguous finished offsets of a partition.
async function handle(body: Buffer): Promise<void> {
  waiting.push(body);
  start();
}

// TODO 4: bounded-concurrency, rate-matches-capacity
// Every event that waits is called for at once. Keep `env.concurrency` calls going, no more and, while something
// waits, no fewer. Beware of Promise.all over a batch: its last call keeps all other places empty. And a promise that
// you wait for is time in which kafkajs sends no heartbeat: call heartbeat() meanwhile (no-rebalance).
function start(): void {
  for (const body of waiting.splice(0)) {
    const { eventId } = JSON.parse(body.toString());
    gateway.accept(eventId, body).catch((error: unknown) => console.error(error));
  }
}

await consumer.connect();
await consumer.subscribe({ topic: env.kafka.topic, fromBeginning: true });
await consumer.run({
  eachMessage: ({ message }) => handle(message.value ?? Buffer.alloc(0)),
});

process.once("SIGTERM", async () => {
  await consumer.disconnect();
  gateway.close();
});

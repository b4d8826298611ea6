/**
 * The backpressure drill, yours to solve. This worker starts, calls the gateway, and fails the drill:
 *
 *     npx tsx labs/backpressure/run.ts --profile quick --subject exercise
 *
 * Connections, calls and shutdown are done. Below are four TODOs; each names the criteria it earns. Do one, run again,
 * and see which verdict changed and which did not. README.md has the steps and hints.
 */
import { setTimeout as delay } from "node:timers/promises";
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
// there is room again: a promise that you resolve when a call has ended. While you wait kafkajs sends no heartbeat:
// call heartbeat(), or the group takes the partitions away (no-rebalance).
//
// TODO 2: lossless
// kafkajs commits what `eachMessage` returned for. When the process ends, and it is told to as soon as all is committed,
// what is in the list is lost. Commit (`autoCommit: false`, `commitOffsets`) behind the last of the contiguous finished
// offsets of a partition.
async function handle(body: Buffer): Promise<void> {
  waiting.push(body);
}

// TODO 4: rate-matches-capacity
// Rounds of `env.concurrency` calls: the quickest call of a round waits for its slowest, and its place stands empty.
// Keep all places at work while something waits: as many loops as places, each with one call at a time.
async function work(): Promise<void> {
  for (;;) {
    const round = waiting.splice(0, env.concurrency);
    if (round.length === 0) await delay(10);
    await Promise.all(round.map((body) => gateway.accept(JSON.parse(body.toString()).eventId, body)));
  }
}

void work();
await consumer.connect();
await consumer.subscribe({ topic: env.kafka.topic, fromBeginning: true });
await consumer.run({
  eachMessage: ({ message }) => handle(message.value ?? Buffer.alloc(0)),
});

process.once("SIGTERM", async () => {
  await consumer.disconnect();
  process.exit();
});

/**
 * Mistake: one message, one INSERT, one commit of the offset, each awaited before the next. All that the solution
 * checks and stores stays as it is; the batches are gone.
 *
 * Why people make it: `eachMessage` is the first example of every client library, and it is correct: nothing is lost,
 * nothing doubled.
 *
 * What it costs: each message waits for two round trips and two writes to disk, so a hundred or two a second are all
 * there is, however idle the machine. Lag grows from the first second, and a spike is never worked off.
 *
 * Fails `keeps-up`.
 */
import { Kafka, logLevel } from "kafkajs";
import { kafkaRecord } from "../../../toolkit/kafka/record.ts";
import { Message } from "../../../toolkit/pipeline/message.ts";
import { ensureSchema } from "../../../toolkit/postgres/ensure-schema.ts";
import { openPostgres } from "../../../toolkit/postgres/open.ts";
import { workerEnv } from "../../../toolkit/worker/env.ts";
import { parts } from "../solution.ts";

const { kafka, databaseUrl } = workerEnv();
const db = openPostgres(databaseUrl);
await ensureSchema(db, parts.keys);
const consumer = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.ERROR }).consumer({
  groupId: kafka.groupId,
  sessionTimeout: kafka.sessionTimeoutMs,
  heartbeatInterval: kafka.sessionTimeoutMs / 4,
});
await consumer.connect();
await consumer.subscribe({ topic: kafka.topic, fromBeginning: true });
await consumer.run({
  autoCommitThreshold: 1,
  async eachMessage({ topic, partition, message: raw }) {
    const record = kafkaRecord(topic, partition, raw);
    const assignment = { topic, partition, generation: 0, revoked: false };
    const message = parts.check(new Message(record.value, record, assignment, record.offset));
    await (message.failure === undefined ? parts.store(db, [message]) : parts.reject(db, [message]));
  },
});

process.once("SIGTERM", async () => {
  await consumer.disconnect();
  await db.end();
});

import { Redis } from "ioredis";
import { type Admin, Kafka, logLevel } from "kafkajs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isDrill } from "./drill.ts";
import type { Lab } from "./lab.ts";
import { loadLab } from "./labs.ts";
import { createPlace } from "./place.ts";
import type { Stack } from "./stack/stack.ts";
import { sharedStack } from "./testing.ts";

let stack: Stack;
let redis: Redis;
let broker: Kafka;
let lab: Lab;
beforeAll(async () => {
  stack = await sharedStack();
  redis = new Redis(stack.direct.redisUrl);
  broker = new Kafka({ brokers: stack.direct.kafkaBrokers.split(","), logLevel: logLevel.NOTHING });
  const loaded = await loadLab("ingest");
  if (isDrill(loaded)) throw new TypeError("ingest needs servers");
  lab = loaded;
});
afterAll(() => redis?.disconnect());

/** With a client that has asked for no topic yet. */
async function asking<T>(ask: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = broker.admin();
  await admin.connect();
  return await ask(admin).finally(() => admin.disconnect());
}

/** The same servers, as if they had been found: what is made on them must be removed again. */
const found = (): Stack => Object.create(stack, { lasts: { value: true } });

test("on servers that stay a place takes its groups and keys with it, and nobody else's", async () => {
  const other = await createPlace(found(), lab, "place-1");
  const place = await createPlace(found(), lab, "place-12");
  const ours = Array.from({ length: 2_500 }, (_, i) => `${place.redisPrefix}job:${i}`);
  const theirs = [`${other.redisPrefix}job`, `x${place.redisPrefix}job`, "place-12"];
  const commit = (groupId: string, topic: string) =>
    asking((admin) => admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: "1" }] }));
  try {
    await redis.mset([...ours, ...theirs].flatMap((key) => [key, "1"]));
    await Promise.all([
      commit(place.groupId, place.topic),
      commit(place.replayGroupId, place.topic),
      commit(`${place.groupId}-of-somebody-else`, other.topic),
      commit(other.groupId, other.topic),
    ]);

    await place.remove();

    expect(await redis.exists(...ours)).toBe(0);
    expect(await redis.exists(...theirs)).toBe(theirs.length);
    const left = async () => [
      ...(await asking((admin) => admin.listGroups())).groups.map(({ groupId }) => groupId),
      ...(await asking((admin) => admin.listTopics())),
    ];
    const ofTest = async () => (await left()).filter((name) => name.includes("place-1")).sort();
    const kept = [other.groupId, `${place.groupId}-of-somebody-else`, other.topic, other.warmUpTopic];
    // A broker tells of a topic for a moment after it has deleted it.
    await expect.poll(ofTest, { timeout: 5_000, interval: 100 }).toEqual(kept.sort());
  } finally {
    await asking((admin) => admin.deleteGroups([`${place.groupId}-of-somebody-else`])).catch(() => undefined);
    await other.remove();
    await redis.unlink(...ours, ...theirs);
  }
});

import { expect, test } from "vitest";
import { until } from "../testing/until.ts";
import { broadcastDispatcher } from "./broadcast-dispatcher.ts";
import { partitionDispatcher } from "./partition-dispatcher.ts";
import { startConsumer, startProducer, subscribe } from "./stage.ts";
import { counter, countTo, gated, upTo } from "./test-stages.ts";

test("a slow consumer among fast ones gets less, and holds up nobody", async () => {
  const { producer } = counter(9_999);
  const slow = gated("slow");
  const counts = [0, 0];
  subscribe({ consumer: slow.consumer, to: producer, maxDemand: 10 });
  for (const i of [0, 1]) {
    const consumer = startConsumer<number>({
      name: `fast ${i}`,
      handleEvents(events) {
        counts[i] = (counts[i] as number) + events.length;
      },
    });
    subscribe({ consumer, to: producer, maxDemand: 10 });
  }
  await until(
    "the fast ones to have all the others",
    () => (counts[0] as number) + (counts[1] as number) === 9_990,
  );
  expect(slow.got.length).toBe(5);
  expect(Math.abs((counts[0] as number) - (counts[1] as number))).toBeLessThan(500);
  slow.consumer.stop();
});

test("a consumer takes from many producers, each in its own order", async () => {
  const producers = [0, 1, 2].map((id) => {
    let next = 0;
    const producer = startProducer<{ id: number; n: number }>({
      name: `p${id}`,
      handleDemand(count) {
        const events = upTo(Math.min(count, 50 - next)).map((i) => ({ id, n: next + i }));
        next += events.length;
        if (next === 50) producer.stop();
        return events;
      },
    });
    return producer;
  });
  const got: { id: number; n: number }[] = [];
  const consumer = startConsumer<{ id: number; n: number }>({
    name: "merge",
    handleEvents: async (events) => void got.push(...events),
  });
  for (const producer of producers) subscribe({ consumer, to: producer, maxDemand: 7 });
  await consumer.done;
  for (const id of [0, 1, 2])
    expect(got.filter((event) => event.id === id).map(({ n }) => n)).toEqual(upTo(50));
});

test("broadcast: every consumer gets every event, though one is slow", async () => {
  const producer = startProducer<number>({
    name: "news",
    dispatcher: broadcastDispatcher,
    handleDemand: countTo(200, () => producer.stop()),
  });
  const got: number[][] = [[], [], []];
  const consumers = got.map((log, i) =>
    startConsumer<number>({
      name: `c${i}`,
      async handleEvents(events) {
        for (let wait = 0; wait < i * 3; wait++) await Promise.resolve();
        log.push(...events);
      },
    }),
  );
  for (const consumer of consumers) subscribe({ consumer, to: producer, maxDemand: 10 });
  await Promise.all(consumers.map(({ done }) => done));
  for (const log of got) expect(log).toEqual(upTo(200));
});

test("partition: each key is handled by one consumer, in order", async () => {
  const producer = startProducer<number>({
    name: "keys",
    dispatcher: () => partitionDispatcher({ partitions: 3, by: (event: number) => `key ${event % 10}` }),
    handleDemand: countTo(500, () => producer.stop()),
  });
  const got: number[][] = [[], [], []];
  const consumers = got.map((log, partition) => {
    const consumer = startConsumer<number>({
      name: `c${partition}`,
      handleEvents: async (events) => void log.push(...events),
    });
    subscribe({ consumer, to: producer, maxDemand: 20, partition });
    return consumer;
  });
  await Promise.all(consumers.map(({ done }) => done));
  expect(got.flat().length).toBe(500);
  for (let key = 0; key < 10; key++) {
    const owners = got.filter((log) => log.some((event) => event % 10 === key));
    expect(owners.length).toBe(1);
    const own = (owners[0] as number[]).filter((event) => event % 10 === key);
    expect(own).toEqual([...own].sort((a, b) => a - b));
    expect(own.length).toBe(50);
  }
});

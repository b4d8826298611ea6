import fc from "fast-check";
import { expect, test } from "vitest";
import { createTelemetry } from "../telemetry/telemetry.ts";
import { captureEvents } from "../testing/event-capture.ts";
import { eventLoopTurns } from "../testing/fake-clock.ts";
import { until } from "../testing/until.ts";
import { broadcastDispatcher } from "./broadcast-dispatcher.ts";
import { partitionDispatcher } from "./partition-dispatcher.ts";
import { startConsumer, startProducer, startProducerConsumer, subscribe } from "./stage.ts";

/** 0, 1, 2, ... as many as are asked for, up to a last one; keeps what it was asked for. */
function counter(last = Number.POSITIVE_INFINITY) {
  const asked: number[] = [];
  let next = 0;
  const producer = startProducer<number>({
    name: "counter",
    handleDemand(count) {
      asked.push(count);
      const events: number[] = [];
      while (events.length < count && next <= last) events.push(next++);
      if (next > last) queueMicrotask(() => producer.stop());
      return events;
    },
  });
  return { producer, asked };
}

/** Takes everything, and lets a test decide when a chunk is done. */
function gated(name: string) {
  const got: number[] = [];
  const chunks: { readonly size: number; readonly finish: () => void }[] = [];
  const consumer = startConsumer<number>({
    name,
    handleEvents(events) {
      got.push(...events);
      return new Promise((finish) => chunks.push({ size: events.length, finish }));
    },
  });
  /** Ends the chunk in work, and returns how many events it had. */
  function finishOne(): number {
    const chunk = chunks.shift();
    chunk?.finish();
    return chunk?.size ?? 0;
  }
  return { consumer, got, finishOne };
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

test("a consumer asks for maxDemand first, and again when it holds no more than minDemand", async () => {
  const { producer, asked } = counter();
  const { consumer, got, finishOne } = gated("slow");
  subscribe({ consumer, to: producer, maxDemand: 10, minDemand: 6 });
  await eventLoopTurns(2);
  expect(asked).toEqual([10]);
  expect(got).toEqual(upTo(4));
  finishOne();
  await eventLoopTurns(2);
  expect(asked).toEqual([10, 4]);
  expect(got).toEqual(upTo(8));
});

test("a producer is never asked for more than its consumers can hold, however slow they are", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ max: fc.integer({ min: 1, max: 50 }), min: fc.nat(49) }), {
        minLength: 1,
        maxLength: 4,
      }),
      async (consumers) => {
        const { producer, asked } = counter();
        const started = consumers.map(({ max, min }, i) => {
          const slow = gated(`slow ${i}`);
          subscribe({
            consumer: slow.consumer,
            to: producer,
            maxDemand: max,
            minDemand: Math.min(min, max - 1),
          });
          return slow;
        });
        await eventLoopTurns(2);
        let finished = 0;
        const room = consumers.reduce((sum, { max }) => sum + max, 0);
        for (let round = 0; round < 5; round++) {
          const total = asked.reduce((sum, count) => sum + count, 0);
          expect(total).toBeLessThanOrEqual(room + finished);
          for (const { finishOne } of started) finished += finishOne();
          await eventLoopTurns(1);
        }
        expect(finished).toBeGreaterThan(0);
        for (const { consumer } of started) consumer.stop();
      },
    ),
    { numRuns: 30 },
  );
});

test("demand that could not be met is remembered and served when there are events", async () => {
  const producer = startProducer<number>({ name: "empty", handleDemand: () => [] });
  const got: number[] = [];
  const consumer = startConsumer<number>({ name: "c", handleEvents: (events) => void got.push(...events) });
  subscribe({ consumer, to: producer, maxDemand: 4 });
  await eventLoopTurns(2);
  producer.emit([1, 2, 3]);
  await eventLoopTurns(2);
  expect(got).toEqual([1, 2, 3]);
});

test.each([
  ["first", [0, 1, 2]],
  ["last", [7, 8, 9]],
] as const)("a full buffer keeps the %s events and tells how many it dropped", async (bufferKeep, kept) => {
  const telemetry = createTelemetry();
  const drops = captureEvents(telemetry, "stage.dropped");
  const producer = startProducer<number>({ name: "p", bufferSize: 3, bufferKeep, telemetry });
  producer.emit(upTo(6));
  producer.emit([6, 7, 8, 9]);
  const got: number[] = [];
  const consumer = startConsumer<number>({ name: "c", handleEvents: (events) => void got.push(...events) });
  subscribe({ consumer, to: producer });
  await until("the buffered events", () => got.length === 3);
  expect(got).toEqual(kept);
  expect(drops.events.map(({ events }) => events)).toEqual([3, 4]);
  expect(drops.events[0]).toEqual({ stage: "p", events: 3, kept: bufferKeep });
});

test("with manual demand nothing comes that was not asked for by hand", async () => {
  const { producer } = counter();
  const got: number[] = [];
  const consumer = startConsumer<number>({ name: "c", handleEvents: (events) => void got.push(...events) });
  const subscription = subscribe({ consumer, to: producer, demand: "manual" });
  await eventLoopTurns(2);
  expect(got).toEqual([]);
  subscription.ask(3);
  await eventLoopTurns(2);
  expect(got).toEqual([0, 1, 2]);
});

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

test("demand reaches through a producer-consumer: it takes nothing in that nobody wants", async () => {
  const { producer, asked } = counter();
  const handled: number[] = [];
  const doubler = startProducerConsumer<number, number>({
    name: "doubler",
    handleEvents(events) {
      handled.push(...events);
      return events.flatMap((event) => [event, event]);
    },
  });
  subscribe({ consumer: doubler, to: producer, maxDemand: 4, minDemand: 2 });
  await eventLoopTurns(2);
  expect(asked).toEqual([4]);
  expect(handled).toEqual([]);
  const slow = gated("slow");
  subscribe({ consumer: slow.consumer, to: doubler, maxDemand: 2, minDemand: 1 });
  await eventLoopTurns(2);
  expect(handled).toEqual([0, 1]);
  expect(slow.got).toEqual([0]);
  slow.finishOne();
  await eventLoopTurns(2);
  slow.finishOne();
  await eventLoopTurns(2);
  expect(slow.got).toEqual([0, 0, 1]);
});

test("a consumer takes from many producers, each in its own order", async () => {
  const producers = [0, 1, 2].map((id) => {
    let next = 0;
    const producer = startProducer<{ id: number; n: number }>({
      name: `p${id}`,
      handleDemand(count) {
        const events = upTo(Math.min(count, 50 - next)).map((i) => ({ id, n: next + i }));
        next += events.length;
        if (next === 50) queueMicrotask(() => producer.stop());
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

test("a crashed consumer's undelivered events go to the others; only the chunk it worked on is lost", async () => {
  const { producer } = counter(999);
  const lost: number[] = [];
  const got: number[] = [];
  let chunks = 0;
  const clumsy = startConsumer<number>({
    name: "clumsy",
    async handleEvents(events) {
      await Promise.resolve();
      if (++chunks === 3) {
        lost.push(...events);
        throw new Error("dropped it");
      }
      got.push(...events);
    },
  });
  const steady = startConsumer<number>({
    name: "steady",
    handleEvents: async (events) => void got.push(...events),
  });
  subscribe({ consumer: clumsy, to: producer, maxDemand: 20, minDemand: 15 });
  subscribe({ consumer: steady, to: producer, maxDemand: 20, minDemand: 15 });
  await expect(clumsy.done).rejects.toThrow("dropped it");
  await steady.done;
  expect(lost.length).toBe(5);
  expect([...got, ...lost].sort((a, b) => a - b)).toEqual(upTo(1_000));
});

test("events left by a consumer that crashes after the producer ended still find another", async () => {
  const { producer } = counter(29);
  const first = gated("first");
  const got: number[] = [];
  subscribe({ consumer: first.consumer, to: producer, maxDemand: 30, minDemand: 20 });
  await producer.done;
  await eventLoopTurns(2);
  expect(first.got).toEqual(upTo(10));
  const second = startConsumer<number>({
    name: "second",
    handleEvents: (events) => void got.push(...events),
  });
  subscribe({ consumer: second, to: producer });
  first.consumer.stop();
  await second.done;
  expect(got).toEqual(upTo(30).slice(10));
});

test("a cancelled subscription's demand is not asked for twice", async () => {
  const { producer, asked } = counter();
  const slow = gated("slow");
  const subscription = subscribe({ consumer: slow.consumer, to: producer, maxDemand: 100, minDemand: 90 });
  await eventLoopTurns(2);
  subscription.cancel();
  const got: number[] = [];
  const other = startConsumer<number>({ name: "other", handleEvents: (events) => void got.push(...events) });
  const manual = subscribe({ consumer: other, to: producer, demand: "manual" });
  manual.ask(90);
  await eventLoopTurns(2);
  // 10 were in work, the other 90 were given back.
  expect(got).toEqual(upTo(100).slice(10));
  expect(asked).toEqual([100]);
});

test("a producer's crash reaches its permanent consumers, and not its temporary ones", async () => {
  const producer = startProducer<number>({
    name: "broken",
    handleDemand() {
      throw new Error("no more");
    },
  });
  const permanent = startConsumer<number>({ name: "permanent", handleEvents() {} });
  const temporary = startConsumer<number>({ name: "temporary", handleEvents() {} });
  subscribe({ consumer: permanent, to: producer });
  subscribe({ consumer: temporary, to: producer, cancel: "temporary" });
  await expect(producer.done).rejects.toThrow("no more");
  await expect(permanent.done).rejects.toThrow("no more");
  const { producer: other } = counter(3);
  subscribe({ consumer: temporary, to: other });
  await temporary.done;
});

test("an asynchronous producer is asked again only when it has answered, for all that came up meanwhile", async () => {
  const asked: number[] = [];
  const answers: ((events: number[]) => void)[] = [];
  const producer = startProducer<number>({
    name: "remote",
    handleDemand(count) {
      asked.push(count);
      return new Promise((resolve) => answers.push(resolve));
    },
  });
  const consumer = startConsumer<number>({ name: "c", handleEvents() {} });
  const subscription = subscribe({ consumer, to: producer, demand: "manual" });
  subscription.ask(2);
  await eventLoopTurns(1);
  subscription.ask(3);
  subscription.ask(4);
  await eventLoopTurns(1);
  expect(asked).toEqual([2]);
  answers[0]?.([1, 2]);
  await eventLoopTurns(1);
  expect(asked).toEqual([2, 7]);
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

test("a wrong demand is refused with its bounds", () => {
  const { producer } = counter();
  const consumer = startConsumer<number>({ name: "c", handleEvents() {} });
  expect(() => subscribe({ consumer, to: producer, maxDemand: 0 })).toThrow(
    "maxDemand must be at least 1, got 0",
  );
  expect(() => subscribe({ consumer, to: producer, maxDemand: 5, minDemand: 5 })).toThrow(
    "minDemand must be 0 to maxDemand - 1 (4), got 5",
  );
});

function countTo(end: number, atEnd: () => void): (count: number) => number[] {
  let next = 0;
  return (count) => {
    const events = upTo(Math.min(count, end - next)).map((i) => next + i);
    next += events.length;
    if (next === end) queueMicrotask(atEnd);
    return events;
  };
}

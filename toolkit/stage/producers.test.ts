import fc from "fast-check";
import { expect, test } from "vitest";
import { eventLoopTurns, fakeClock } from "../testing/fake-clock.ts";
import { startQueue, startRateLimited } from "./producers.ts";
import { startConsumer, subscribe } from "./stage.ts";
import { upTo } from "./test-stages.ts";

/** Takes by hand, so that a test decides when there is demand. */
function taker() {
  const got: number[] = [];
  const consumer = startConsumer<number>({
    name: "taker",
    handleEvents: (events) => void got.push(...events),
  });
  return { consumer, got };
}

test("a queue takes what there is room for, says how much that was, and serves demand and events in either order", async () => {
  const queue = startQueue<number>({ name: "q", capacity: 3 });
  const { consumer, got } = taker();
  const subscription = subscribe({ consumer, to: queue, demand: "manual" });
  expect(queue.offer([0, 1, 2, 3, 4])).toBe(3);
  expect(queue.offer([3])).toBe(0);
  subscription.ask(5);
  await eventLoopTurns(2);
  expect(got).toEqual([0, 1, 2]);
  // Two are still owed, and three may wait.
  expect(queue.offer([3, 4, 5, 6, 7, 8])).toBe(5);
  await eventLoopTurns(2);
  expect(got).toEqual(upTo(5));
  expect(queue.waiting).toBe(3);
});

test("a queue without room takes only what somebody waits for", async () => {
  const queue = startQueue<number>({ name: "q", capacity: 0 });
  const { consumer, got } = taker();
  const subscription = subscribe({ consumer, to: queue, demand: "manual" });
  expect(queue.offer([0])).toBe(0);
  subscription.ask(2);
  await eventLoopTurns(2);
  expect(queue.offer([0, 1, 2])).toBe(2);
  await eventLoopTurns(2);
  expect(got).toEqual([0, 1]);
  expect(() => startQueue({ name: "q", capacity: -1 })).toThrow("capacity must be at least 0, got -1");
});

test("what a queue took is delivered once and in order; it never holds more than its capacity", async () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ offer: fc.integer({ min: 1, max: 12 }) }),
      fc.record({ ask: fc.integer({ min: 1, max: 12 }) }),
    ),
    { maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(steps, fc.nat(10), async (script, capacity) => {
      const queue = startQueue<number>({ name: "q", capacity });
      const { consumer, got } = taker();
      const subscription = subscribe({ consumer, to: queue, demand: "manual" });
      let next = 0;
      let asked = 0;
      for (const step of script) {
        if ("ask" in step) {
          asked += step.ask;
          subscription.ask(step.ask);
        } else {
          next += queue.offer(upTo(step.offer).map((i) => next + i));
        }
        await eventLoopTurns(1);
        expect(queue.waiting).toBeLessThanOrEqual(capacity);
        expect(got.length).toBe(Math.min(asked, next));
      }
      expect(got).toEqual(upTo(got.length));
      expect(got.length + queue.waiting).toBe(next);
    }),
    { numRuns: 50 },
  );
});

test("a queue that is stopped sends what it took, as it is asked for, and takes nothing more", async () => {
  const queue = startQueue<number>({ name: "q", capacity: 5 });
  const { consumer, got } = taker();
  const subscription = subscribe({ consumer, to: queue, demand: "manual" });
  let isOver = false;
  void consumer.done.then(() => {
    isOver = true;
  });
  expect(queue.offer(upTo(5))).toBe(5);
  queue.stop();
  expect(queue.offer([5])).toBe(0);
  subscription.ask(2);
  await eventLoopTurns(2);
  expect([got, queue.waiting, isOver]).toEqual([[0, 1], 3, false]);
  subscription.ask(10);
  await eventLoopTurns(2);
  expect([got, queue.waiting, isOver]).toEqual([upTo(5), 0, true]);
});

test("a rate-limited producer sends what is allowed in each interval, and the limit can change meanwhile", async () => {
  const clock = fakeClock();
  let next = 0;
  const producer = startRateLimited<number>({
    name: "paced",
    clock,
    limit: { allowed: 10, intervalMs: 100 },
    take: (count) => upTo(count).map(() => next++),
  });
  const { consumer, got } = taker();
  subscribe({ consumer, to: producer, demand: "manual" }).ask(1_000);
  const counts: number[] = [];
  const step = async () => {
    await clock.advance(100);
    counts.push(got.length);
  };
  await eventLoopTurns(2);
  expect(got.length).toBe(10);
  await step();
  await step();
  producer.setLimit({ allowed: 50, intervalMs: 100 });
  await step();
  expect(counts).toEqual([20, 30, 120]);
  producer.setLimit(undefined);
  await eventLoopTurns(2);
  expect(got).toEqual(upTo(1_000));
  producer.stop();
  expect(clock.timers).toBe(0);
});

test("a rate-limited producer that is stopped while it fetches sends that, and sets no timer", async () => {
  const clock = fakeClock();
  let bring: (events: number[]) => void = () => undefined;
  const producer = startRateLimited<number>({
    name: "remote",
    clock,
    limit: { allowed: 2, intervalMs: 100 },
    take: () =>
      new Promise((resolve) => {
        bring = resolve;
      }),
  });
  const { consumer, got } = taker();
  subscribe({ consumer, to: producer, demand: "manual" }).ask(10);
  await eventLoopTurns(2);
  producer.stop();
  bring([1, 2]);
  await Promise.all([producer.done, consumer.done]);
  expect(got).toEqual([1, 2]);
  expect(clock.timers).toBe(0);
});

test("what a rate-limited producer could not get is asked for again in the next interval; its errors crash it alone", async () => {
  const clock = fakeClock();
  const stock = [[1], [], [2, 3]];
  const asked: number[] = [];
  const producer = startRateLimited<number>({
    name: "remote",
    clock,
    limit: { allowed: 2, intervalMs: 100 },
    async take(count) {
      asked.push(count);
      const events = stock.shift();
      if (events === undefined) throw new Error("no more");
      return events;
    },
  });
  const { consumer, got } = taker();
  subscribe({ consumer, to: producer, demand: "manual", cancel: "temporary" }).ask(10);
  const crashed = expect(producer.done).rejects.toThrow("no more");
  await clock.advance(250);
  expect(got).toEqual([1, 2, 3]);
  expect(asked).toEqual([2, 2, 2]);
  await clock.advance(100);
  await crashed;
});

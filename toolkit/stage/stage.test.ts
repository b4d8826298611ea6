import fc from "fast-check";
import { expect, test } from "vitest";
import { createTelemetry } from "../telemetry/telemetry.ts";
import { captureEvents } from "../testing/event-capture.ts";
import { eventLoopTurns } from "../testing/fake-clock.ts";
import { until } from "../testing/until.ts";
import { startConsumer, startProducer, startProducerConsumer, subscribe } from "./stage.ts";
import { counter, gated, upTo } from "./test-stages.ts";

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

import { expect, test } from "vitest";
import { createTelemetry } from "../telemetry/telemetry.ts";
import { captureEvents } from "../testing/event-capture.ts";
import { eventLoopTurns } from "../testing/fake-clock.ts";
import { startConsumer, startProducer, subscribe } from "./stage.ts";
import { counter, gated, upTo } from "./test-stages.ts";

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

test("what handleDemand still brings when the producer was stopped is sent, and then the producer ends", async () => {
  const asked: ((events: number[]) => void)[] = [];
  const producer = startProducer<number>({
    name: "slow",
    handleDemand: () => new Promise<number[]>((resolve) => asked.push(resolve)),
  });
  const got: number[] = [];
  const consumer = startConsumer<number>({ name: "c", handleEvents: (events) => void got.push(...events) });
  subscribe({ consumer, to: producer, maxDemand: 10, minDemand: 5 });
  await eventLoopTurns(2);
  producer.stop();
  let isOver = false;
  void producer.done.then(() => {
    isOver = true;
  });
  await eventLoopTurns(2);
  expect([isOver, asked.length]).toEqual([false, 1]);
  asked[0]?.(upTo(10));
  await Promise.all([producer.done, consumer.done]);
  expect(got).toEqual(upTo(10));
  // Nothing more was asked for.
  expect(asked.length).toBe(1);
});

test("a producer that fails while it is being stopped says so, and its consumers end as after any stop", async () => {
  let fail: (error: Error) => void = () => undefined;
  const producer = startProducer<number>({
    name: "slow",
    handleDemand: () =>
      new Promise<number[]>((_, reject) => {
        fail = reject;
      }),
  });
  const consumer = startConsumer<number>({ name: "c", handleEvents() {} });
  subscribe({ consumer, to: producer, cancel: "temporary" });
  const permanent = startConsumer<number>({ name: "permanent", handleEvents() {} });
  subscribe({ consumer: permanent, to: producer });
  await eventLoopTurns(2);
  producer.stop();
  fail(new Error("the connection broke"));
  await expect(producer.done).rejects.toThrow("the connection broke");
  await permanent.done;
});

test("telemetry shows who asked for how much, who came, and who left with what undone", async () => {
  const telemetry = createTelemetry();
  const asked = captureEvents(telemetry, "stage.asked");
  const subscribed = captureEvents(telemetry, "stage.subscribed");
  const cancelled = captureEvents(telemetry, "stage.cancelled");
  const { producer } = counter();
  const consumer = startConsumer<number>({ name: "c", telemetry, handleEvents: () => new Promise(() => {}) });
  const subscription = subscribe({ consumer, to: producer, maxDemand: 10, minDemand: 6 });
  await eventLoopTurns(2);
  subscription.cancel();
  expect(subscribed.events).toEqual([{ stage: "c", producer: "counter" }]);
  expect(asked.events).toEqual([{ stage: "c", producer: "counter", count: 10, outstanding: 10 }]);
  expect(cancelled.events).toEqual([{ stage: "c", producer: "counter", requeued: 6 }]);
});

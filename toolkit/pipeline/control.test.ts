import { expect, test } from "vitest";
import { createTelemetry } from "../telemetry/telemetry.ts";
import { captureEvents } from "../testing/event-capture.ts";
import { eventLoopTurns, fakeClock } from "../testing/fake-clock.ts";
import { memorySource } from "../testing/memory-source.ts";
import { testBatch } from "../testing/messages.ts";
import { until } from "../testing/until.ts";
import type { AnyMessage } from "./message.ts";
import { startPipeline } from "./pipeline.ts";

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

test("a paused pipeline pulls nothing, finishes what it has, and goes on where it was", async () => {
  const source = memorySource<number>();
  const pipeline = startPipeline({ source, process: (message) => message, write() {} });
  await testBatch(source, upTo(20));
  pipeline.pause();
  source.push(upTo(100));
  await eventLoopTurns(5);
  expect(source.backlog).toBe(100);
  pipeline.resume();
  await until("the backlog to be written", () => source.committable() === 120);
  expect(source.acknowledged.map(({ offset }) => offset)).toEqual(upTo(120));
  await pipeline.stop();
});

test("a source that has nothing is asked for no more than maxInFlight, whatever the processors could hold", async () => {
  const source = memorySource<number>();
  const pipeline = startPipeline({
    source,
    maxInFlight: 30,
    processors: { concurrency: 5, maxDemand: 40 },
    process: (message) => message,
    write: () => new Promise<void>(() => {}),
  });
  await eventLoopTurns(3);
  expect(source.demand).toBe(30);
  source.push(upTo(10));
  await eventLoopTurns(3);
  expect(source.demand).toBe(20);
  expect(pipeline.stats()).toMatchObject({ inFlight: 10, sourceDemand: 20 });
  await pipeline.stop({ deadlineMs: 0 });
});

test("the demand of each stage can be seen: processors of the source, batchers of processors, writers of batchers", async () => {
  const telemetry = createTelemetry();
  const asked = captureEvents(telemetry, "stage.asked");
  const demanded = captureEvents(telemetry, "pipeline.demanded");
  const source = memorySource<number>();
  const pipeline = startPipeline({
    source,
    telemetry,
    maxInFlight: 12,
    processors: { concurrency: 2, maxDemand: 8 },
    process: (message) => message,
    batcher: { size: 5 },
    write() {},
  });
  await eventLoopTurns(3);
  const edges = new Set(asked.events.map(({ stage, producer }) => `${stage} of ${producer}`));
  expect([...edges].sort()).toEqual([
    "batcher default of processor 0",
    "batcher default of processor 1",
    "processor 0 of source",
    "processor 1 of source",
    "writer default 0 of batcher default",
  ]);
  const processors = asked.events.filter(({ producer }) => producer === "source");
  expect(processors.map(({ count, outstanding }) => [count, outstanding])).toEqual([
    [8, 8],
    [8, 8],
  ]);
  // 16 are wanted; maxInFlight is what the source is asked for.
  expect(demanded.events.map(({ count }) => count)).toEqual([12]);
  await testBatch(source, upTo(12));
  expect(demanded.events.reduce((sum, { count }) => sum + count, 0)).toBe(24);
  await pipeline.stop();
});

test("a paused pipeline can be stopped", async () => {
  const source = memorySource<number>();
  const pipeline = startPipeline({ source, process: (message) => message, write() {} });
  await pipeline.ready;
  pipeline.pause();
  source.push([1]);
  expect((await pipeline.stop()).pulled).toBe(0);
});

test("no more is pulled in an interval than the rate limit allows, and the limit can change meanwhile", async () => {
  const source = memorySource<number>();
  const clock = fakeClock();
  const pipeline = startPipeline({
    source,
    clock,
    rateLimit: { allowed: 10, intervalMs: 100 },
    process: (message) => message,
    write() {},
  });
  source.push(upTo(1_000));
  const pulled: number[] = [];
  const step = async () => {
    await clock.advance(100);
    pulled.push(pipeline.stats().pulled);
  };
  await step();
  await step();
  expect(pulled).toEqual([20, 30]);
  pipeline.setRateLimit({ allowed: 100, intervalMs: 100 });
  await step();
  await step();
  expect(pulled[3]).toBe((pulled[2] as number) + 100);
  pipeline.setRateLimit(undefined);
  await until("everything to be written", () => source.committable() === 1_000);
  await pipeline.stop();
  expect(clock.timers).toBe(0);
});

/** A pipeline that counts its handlers at work, each of which lasts until the test lets it go. */
function startCounting(concurrency: number, partitionBy?: (message: { value: number }) => number) {
  const source = memorySource<number>();
  const gates: (() => void)[] = [];
  const begun: number[] = [];
  let atWork = 0;
  const pipeline = startPipeline({
    source,
    processors: { concurrency, maxDemand: 4, ...(partitionBy === undefined ? {} : { partitionBy }) },
    async process(message) {
      begun.push(message.value);
      atWork++;
      await new Promise<void>((open) => gates.push(open));
      atWork--;
      return message;
    },
    write() {},
  });
  return { source, pipeline, gates, begun, atWork: () => atWork };
}

async function settle(gates: (() => void)[], rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const open of gates.splice(0)) open();
    await eventLoopTurns(2);
  }
}

test("more processors begin at once; fewer take effect as handlers finish, and nothing is lost", async () => {
  const { source, pipeline, gates, atWork } = startCounting(2);
  source.push(upTo(200));
  await until("two handlers", () => atWork() === 2);
  pipeline.setProcessorConcurrency(5);
  await until("five handlers", () => atWork() === 5);
  pipeline.setProcessorConcurrency(1);
  expect(atWork()).toBe(5);
  for (let round = 0; round < 5; round++) {
    gates.shift()?.();
    await eventLoopTurns(2);
  }
  expect(atWork()).toBe(1);
  // Up again before the retired ones have finished: never more at work than asked for.
  pipeline.setProcessorConcurrency(3);
  await until("three handlers", () => atWork() === 3);
  pipeline.setProcessorConcurrency(1);
  pipeline.setProcessorConcurrency(3);
  await eventLoopTurns(2);
  expect(atWork()).toBe(3);
  await settle(gates, 100);
  expect(source.committable()).toBe(200);
  expect([...new Set(source.acknowledged)].length).toBe(200);
  await pipeline.stop();
});

test("with partitionBy the number of processors can change, and the order by key still holds", async () => {
  const { source, pipeline, gates, begun } = startCounting(2, ({ value }) => value % 7);
  source.push(upTo(300));
  for (const concurrency of [5, 1, 3, 4, 2]) {
    await settle(gates, 6);
    pipeline.setProcessorConcurrency(concurrency);
  }
  await settle(gates, 400);
  expect(source.committable()).toBe(300);
  expect(begun.length).toBe(300);
  for (let key = 0; key < 7; key++) {
    const own = begun.filter((value) => value % 7 === key);
    expect(own).toEqual([...own].sort((a, b) => a - b));
  }
  await pipeline.stop();
});

test("the number of writers can change while they write", async () => {
  const source = memorySource<number>();
  const gates: (() => void)[] = [];
  let writing = 0;
  const pipeline = startPipeline({
    source,
    process: (message) => message,
    maxInFlight: 1_000,
    batcher: { size: 10 },
    async write() {
      writing++;
      await new Promise<void>((open) => gates.push(open));
      writing--;
    },
  });
  source.push(upTo(500));
  await until("one write", () => writing === 1);
  pipeline.setBatcherConcurrency("default", 4);
  await until("four writes", () => writing === 4);
  pipeline.setBatcherConcurrency("default", 2);
  for (let i = 0; i < 4; i++) {
    gates.shift()?.();
    await eventLoopTurns(2);
  }
  expect(writing).toBe(2);
  await settle(gates, 100);
  expect(source.committable()).toBe(500);
  await pipeline.stop();
});

test.each([
  ["a synchronous handler", (message: AnyMessage) => message],
  ["an asynchronous handler", async (message: AnyMessage) => message],
])(
  "concurrency can be lowered from inside of %s and of a write; what they had begun is finished",
  async (_, done) => {
    const source = memorySource<number>();
    const pipeline = startPipeline({
      source,
      processors: { concurrency: 3 },
      process(message) {
        if (message.value % 10 === 3) pipeline.setProcessorConcurrency(1 + (message.value % 3));
        return done(message) as typeof message;
      },
      batcher: { size: 5, concurrency: 3 },
      write({ messages }) {
        pipeline.setBatcherConcurrency("default", 1 + ((messages[0]?.value ?? 0) % 3));
      },
    });
    const { written } = await testBatch(source, upTo(200));
    expect(written.length).toBe(200);
    expect((await pipeline.stop()).written).toBe(200);
  },
);

test("what cannot be set is refused in words", async () => {
  const source = memorySource<number>();
  const pipeline = startPipeline({
    source,
    process: (message) => message,
    batchers: { ordered: { partitionBy: ({ value }) => value, write() {} } },
  });
  expect(() => pipeline.setProcessorConcurrency(0)).toThrow("expected a whole number of at least 1, got 0");
  expect(() => pipeline.setBatcherConcurrency("orderd", 2)).toThrow(
    'there is no batcher "orderd", only "ordered"',
  );
  expect(() => pipeline.setBatcherConcurrency("ordered", 2)).toThrow("its messages are written by key");
  expect(() => pipeline.setRateLimit({ allowed: 0, intervalMs: 100 })).toThrow(
    "setRateLimit: allowed: expected a whole number of at least 1, got 0",
  );
  await pipeline.stop();
});

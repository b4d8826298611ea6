import { expect, test } from "vitest";
import { createTelemetry } from "../telemetry/telemetry.ts";
import { captureEvents } from "../testing/event-capture.ts";
import { eventLoopTurns, fakeClock } from "../testing/fake-clock.ts";
import { memorySource } from "../testing/memory-source.ts";
import { testBatch } from "../testing/messages.ts";
import { until } from "../testing/until.ts";
import { type BatcherOptions, startPipeline } from "./pipeline.ts";

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

/** A pipeline of numbers whose writes a test can hold up. */
function start(
  batcher: BatcherOptions<number, unknown>,
  options: { hold?: boolean; maxInFlight?: number } = {},
) {
  const source = memorySource<number>();
  const clock = fakeClock();
  const telemetry = createTelemetry();
  const written = captureEvents(telemetry, "batch.written");
  const writes: {
    readonly values: readonly number[];
    readonly key: string | undefined;
    readonly trigger: string;
  }[] = [];
  const gates: (() => void)[] = [];
  const pipeline = startPipeline({
    source,
    clock,
    telemetry,
    maxInFlight: options.maxInFlight ?? 10_000,
    process: (message) => message.by(message.value < 0 ? "negative" : "positive"),
    batcher,
    write(batch) {
      writes.push({ values: batch.values, key: batch.key, trigger: batch.trigger });
      if (options.hold === true) return new Promise<void>((open) => gates.push(open));
    },
  });
  return { source, clock, written, writes, gates, pipeline };
}

test("a full batch is written at once, though its time has not come", async () => {
  const { source, writes, pipeline } = start({ size: 10, withinMs: 1_000 });
  source.push(upTo(25));
  await until("two full batches", () => writes.length === 2);
  expect(writes.map(({ values, trigger }) => [values.length, trigger])).toEqual([
    [10, "size"],
    [10, "size"],
  ]);
  expect(pipeline.stats().batchers).toEqual({ default: { gathering: 5, writing: 0 } });
  await pipeline.stop();
  expect(writes[2]).toMatchObject({ values: upTo(25).slice(20), trigger: "drain" });
});

test("a batch that is not full is written when its first message has waited withinMs", async () => {
  const { source, clock, writes, pipeline } = start({ size: 10, withinMs: 20 });
  source.push([1]);
  await clock.advance(15);
  source.push([2]);
  await clock.advance(4);
  expect(writes).toEqual([]);
  await clock.advance(1);
  expect(writes).toMatchObject([{ values: [1, 2], trigger: "time" }]);
  source.push([3]);
  await clock.advance(19);
  expect(writes.length).toBe(1);
  await clock.advance(1);
  expect(writes[1]).toMatchObject({ values: [3], trigger: "time" });
  await pipeline.stop();
});

test("a batch that is due while all writers are busy is written when one is free, and grows until then", async () => {
  const { source, clock, writes, gates, pipeline } = start({ size: 10, withinMs: 20 }, { hold: true });
  source.push(upTo(10));
  await until("the first write", () => writes.length === 1);
  source.push([10]);
  await clock.advance(50);
  source.push([11]);
  await clock.advance(50);
  expect(writes.length).toBe(1);
  gates.shift()?.();
  await until("the second write", () => writes.length === 2);
  expect(writes[1]).toMatchObject({ values: [10, 11], trigger: "time" });
  gates.shift()?.();
  await pipeline.stop();
});

test("with withinMs 0 a lone message is written as soon as nothing more is at hand", async () => {
  const { source, clock, writes, pipeline } = start({ size: 1_000 });
  await eventLoopTurns(1);
  source.push([1, 2, 3]);
  await eventLoopTurns(1);
  expect(writes).toMatchObject([{ values: [1, 2, 3], trigger: "idle" }]);
  expect(clock.now()).toBe(0);
  await pipeline.stop();
});

test("while all writers are busy batches grow, up to their size", async () => {
  const { source, writes, gates, pipeline } = start({ size: 10, concurrency: 1 }, { hold: true });
  source.push([0]);
  await until("the first write", () => writes.length === 1);
  for (let i = 1; i <= 14; i++) {
    source.push([i]);
    await eventLoopTurns(1);
  }
  expect(writes.length).toBe(1);
  gates.shift()?.();
  await until("the second write", () => writes.length === 2);
  gates.shift()?.();
  await until("the third write", () => writes.length === 3);
  gates.shift()?.();
  await pipeline.stop();
  expect(writes.map(({ values }) => values.length)).toEqual([1, 10, 4]);
});

test("messages with different keys are never in one batch, and none waits behind another key's", async () => {
  const { source, clock, writes, pipeline } = start({ size: 3, withinMs: 20 });
  source.push([1, -1, 2, -2, 3]);
  await eventLoopTurns(2);
  expect(writes).toMatchObject([{ values: [1, 2, 3], key: "positive", trigger: "size" }]);
  await clock.advance(20);
  expect(writes[1]).toMatchObject({ values: [-1, -2], key: "negative", trigger: "time" });
  await pipeline.stop();
});

test("of several batches that wait, the oldest is written first", async () => {
  const { source, writes, gates, pipeline } = start({ size: 100 }, { hold: true });
  source.push([1]);
  await until("the first write", () => writes.length === 1);
  source.push([-1]);
  await eventLoopTurns(1);
  source.push([2, -2]);
  await eventLoopTurns(1);
  gates.shift()?.();
  await until("the second write", () => writes.length === 2);
  expect(writes[1]).toMatchObject({ key: "negative", values: [-1, -2] });
  // The younger one still grows: there is no writer for it yet.
  source.push([3]);
  await eventLoopTurns(1);
  gates.shift()?.();
  await until("the third write", () => writes.length === 3);
  expect(writes[2]).toMatchObject({ key: "positive", values: [2, 3] });
  gates.shift()?.();
  await pipeline.stop();
});

test("never more batches are written at once than the batcher's concurrency", async () => {
  const source = memorySource<number>();
  let now = 0;
  let most = 0;
  const pipeline = startPipeline({
    source,
    process: (message) => message,
    batcher: { size: 10, concurrency: 3 },
    async write() {
      now++;
      most = Math.max(most, now);
      await eventLoopTurns(2);
      now--;
    },
  });
  await testBatch(source, upTo(500));
  expect(most).toBe(3);
  await pipeline.stop();
});

test("a batch does not wait for messages that cannot come: maxInFlight is reached", async () => {
  const { source, clock, writes, pipeline } = start({ size: 1_000, withinMs: 60_000 }, { maxInFlight: 50 });
  source.push(upTo(120));
  await until("all that can be written", () => writes.length === 2);
  expect(writes.map(({ values, trigger }) => [values.length, trigger])).toEqual([
    [50, "idle"],
    [50, "idle"],
  ]);
  expect(clock.now()).toBe(0);
  await pipeline.stop();
});

test("telemetry tells each batch with its size, trigger and attempt", async () => {
  const { source, written, pipeline } = start({ size: 2 });
  await testBatch(source, [1, 2, 3]);
  await pipeline.stop();
  expect(written.events).toMatchObject([
    { pipeline: "pipeline", batcher: "default", messages: 2, trigger: "size", attempt: 1 },
    { messages: 1, trigger: "idle", attempt: 1 },
  ]);
});

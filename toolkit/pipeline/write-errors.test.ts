import fc from "fast-check";
import { expect, test } from "vitest";
import { createTelemetry } from "../telemetry/telemetry.ts";
import { captureEvents } from "../testing/event-capture.ts";
import { eventLoopTurns, fakeClock } from "../testing/fake-clock.ts";
import { memorySource } from "../testing/memory-source.ts";
import { testBatch, testMessage } from "../testing/messages.ts";
import { until } from "../testing/until.ts";
import type { AnyMessage } from "./message.ts";
import { startPipeline } from "./pipeline.ts";

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);
const isTransient = (error: unknown) => (error as Error).message === "away";

test("a transient error is tried again with growing waits, the batch stays whole, and nothing is acknowledged", async () => {
  const source = memorySource<number>();
  const clock = fakeClock();
  const telemetry = createTelemetry();
  const errors = captureEvents(telemetry, "batch.failed");
  const attempts: { readonly at: number; readonly attempt: number; readonly size: number }[] = [];
  const pipeline = startPipeline({
    source,
    clock,
    telemetry,
    random: () => 0,
    process: (message) => message,
    batcher: { size: 10, retry: { baseMs: 100, capMs: 300 } },
    async write(batch, { attempt }) {
      attempts.push({ at: clock.now(), attempt, size: batch.values.length });
      if (attempt < 5) throw new Error("away");
    },
    failed() {
      throw new Error("nothing has failed");
    },
  });
  source.push(upTo(10));
  await clock.advance(100 + 200 + 300 + 299);
  expect(source.acknowledged.length).toBe(0);
  await clock.advance(1);
  expect(attempts).toEqual([
    { at: 0, attempt: 1, size: 10 },
    { at: 100, attempt: 2, size: 10 },
    { at: 300, attempt: 3, size: 10 },
    { at: 600, attempt: 4, size: 10 },
    { at: 900, attempt: 5, size: 10 },
  ]);
  expect(source.committable()).toBe(10);
  expect(errors.events.map(({ next, waitMs }) => [next, waitMs])).toEqual([
    ["retry", 100],
    ["retry", 200],
    ["retry", 300],
    ["retry", 300],
  ]);
  await pipeline.stop();
});

test("while the store is away demand dries up: no more than maxInFlight is pulled", async () => {
  const source = memorySource<number>();
  let isAway = true;
  const pipeline = startPipeline({
    source,
    maxInFlight: 70,
    processors: { concurrency: 2 },
    process: (message) => message,
    batcher: { size: 10, concurrency: 2, retry: { baseMs: 1, capMs: 1 } },
    async write() {
      await eventLoopTurns(1);
      if (isAway) throw new Error("away");
    },
  });
  source.push(upTo(1_000));
  await until("all places in flight to be taken", () => pipeline.stats().inFlight === 70);
  await eventLoopTurns(20);
  expect(source.backlog).toBe(930);
  expect(pipeline.stats()).toMatchObject({ sourceDemand: 0, inFlight: 70 });
  isAway = false;
  await until("everything to be written", () => source.committable() === 1_000);
  await pipeline.stop();
});

test("a permanent error splits the batch: exactly the messages that cannot be written fail, in their order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.nat(63), { maxLength: 6 }),
      fc.integer({ min: 1, max: 64 }),
      async (bad, size) => {
        const source = memorySource<number>();
        const stored: number[] = [];
        const refused: AnyMessage[] = [];
        const pipeline = startPipeline({
          source,
          process: (message) => message,
          batcher: { size, retry: { isTransient } },
          write(batch) {
            if (batch.values.some((value) => bad.includes(value))) throw new Error("constraint");
            stored.push(...batch.values);
          },
          failed: (messages) => void refused.push(...messages),
        });
        await testBatch(source, upTo(64));
        await pipeline.stop();
        expect(stored).toEqual(upTo(64).filter((value) => !bad.includes(value)));
        expect(refused.map(({ value }) => value)).toEqual([...bad].sort((a, b) => a - b));
        for (const { failure } of refused)
          expect(failure).toMatchObject({ stage: "write", reason: "constraint" });
        expect(source.committable()).toBe(64);
      },
    ),
    { numRuns: 40 },
  );
});

test("one bad row in a batch of 1,000 costs about 2 log2(1,000) writes", async () => {
  const source = memorySource<number>();
  let writes = 0;
  const pipeline = startPipeline({
    source,
    processors: { maxDemand: 2_000, minDemand: 0 },
    process: (message) => message,
    batcher: { size: 1_000, retry: { isTransient } },
    write(batch) {
      writes++;
      if (batch.values.includes(700)) throw new Error("constraint");
    },
    failed() {},
  });
  const { failed } = await testBatch(source, upTo(1_000));
  expect(failed.length).toBe(1);
  expect(writes).toBeLessThanOrEqual(21);
  await pipeline.stop();
});

test("a store that goes away while a batch is being split is waited for", async () => {
  const source = memorySource<number>();
  let writes = 0;
  const stored: number[] = [];
  const pipeline = startPipeline({
    source,
    process: (message) => message,
    batcher: { size: 8, retry: { isTransient, baseMs: 1 } },
    write(batch) {
      if (++writes % 2 === 0) throw new Error("away");
      if (batch.values.includes(5)) throw new Error("constraint");
      stored.push(...batch.values);
    },
    failed() {},
  });
  const { failed } = await testBatch(source, upTo(8));
  expect(failed.map(({ value }) => value)).toEqual([5]);
  expect(stored).toEqual([0, 1, 2, 3, 4, 6, 7]);
  await pipeline.stop();
});

test("when attempts run out the whole batch fails, without being split", async () => {
  const source = memorySource<number>();
  let writes = 0;
  const pipeline = startPipeline({
    source,
    process: (message) => message,
    batcher: { size: 10, retry: { maxAttempts: 3, baseMs: 1 } },
    write() {
      writes++;
      throw new Error("away");
    },
    failed() {},
  });
  const { failed } = await testBatch(source, upTo(10));
  expect(failed.length).toBe(10);
  expect(writes).toBe(3);
  await pipeline.stop();
});

test("by default an unknown error is transient, and a programmer's error or one marked so is permanent", async () => {
  const source = memorySource<string>();
  const seen: string[] = [];
  const pipeline = startPipeline({
    source,
    process: (message) => message,
    batcher: { size: 1, retry: { baseMs: 1 } },
    write({ values: [value] }, { attempt }) {
      seen.push(`${value} ${attempt}`);
      if (value === "type") throw new TypeError("undefined is not a function");
      if (value === "marked") throw Object.assign(new Error("refused"), { transient: false });
      if (attempt === 1) throw new Error("who knows");
    },
    failed() {},
  });
  expect((await testMessage(source, "type")).failure?.reason).toBe("undefined is not a function");
  expect((await testMessage(source, "marked")).failure?.reason).toBe("refused");
  expect((await testMessage(source, "unknown")).failure).toBeUndefined();
  expect(seen).toEqual(["type 1", "marked 1", "unknown 1", "unknown 2"]);
  await pipeline.stop();
});

test("a write may fail single messages and keep the others, also before it throws", async () => {
  const source = memorySource<number>();
  const stored: number[] = [];
  const pipeline = startPipeline({
    source,
    process: (message) => message,
    batcher: { size: 10, retry: { baseMs: 1 } },
    write(batch, { attempt }) {
      for (const message of batch.messages) if (message.value % 5 === 0) message.fail("refused", "write");
      if (attempt === 1) throw new Error("away");
      stored.push(...batch.values);
    },
    failed() {},
  });
  const { written, failed } = await testBatch(source, upTo(10));
  expect(failed.map(({ value }) => value)).toEqual([0, 5]);
  expect(written.map(({ value }) => value)).toEqual([1, 2, 3, 4, 6, 7, 8, 9]);
  expect(stored).toEqual([1, 2, 3, 4, 6, 7, 8, 9]);
  await pipeline.stop();
});

test("a message that a write failed before a permanent error is not written again", async () => {
  const source = memorySource<number>();
  const seen: number[][] = [];
  const pipeline = startPipeline({
    source,
    process: (message) => message,
    batcher: { size: 4, retry: { isTransient } },
    write(batch) {
      seen.push([...batch.values]);
      if (seen.length > 1) return;
      batch.messages[0]?.fail("refused", "write");
      throw new Error("constraint");
    },
    failed() {},
  });
  const { failed } = await testBatch(source, upTo(4));
  expect(failed.map(({ value }) => value)).toEqual([0]);
  expect(seen).toEqual([[0, 1, 2, 3], [1], [2, 3]]);
  await pipeline.stop();
});

/** Nothing can be processed, and what is to store that meets errors that are not transient. */
function startFailing(
  source: ReturnType<typeof memorySource<number>>,
  failed: (messages: readonly AnyMessage[]) => void | Promise<void>,
  maxInFlight?: number,
) {
  return startPipeline({
    source,
    ...(maxInFlight === undefined ? {} : { maxInFlight }),
    process: (message) => message.fail("no"),
    batcher: { retry: { isTransient } },
    write() {},
    failed,
  });
}

test("a failed message that its store refuses holds up no other: it is tried again beside them, and never dropped", async () => {
  const source = memorySource<number>();
  const stored: number[] = [];
  let isMended = false;
  const pipeline = startFailing(
    source,
    (messages) => {
      if (!isMended && messages.some(({ value }) => value === 3)) throw new Error("constraint");
      stored.push(...messages.map(({ value }) => value as number));
    },
    20,
  );
  source.push(upTo(100));
  await until("all others to be stored", () => stored.length === 99);
  expect(stored).toEqual(upTo(100).filter((value) => value !== 3));
  expect(source.committable()).toBe(3);
  expect(pipeline.stats()).toMatchObject({ inFlight: 1, failing: 1, processing: 0 });
  isMended = true;
  await until("all to be committable", () => source.committable() === 100);
  expect(pipeline.stats()).toMatchObject({ inFlight: 0, failing: 0, failed: 100 });
  await pipeline.stop();
});

test("when the store refuses every failed message, few try at once, and demand dries up", async () => {
  const source = memorySource<number>();
  const tried: (readonly unknown[])[] = [];
  let isMended = false;
  const pipeline = startFailing(
    source,
    (messages) => {
      tried.push(messages.map(({ value }) => value));
      if (!isMended) throw new Error("constraint");
    },
    50,
  );
  source.push(upTo(1_000));
  await until("second attempts", () => tried.length > 60);
  expect(new Set(tried.filter(({ length }) => length === 1).flat()).size).toBe(9);
  expect(source.backlog).toBe(950);
  isMended = true;
  await until("all to be committable", () => source.committable() === 1_000);
  await pipeline.stop();
});

test("calls of the failed handler never overlap, also while refused messages are tried beside the others", async () => {
  const source = memorySource<number>();
  const stored = new Set<unknown>();
  let [open, mostOpen, isMended] = [0, 0, false];
  const pipeline = startFailing(
    source,
    async (messages) => {
      open += 1;
      mostOpen = Math.max(mostOpen, open);
      await eventLoopTurns(2);
      open -= 1;
      if (!isMended && messages.some(({ value }) => (value as number) % 10 === 3))
        throw new Error("constraint");
      for (const { value } of messages) stored.add(value);
    },
    20,
  );
  source.push(upTo(50));
  await until("all others to be stored", () => stored.size === 45);
  isMended = true;
  await until("all to be committable", () => source.committable() === 50);
  expect(mostOpen).toBe(1);
  await pipeline.stop();
});

test("a failed message that is refused is let go of with its partition, and handed back at the end", async () => {
  const source = memorySource<number>();
  let refusals = 0;
  const pipeline = startFailing(source, () => {
    refusals++;
    throw new Error("constraint");
  });
  source.push([0]);
  await until("it to be refused", () => refusals > 1);
  source.rebalance(0);
  await until("it to come again", () => pipeline.stats().revoked === 1 && pipeline.stats().pulled === 2);
  const before = refusals;
  await until("it to be refused again", () => refusals > before);
  expect(pipeline.stats()).toMatchObject({ inFlight: 1, failing: 1 });
  expect(await pipeline.stop({ deadlineMs: 20 })).toMatchObject({ revoked: 1, handedBack: 1 });
  const atEnd = refusals;
  await eventLoopTurns(5);
  expect(refusals).toBe(atEnd);
});

test("an error in isTransient is a bug, and stops the pipeline", async () => {
  const source = memorySource<number>();
  const pipeline = startPipeline({
    source,
    drainDeadlineMs: 50,
    process: (message) => message,
    batcher: {
      retry: {
        isTransient() {
          throw new Error("a bug of mine");
        },
      },
    },
    write() {
      throw new Error("away");
    },
  });
  source.push([1]);
  await expect(pipeline.done).rejects.toThrow("a bug of mine");
  expect(source.acknowledged.length).toBe(0);
});

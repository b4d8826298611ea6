import { expect, test } from "vitest";
import { eventLoopTurns, fakeClock } from "../testing/fake-clock.ts";
import { memorySource } from "../testing/memory-source.ts";
import { until } from "../testing/until.ts";
import { startPipeline } from "./pipeline.ts";
import type { Source } from "./source.ts";

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

test("stop finishes what is in flight, flushes the batchers, acknowledges, and closes the source", async () => {
  const source = memorySource<number>();
  const written: number[] = [];
  const pipeline = startPipeline({
    source,
    maxInFlight: 50,
    processors: { concurrency: 4 },
    async process(message) {
      await eventLoopTurns(3);
      return message;
    },
    batcher: { size: 1_000, withinMs: 60_000 },
    write: (batch) => void written.push(...batch.values),
  });
  source.push(upTo(500));
  await until("messages in flight", () => pipeline.stats().inFlight > 20);
  const summary = await pipeline.stop();
  expect(summary).toEqual({
    pulled: summary.pulled,
    written: summary.pulled,
    failed: 0,
    revoked: 0,
    handedBack: 0,
  });
  expect(summary.pulled).toBeLessThanOrEqual(50);
  expect(written.length).toBe(summary.pulled);
  expect(source.committable()).toBe(summary.pulled);
  expect(source.state).toBe("closed");
  expect(await pipeline.done).toBe(summary);
});

test("what is not finished at the deadline is handed back: its late end acknowledges nothing", async () => {
  const source = memorySource<number>();
  const clock = fakeClock();
  let finishLate: () => void = () => {};
  let wasAborted = false;
  const pipeline = startPipeline({
    source,
    clock,
    process: (message) => message,
    batcher: { size: 5 },
    write(batch, { signal }) {
      if (batch.values.includes(0)) return;
      signal.addEventListener("abort", () => {
        wasAborted = true;
      });
      return new Promise<void>((resolve) => {
        finishLate = resolve;
      });
    },
  });
  source.push(upTo(10));
  await until("the second write", () => pipeline.stats().batchers.default?.writing === 5);
  const stopped = pipeline.stop();
  await clock.advance(7_999);
  expect(source.state).toBe("stopped");
  await clock.advance(1);
  expect(await stopped).toEqual({ pulled: 10, written: 5, failed: 0, revoked: 0, handedBack: 5 });
  expect(wasAborted).toBe(true);
  finishLate();
  await eventLoopTurns(2);
  expect(source.committable()).toBe(5);
  expect(clock.timers).toBe(0);
});

test("a batch that waits to be tried again does not outlive the deadline", async () => {
  const source = memorySource<number>();
  const clock = fakeClock();
  let writes = 0;
  const pipeline = startPipeline({
    source,
    clock,
    drainDeadlineMs: 100,
    process: (message) => message,
    batcher: { retry: { baseMs: 60_000, capMs: 60_000 } },
    write() {
      writes++;
      throw new Error("away");
    },
  });
  source.push([1]);
  await until("the first write", () => writes === 1);
  const stopped = pipeline.stop();
  await clock.advance(100);
  expect((await stopped).handedBack).toBe(1);
  expect(writes).toBe(1);
  expect(clock.timers).toBe(0);
});

test.each([{}, { partitionBy: () => "one key" }])(
  "no handler begins after the deadline: %o",
  async (byKey) => {
    const source = memorySource<number>();
    const clock = fakeClock();
    const begun: number[] = [];
    const gates: (() => void)[] = [];
    const pipeline = startPipeline({
      source,
      clock,
      processors: byKey,
      process(message) {
        begun.push(message.value);
        return new Promise<typeof message>((open) => gates.push(() => open(message)));
      },
      write() {},
    });
    source.push(upTo(10));
    await until("the first handler", () => begun.length === 1);
    const stopped = pipeline.stop({ deadlineMs: 10 });
    await clock.advance(10);
    await stopped;
    gates[0]?.();
    await eventLoopTurns(3);
    expect(begun).toEqual([0]);
  },
);

test("stopping again brings the deadline forward, and never back", async () => {
  const source = memorySource<number>();
  const clock = fakeClock();
  const pipeline = startPipeline({
    source,
    clock,
    process: (message) => message,
    write: () => new Promise<void>(() => {}),
  });
  source.push([1]);
  await until("the write", () => pipeline.stats().batchers.default?.writing === 1);
  void pipeline.stop();
  await clock.advance(100);
  void pipeline.stop({ deadlineMs: 300 });
  const stopped = pipeline.stop({ deadlineMs: 5_000 });
  await clock.advance(299);
  expect(source.state).toBe("stopped");
  await clock.advance(1);
  expect(source.state).toBe("closed");
  expect((await stopped).handedBack).toBe(1);
});

test("a source that comes to its end is drained without a deadline", async () => {
  const source = memorySource<number>();
  const clock = fakeClock();
  let finish: () => void = () => {};
  const pipeline = startPipeline({
    source,
    clock,
    process: (message) => message,
    write: () =>
      new Promise<void>((resolve) => {
        finish = resolve;
      }),
  });
  source.push([1, 2]);
  source.end();
  await clock.advance(100_000);
  expect(source.state).toBe("stopped");
  finish();
  expect((await pipeline.done).written).toBe(2);
});

test("a source that fails stops the pipeline with its error, after what was in flight is written", async () => {
  const source = memorySource<number>();
  const pipeline = startPipeline({
    source,
    async process(message) {
      await eventLoopTurns(2);
      return message;
    },
    write() {},
  });
  source.push([1, 2, 3]);
  await until("messages in flight", () => pipeline.stats().inFlight === 3);
  source.fail(new Error("fenced off"));
  await expect(pipeline.done).rejects.toThrow("fenced off");
  await expect(pipeline.stop()).rejects.toThrow("fenced off");
  expect(source.committable()).toBe(3);
  expect(source.state).toBe("closed");
});

test("a source that delivers more than was asked for stops the pipeline", async () => {
  const source = memorySource<number>();
  const greedy: Source<number> = {
    ...source,
    async open(sink) {
      await source.open({ ...sink, deliver: (messages) => sink.deliver([...messages, ...messages]) });
    },
  };
  const pipeline = startPipeline({
    source: greedy,
    maxInFlight: 5,
    process: (message) => message,
    write() {},
  });
  source.push(upTo(5));
  await expect(pipeline.done).rejects.toThrow('source "memory" delivered 10 messages when 5 were asked for');
});

test("a source that cannot open ends the pipeline with its error, and is closed", async () => {
  const source = memorySource<number>();
  const broken: Source<number> = {
    ...source,
    open: () => Promise.reject(new Error("no broker")),
  };
  const pipeline = startPipeline({ source: broken, process: (message) => message, write() {} });
  await expect(pipeline.ready).rejects.toThrow("no broker");
  await expect(pipeline.done).rejects.toThrow("no broker");
  expect(source.state).toBe("closed");
});

test("a source that does not close holds up the end by one second, no longer", async () => {
  const source = memorySource<number>();
  const clock = fakeClock();
  const stuck: Source<number> = { ...source, close: () => new Promise(() => {}) };
  const pipeline = startPipeline({ source: stuck, clock, process: (message) => message, write() {} });
  await pipeline.ready;
  let isDone = false;
  void pipeline.stop().then(() => {
    isDone = true;
  });
  await clock.advance(999);
  expect(isDone).toBe(false);
  await clock.advance(1);
  expect(isDone).toBe(true);
});

test("an error of the source's stop or close is the pipeline's error", async () => {
  for (const method of ["stop", "close"] as const) {
    const source = memorySource<number>();
    const broken: Source<number> = {
      ...source,
      [method]: () => Promise.reject(new Error(`cannot ${method}`)),
    };
    const pipeline = startPipeline({ source: broken, process: (message) => message, write() {} });
    await pipeline.ready;
    await expect(pipeline.stop()).rejects.toThrow(`cannot ${method}`);
  }
});

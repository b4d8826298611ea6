import { expect, test } from "vitest";
import { startPipeline } from "../pipeline/pipeline.ts";
import { fakeClock } from "./fake-clock.ts";
import { memorySource } from "./memory-source.ts";
import { testBatch, testMessage } from "./messages.ts";
import { until } from "./until.ts";

test("a fake clock rings timers in order, each at its own time, also those set by a timer", async () => {
  const clock = fakeClock();
  const log: string[] = [];
  const ring = (name: string) => () => log.push(`${name} at ${clock.now()}`);
  clock.setTimer(ring("b"), 20);
  clock.setTimer(() => {
    ring("a")();
    clock.setTimer(ring("c"), 5);
  }, 10);
  const cancelled = clock.setTimer(ring("never"), 12);
  cancelled.cancel();
  clock.setTimer(ring("later"), 31);
  await clock.advance(30);
  expect(log).toEqual(["a at 10", "c at 15", "b at 20"]);
  expect(clock.now()).toBe(30);
  expect(clock.timers).toBe(1);
});

test("testBatch tells written from failed messages", async () => {
  const source = memorySource<number>();
  const pipeline = startPipeline({
    source,
    process: (message) => (message.value < 0 ? message.fail("negative") : message),
    write() {},
    failed() {},
  });
  const { written, failed } = await testBatch(source, [1, -1, 2]);
  expect(written.map(({ value }) => value)).toEqual([1, 2]);
  expect(failed.map(({ value, failure }) => [value, failure?.reason])).toEqual([[-1, "negative"]]);
  expect(await testBatch(source, [])).toEqual({ written: [], failed: [] });
  await pipeline.stop();
});

test("a message that is never acknowledged is named when the deadline has passed", async () => {
  const source = memorySource<number>();
  await expect(testMessage(source, 1, { deadlineMs: 20 })).rejects.toThrow(
    "1 of 1 messages were not acknowledged within 20 ms: 0/0",
  );
});

test("until says what was awaited and how long", async () => {
  await expect(until("pigs to fly", () => false, { deadlineMs: 10 })).rejects.toThrow(
    "waited 10 ms for pigs to fly",
  );
});

test("a memory source delivers only what was asked for, in chunks, and remembers demand it could not meet", async () => {
  const source = memorySource<number>({ chunk: 2 });
  const deliveries: number[][] = [];
  await source.open({
    deliver: (messages) => void deliveries.push(messages.map(({ value }) => value)),
    revoked() {},
    end() {},
    fail() {},
  });
  source.request(4);
  source.push([1, 2, 3]);
  expect(deliveries).toEqual([[1, 2], [3]]);
  source.push([4, 5]);
  expect(deliveries).toEqual([[1, 2], [3], [4]]);
  source.pause();
  source.request(5);
  expect(deliveries.length).toBe(3);
  source.resume();
  expect(deliveries[3]).toEqual([5]);
  expect(source.demand).toBe(4);
});

import { expect, test } from "vitest";
import { benchEngine } from "./engine.ts";
import { benchEngineLatency } from "./engine-latency.ts";
import { chunkSource, makeChunks } from "./engine-source.ts";

test("the benchmark measures four cases, and both sides of each saw every message", async () => {
  const results = await benchEngine({ repeats: 1, messages: 5_000 });
  expect(results.map(({ handler, eventsPerDispatch }) => `${handler} ${eventsPerDispatch}`)).toEqual([
    "sync 100",
    "sync 1",
    "async 100",
    "async 1",
  ]);
  for (const { messagesPerSecond, bareLoopPerSecond, costAgainstLoop, spread } of results) {
    expect(costAgainstLoop).toBeCloseTo(bareLoopPerSecond / messagesPerSecond);
    expect(spread.slowest).toBeLessThanOrEqual(messagesPerSecond);
    expect(spread.fastest).toBeGreaterThanOrEqual(messagesPerSecond);
  }
});

test("the latency of every message is counted, from delivery to write", async () => {
  const { messages, p50Ms, p99Ms, maxMs } = await benchEngineLatency({
    messagesPerSecond: 2_000,
    durationMs: 100,
  });
  expect(messages).toBe(200);
  expect(p50Ms).toBeGreaterThan(0);
  expect(p99Ms).toBeGreaterThanOrEqual(p50Ms);
  expect(maxMs).toBeGreaterThanOrEqual(p99Ms);
});

test("the benchmark's source delivers its arrays whole, and never more than was asked for", async () => {
  const source = chunkSource(makeChunks(25, 10));
  const sizes: number[] = [];
  let hasEnded = false;
  await source.open({
    deliver: (messages) => void sizes.push(messages.length),
    revoked() {},
    end() {
      hasEnded = true;
    },
    fail() {},
  });
  source.request(9);
  expect(sizes).toEqual([]);
  source.request(11);
  expect(sizes).toEqual([10, 10]);
  expect(hasEnded).toBe(false);
  source.request(5);
  expect(sizes).toEqual([10, 10, 5]);
  expect(hasEnded).toBe(true);
});

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
  const source = chunkSource();
  const delivered: number[][] = [];
  await source.open({
    deliver: (messages) => void delivered.push(messages.map(({ offset }) => offset)),
    revoked() {},
    end() {},
    fail() {},
  });
  const chunks = makeChunks(5, 2);
  const messages = chunks.flat();
  let isFinished = false;
  const finished = source.supply(chunks).then(() => {
    isFinished = true;
  });
  source.request(1);
  expect(delivered).toEqual([]);
  source.request(3);
  expect(delivered).toEqual([
    [0, 1],
    [2, 3],
  ]);
  source.request(1);
  expect(delivered[2]).toEqual([4]);
  source.acknowledge(messages.slice(0, 4));
  await Promise.resolve();
  expect(isFinished).toBe(false);
  source.acknowledge(messages.slice(4));
  await finished;
});

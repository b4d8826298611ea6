import type { EachBatchPayload, KafkaMessage } from "kafkajs";
import { describe, expect, test } from "vitest";
import { fakeClock } from "../testing/fake-clock.ts";
import { createGiver, type GiverOptions, type KafkaMessageIn } from "./give-out.ts";
import { createHoldings } from "./holdings.ts";

/** A batch as kafkajs hands it over, and the position it was told. */
function batch(first: number, count: number, bytes = 10, partition = 0) {
  const messages = Array.from({ length: count }, (_, at): KafkaMessage => {
    const record = { key: null, value: Buffer.alloc(bytes), timestamp: "0", attributes: 0, headers: {} };
    return { ...record, offset: String(first + at) };
  });
  const resolved: string[] = [];
  const payload = {
    batch: { topic: "payments", partition, messages },
    resolveOffset: (offset: string) => resolved.push(offset),
    heartbeat: () => Promise.resolve(),
  } as unknown as EachBatchPayload;
  return { payload, resolved };
}

function setUp(
  maxBytesInWork = 1_000_000,
  fetchIntervalMs = 0,
  batchOf: GiverOptions["batchOf"] = () => undefined,
) {
  const clock = fakeClock();
  const holdings = createHoldings();
  holdings.join([0, 1].map((partition) => ({ topic: "payments", partition })));
  const delivered: KafkaMessageIn[][] = [];
  const giver = createGiver({
    holdings,
    maxBytesInWork,
    fetchIntervalMs,
    clock,
    batchOf,
    deliver: (messages) => delivered.push(messages),
    beganAnew: () => {},
  });
  return {
    clock,
    holdings,
    delivered,
    giver,
    offsets: () => delivered.flat().map((message) => message.offset),
  };
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol("pending");
  await new Promise((resolve) => setImmediate(resolve));
  return (await Promise.race([promise, Promise.resolve(pending)])) === pending;
}

describe("giving out", () => {
  test("gives what was asked for and no more, and kafkajs waits with the rest", async () => {
    const { giver, offsets } = setUp();
    giver.request(3);
    const { payload, resolved } = batch(100, 5);
    const taken = giver.take(payload);
    expect(offsets()).toEqual([100, 101, 102]);
    expect(resolved.at(-1)).toBe("102");
    expect(await isPending(taken)).toBe(true);
    giver.request(2);
    await taken;
    expect(offsets()).toEqual([100, 101, 102, 103, 104]);
    expect(resolved.at(-1)).toBe("104");
  });

  test("demand that no batch could meet is remembered", async () => {
    const { giver, offsets } = setUp();
    giver.request(4);
    await giver.take(batch(0, 3).payload);
    await giver.take(batch(3, 1).payload);
    expect(offsets()).toEqual([0, 1, 2, 3]);
  });

  test("gives nothing while paused, and nothing after the stop", async () => {
    const { giver, offsets } = setUp();
    giver.pause();
    giver.request(10);
    const taken = giver.take(batch(0, 2).payload);
    expect(offsets()).toEqual([]);
    giver.resume();
    await taken;
    expect(offsets()).toEqual([0, 1]);
    giver.stop();
    const last = batch(2, 2);
    const held = giver.take(last.payload);
    giver.request(10);
    expect(offsets()).toEqual([0, 1]);
    giver.close();
    await held;
    expect(last.resolved).toEqual([]);
  });

  test("what was fetched twice is given out once", async () => {
    const { giver, offsets } = setUp();
    giver.request(100);
    await giver.take(batch(0, 10).payload);
    await giver.take(batch(5, 10).payload);
    expect(offsets()).toEqual(Array.from({ length: 15 }, (_, offset) => offset));
  });

  test("a log whose offsets went back is read from its start", async () => {
    const { giver, holdings, offsets } = setUp();
    giver.request(100);
    await giver.take(batch(1_000, 2).payload);
    const before = holdings.find("payments", 0);
    await giver.take(batch(0, 2).payload);
    expect(offsets()).toEqual([1_000, 1_001, 0, 1]);
    expect(before?.revoked).toBe(true);
  });

  test("records that weigh too much wait for others to be finished; one alone always passes", async () => {
    const { giver, holdings, delivered, offsets } = setUp(5_000);
    giver.request(100);
    const taken = giver.take(batch(0, 3, 10_000).payload);
    expect(offsets()).toEqual([0]);
    const held = holdings.find("payments", 0);
    if (held === undefined) throw new Error("partition 0 is held");
    for (const expected of [
      [0, 1],
      [0, 1, 2],
    ]) {
      held.bytesInWork = 0;
      giver.pump();
      expect(offsets()).toEqual(expected);
    }
    await taken;
    expect(delivered.flat()[0]?.origin.value).toHaveLength(10_000);
  });

  test("nothing of a revoked partition is given out, and its position stays", async () => {
    const { giver, holdings, offsets } = setUp();
    const { payload, resolved } = batch(0, 5);
    const taken = giver.take(payload);
    holdings.lose();
    giver.request(5);
    expect(offsets()).toEqual([]);
    expect(resolved).toEqual([]);
    giver.release();
    await taken;
    const stray = batch(0, 5);
    await giver.take(stray.payload);
    expect(offsets()).toEqual([]);
    expect(stray.resolved).toEqual([]);
  });

  test("a part whose connection broke before its turn is given out when it was fetched again, and not skipped", async () => {
    let isGone = true;
    const { giver, offsets } = setUp(1_000_000, 0, () => (isGone ? "gone" : undefined));
    giver.request(5);
    const { payload, resolved } = batch(0, 5);
    await giver.take(payload);
    expect([offsets(), resolved]).toEqual([[], []]);
    isGone = false;
    await giver.take(payload);
    expect(offsets()).toEqual([0, 1, 2, 3, 4]);
  });

  test("kafkajs gets its own error back, so that it joins again", async () => {
    const { giver } = setUp();
    const taken = giver.take(batch(0, 5).payload);
    giver.release(new Error("rebalancing"));
    await expect(taken).rejects.toThrow("rebalancing");
  });

  test("the parts of a fetch are given out one after the other, and kafkajs waits for all of them", async () => {
    const { giver, delivered } = setUp();
    const parts = [giver.take(batch(0, 3, 10, 0).payload), giver.take(batch(0, 3, 10, 1).payload)];
    const all = Promise.all(parts);
    giver.request(4);
    expect(delivered.flat().map(({ assignment, offset }) => `${assignment.partition}@${offset}`)).toEqual([
      "0@0",
      "0@1",
      "0@2",
      "1@0",
    ]);
    expect(await isPending(all)).toBe(true);
    giver.request(2);
    await all;
  });

  test("a fetch that brought little is followed by the next after a moment, a full one at once", async () => {
    const { giver, clock, offsets } = setUp(1_000_000, 5);
    giver.request(1_000);
    const little = giver.take(batch(0, 3).payload);
    expect(offsets()).toEqual([0, 1, 2]);
    await clock.advance(4);
    expect(await isPending(little)).toBe(true);
    await clock.advance(1);
    await little;
    await Promise.all([giver.take(batch(3, 200).payload), giver.take(batch(0, 200, 10, 1).payload)]);
    expect(offsets()).toHaveLength(403);
  });
});

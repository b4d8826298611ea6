import type { Offsets } from "kafkajs";
import { describe, expect, test } from "vitest";
import { fakeClock } from "../testing/fake-clock.ts";
import { createCommitter } from "./committer.ts";
import { createHoldings, type HeldPartition } from "./holdings.ts";

/** A committer whose requests wait for the test to answer them. */
function setUp() {
  const clock = fakeClock();
  const requests: { offsets: Offsets; resolve: () => void; reject: (error: unknown) => void }[] = [];
  const failures: unknown[] = [];
  const committer = createCommitter({
    clock,
    intervalMs: 10,
    send: (offsets) => new Promise((resolve, reject) => requests.push({ offsets, resolve, reject })),
    committed: () => {},
    failed: (error) => failures.push(error),
  });
  const holdings = createHoldings();
  holdings.join([0, 1].map((partition) => ({ topic: "payments", partition })));
  const partition = (number: number): HeldPartition => {
    const held = holdings.find("payments", number);
    if (held === undefined) throw new Error(`partition ${number} is held`);
    return held;
  };
  const finish = (held: HeldPartition, offset: number) => {
    held.tracker.finished(offset);
    committer.moved(held);
  };
  const start = (held: HeldPartition, count: number) => {
    for (let offset = 0; offset < count; offset++) held.tracker.started(offset);
  };
  return { clock, requests, failures, committer, holdings, partition, start, finish };
}

const offsetsOf = (offsets: Offsets | undefined) =>
  offsets?.topics.flatMap((topic) => topic.partitions.map((one) => `${one.partition}@${one.offset}`));

describe("the committer", () => {
  test("commits no offset past one that is still in work", async () => {
    const { clock, requests, partition, start, finish } = setUp();
    start(partition(0), 5);
    finish(partition(0), 1);
    finish(partition(0), 2);
    await clock.advance(50);
    expect(requests).toHaveLength(0);
    finish(partition(0), 0);
    await clock.advance(0);
    expect(requests.map((one) => offsetsOf(one.offsets))).toEqual([["0@3"]]);
  });

  test("one request is under way at a time, and the next has the newest offset of every partition", async () => {
    const { clock, requests, partition, start, finish } = setUp();
    start(partition(0), 100);
    start(partition(1), 100);
    finish(partition(0), 0);
    await clock.advance(0);
    for (let offset = 1; offset < 60; offset++) finish(partition(0), offset);
    for (let offset = 0; offset < 30; offset++) finish(partition(1), offset);
    await clock.advance(1_000);
    expect(requests).toHaveLength(1);
    requests[0]?.resolve();
    await clock.advance(10);
    expect(requests.map((one) => offsetsOf(one.offsets))).toEqual([["0@1"], ["0@60", "1@30"]]);
  });

  test("requests keep their distance under load", async () => {
    const { clock, requests, partition, start, finish } = setUp();
    start(partition(0), 1_000);
    for (let offset = 0; offset < 100; offset++) {
      finish(partition(0), offset);
      await clock.advance(1);
      for (const request of requests) request.resolve();
    }
    expect(requests.length).toBeGreaterThanOrEqual(9);
    expect(requests.length).toBeLessThanOrEqual(11);
  });

  test("commits nothing of a revoked partition", async () => {
    const { clock, requests, partition, holdings, start, finish } = setUp();
    const stale = partition(0);
    start(stale, 3);
    finish(stale, 0);
    holdings.lose();
    await clock.advance(100);
    finish(stale, 1);
    await clock.advance(100);
    expect(requests).toHaveLength(0);
  });

  test("a request that fails is sent again with the newest offsets, ever more slowly", async () => {
    const { clock, requests, failures, partition, start, finish } = setUp();
    start(partition(0), 10);
    finish(partition(0), 0);
    await clock.advance(0);
    requests[0]?.reject(new Error("connection closed"));
    await clock.advance(0);
    finish(partition(0), 1);
    await clock.advance(49);
    expect(requests).toHaveLength(1);
    await clock.advance(1);
    expect(offsetsOf(requests[1]?.offsets)).toEqual(["0@2"]);
    requests[1]?.reject(new Error("connection closed"));
    await clock.advance(99);
    expect(requests).toHaveLength(2);
    await clock.advance(1);
    expect(requests).toHaveLength(3);
    expect(failures).toHaveLength(2);
  });

  test("a member that the group has forgotten commits no more", async () => {
    const { clock, requests, failures, partition, start, finish } = setUp();
    start(partition(0), 10);
    finish(partition(0), 0);
    await clock.advance(0);
    requests[0]?.reject(Object.assign(new Error("unknown member"), { type: "UNKNOWN_MEMBER_ID" }));
    await clock.advance(5_000);
    expect(requests).toHaveLength(1);
    expect(failures).toHaveLength(1);
  });

  test("flush waits for the request under way and for the one behind it", async () => {
    const { clock, requests, committer, partition, start, finish } = setUp();
    start(partition(0), 10);
    finish(partition(0), 0);
    await clock.advance(0);
    finish(partition(0), 1);
    let flushed = false;
    const flush = committer.flush(1_000).then(() => {
      flushed = true;
    });
    requests[0]?.resolve();
    await clock.advance(0);
    expect(flushed).toBe(false);
    expect(offsetsOf(requests[1]?.offsets)).toEqual(["0@2"]);
    requests[1]?.resolve();
    await clock.advance(0);
    await flush;
    expect(flushed).toBe(true);
  });

  test("flush ends at its deadline when the broker does not answer", async () => {
    const { clock, committer, partition, start, finish } = setUp();
    start(partition(0), 10);
    finish(partition(0), 0);
    const flush = committer.flush(500);
    await clock.advance(500);
    await expect(flush).resolves.toBeUndefined();
  });

  test("flush with nothing to commit is over at once", async () => {
    const { committer, partition, requests, start } = setUp();
    start(partition(0), 1);
    await committer.flush(500);
    expect(requests).toHaveLength(0);
  });
});

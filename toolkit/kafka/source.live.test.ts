import { type Admin, Kafka, logLevel, type Message as Outgoing, type Producer } from "kafkajs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
// biome-ignore lint/style/noRestrictedImports: as above
import type { Link, Stack } from "../../harness/stack/stack.ts";
// biome-ignore lint/style/noRestrictedImports: a test on real servers borrows the harness's stack; the toolkit does not
import { sharedStack } from "../../harness/testing.ts";
// biome-ignore lint/style/noRestrictedImports: as above
import { createTopics } from "../../harness/topics.ts";
import type { KafkaMessageIn } from "./give-out.ts";
import type { KafkaRecord } from "./record.ts";
import { type KafkaSourceOptions, kafkaSource } from "./source.ts";

const partitions = 4;
let stack: Stack;
let link: Link;
let admin: Admin;
let producer: Producer;
let topic: string;
let topics = 0;
const open: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  stack = await sharedStack();
  const proxy = stack.link("kafka");
  if (proxy === undefined)
    throw new Error("these tests cut the network: they need a stack with a Kafka proxy");
  link = proxy;
  const kafka = new Kafka({ brokers: stack.direct.kafkaBrokers.split(","), logLevel: logLevel.NOTHING });
  admin = kafka.admin();
  producer = kafka.producer({ idempotent: true });
  await Promise.all([admin.connect(), producer.connect()]);
});

afterEach(async () => {
  link.heal();
  await Promise.all(open.splice(0).map((one) => one.close()));
});

afterAll(async () => {
  await Promise.all([admin?.disconnect(), producer?.disconnect()]);
});

async function createTopic(): Promise<void> {
  topic = `source-${process.pid}-${++topics}`;
  await createTopics(admin, [{ topic, numPartitions: partitions }]);
}

/** Sends `count` messages with the values "0", "1"... evenly over the partitions. */
async function send(count: number): Promise<void> {
  const messages: Outgoing[] = Array.from({ length: count }, (_, i) => ({
    partition: i % partitions,
    value: String(i),
  }));
  for (let at = 0; at < count; at += 1_000) {
    await producer.send({ topic, messages: messages.slice(at, at + 1_000) });
  }
}

/** A source, and what came from it; nothing is acknowledged but by the test. */
async function consume(options: Partial<KafkaSourceOptions> = {}) {
  const source = kafkaSource({
    brokers: stack.worker.kafkaBrokers.split(","),
    topic,
    groupId: topic,
    sessionTimeoutMs: 2_000,
    log: (line) => log.push(line),
    ...options,
  });
  const log: string[] = [];
  const delivered: KafkaMessageIn[] = [];
  const failures: unknown[] = [];
  let revocations = 0;
  open.push(source);
  await source.open({
    deliver: (messages) => delivered.push(...messages),
    revoked: () => revocations++,
    end: () => {},
    fail: (error) => failures.push(error),
  });
  return {
    source,
    delivered,
    failures,
    log,
    revocations: () => revocations,
    held: () => delivered.filter((message) => !message.assignment.revoked),
    /** Finishes all that was delivered and is still ours, and asks for as much again. */
    finish(messages: readonly KafkaMessageIn[]) {
      const mine = messages.filter((message) => !message.assignment.revoked);
      if (mine.length > 0) source.acknowledge(mine);
      source.request(messages.length);
    },
  };
}

/** Committed offset by partition; 0 where the group has none. */
async function committed(): Promise<number[]> {
  const [offsets] = await admin.fetchOffsets({ groupId: topic, topics: [topic] });
  const of = Array.from({ length: partitions }, () => 0);
  for (const one of offsets?.partitions ?? []) of[one.partition] = Math.max(0, Number(one.offset));
  return of;
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0);
const valuesOf = (messages: readonly KafkaMessageIn[]) => new Set(messages.map((one) => String(one.value)));

async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs = 15_000,
): Promise<void> {
  const startedAt = performance.now();
  while (!(await holds())) {
    if (performance.now() - startedAt > deadlineMs) throw new Error(`waited ${deadlineMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe("delivery", () => {
  test("bytes come as they were sent: empty, none, 1 MB, keys and headers", async () => {
    await createTopic();
    const big = Buffer.alloc(1_000_000, Buffer.from([0xff, 0x00, 0x7b]));
    const sent: Outgoing[] = [
      { value: null, key: "none" },
      { value: Buffer.alloc(0), key: "empty" },
      { value: big, key: null },
      { value: Buffer.from([0xff, 0xfe, 0x00]), key: Buffer.from([0x00, 0xff]), headers: { trace: "t-1" } },
    ];
    await producer.send({
      topic,
      messages: sent.map((message) => ({ ...message, partition: 0, timestamp: "1700000000000" })),
    });
    const { source, delivered } = await consume();
    source.request(10);
    await until("four messages", () => delivered.length === 4);
    const records: KafkaRecord[] = delivered.map((message) => message.origin);
    const values = [null, Buffer.alloc(0), big, Buffer.from([0xff, 0xfe, 0x00])];
    // Not toEqual: it compares a megabyte byte by byte, for seconds.
    expect(records.map(({ value }, at) => value?.equals(values[at] ?? Buffer.from("none")) ?? null)).toEqual([
      null,
      true,
      true,
      true,
    ]);
    expect(records.map(({ key }) => key?.toString("latin1") ?? null)).toEqual([
      "none",
      "empty",
      null,
      "\x00\xff",
    ]);
    expect(records[3]?.headers).toEqual({ trace: Buffer.from("t-1") });
    expect(records.map(({ offset }) => offset)).toEqual([0, 1, 2, 3]);
    expect(records[0]).toMatchObject({ topic, partition: 0, timestamp: 1_700_000_000_000 });
  });

  test("nothing is delivered that was not asked for", async () => {
    await createTopic();
    await send(1_000);
    const { source, delivered } = await consume();
    source.request(7);
    await until("seven messages", () => delivered.length >= 7);
    source.request(1);
    await until("one more", () => delivered.length >= 8);
    expect(delivered).toHaveLength(8);
  });

  test("a topic that is not there is an error that names it, not a wait", async () => {
    topic = "no-such-topic";
    await expect(consume()).rejects.toThrow(/cannot consume Kafka topic no-such-topic at 127\.0\.0\.1:\d+: /);
  });
});

describe("commits", () => {
  test("never run ahead of finished work, in whatever order it finishes, and reach it soon after", async () => {
    await createTopic();
    await send(2_000);
    const { source, delivered } = await consume();
    source.request(2_000);
    await until("all messages", () => delivered.length === 2_000);

    const finished = Array.from({ length: partitions }, () => new Set<number>());
    const shuffled = delivered.toSorted((a, b) => ((a.offset * 7919) % 997) - ((b.offset * 7919) % 997));
    while (shuffled.length > 0) {
      const part = shuffled.splice(0, 100);
      for (const message of part) finished[message.assignment.partition]?.add(message.offset);
      source.acknowledge(part);
      for (const [partition, offset] of (await committed()).entries()) {
        const unfinished = Array.from({ length: offset }, (_, at) => at).filter(
          (at) => !finished[partition]?.has(at),
        );
        expect(unfinished).toEqual([]);
      }
    }
    const finishedAt = performance.now();
    await until("all to be committed", async () => sum(await committed()) === 2_000);
    expect(performance.now() - finishedAt).toBeLessThan(500);
  });

  test("closing commits what is finished and hands back the rest", async () => {
    await createTopic();
    await send(400);
    const first = await consume();
    first.source.request(400);
    await until("all messages", () => first.delivered.length === 400);
    first.source.acknowledge(first.delivered.filter((message) => message.offset < 60));
    await first.source.stop();
    await first.source.close();
    expect(await committed()).toEqual([60, 60, 60, 60]);

    const second = await consume();
    second.source.request(400);
    await until("the rest", () => second.delivered.length === 160);
    expect(new Set(second.delivered.map((message) => message.offset))).toEqual(
      new Set(Array.from({ length: 40 }, (_, at) => 60 + at)),
    );
  });
});

describe("rebalance", () => {
  test("work of the older generation is fenced: revoked, not committed, and delivered again", async () => {
    await createTopic();
    await send(800);
    const first = await consume();
    first.source.request(800);
    await until("all messages", () => first.delivered.length === 800);
    first.source.acknowledge(first.delivered.filter((message) => message.offset < 50));
    await until("the first commits", async () => sum(await committed()) === 200);
    const stale = first.delivered.slice();

    const second = await consume();
    await until("the first to hear of it", () => first.revocations() > 1);
    expect(stale.every((message) => message.assignment.revoked)).toBe(true);
    // The pipeline would not do this; the source is safe all the same.
    first.source.acknowledge(stale);
    await first.source.stop();
    expect(await committed()).toEqual([50, 50, 50, 50]);

    second.source.request(800);
    await until("the second's share", () => second.held().length === 300);
    expect(second.held().every((message) => message.offset >= 50)).toBe(true);
    second.source.acknowledge(second.held());
    await first.source.close();
    await until("all to be taken over", () => second.held().length >= 300 && second.revocations() > 1);
    second.source.request(800);
    await until("the handed-back half", () => valuesOf(second.delivered).size === 600);
    second.source.acknowledge(second.held());
    await until("all to be committed", async () => sum(await committed()) === 800);
  });
});

describe("sessions", () => {
  test("a slow worker that makes progress keeps its partitions, far beyond the session timeout", async () => {
    await createTopic();
    await send(2_000);
    const slow = await consume({ sessionTimeoutMs: 1_000, stuckAfterMs: 1_500 });
    slow.source.request(10);
    await until("the first messages", () => slow.delivered.length === 10);
    for (let round = 0; round < 10; round++) {
      await new Promise((resolve) => setTimeout(resolve, 350));
      slow.finish(slow.delivered.slice(round * 10, round * 10 + 10));
    }
    expect(slow.delivered).toHaveLength(110);
    expect(slow.delivered.every((message) => !message.assignment.revoked)).toBe(true);
    expect(slow.revocations()).toBe(1);
  });

  test("a stuck worker loses them to another, and comes back when its work moves", async () => {
    await createTopic();
    await send(400);
    const stuck = await consume({ sessionTimeoutMs: 1_000, stuckAfterMs: 500 });
    stuck.source.request(100);
    await until("messages to be stuck with", () => stuck.delivered.length === 100);
    const other = await consume({ sessionTimeoutMs: 1_000, stuckAfterMs: 60_000 });
    other.source.request(10_000);
    await until("all partitions to move to the other", () => valuesOf(other.held()).size === 400);
    expect(stuck.log.some((line) => line.includes("nothing was finished for 500 ms"))).toBe(true);
    expect(stuck.held()).toEqual([]);

    const before = stuck.revocations();
    stuck.source.request(100);
    await until("it to join again", () => stuck.revocations() > before);
    await until("new messages", () => stuck.held().length > 0);
  });

  test("a worker whose stuck work was let go of tries again long before as much time has passed once more", async () => {
    await createTopic();
    await send(400);
    const stuckAfterMs = 6_000;
    const { source, delivered, held, log } = await consume({ sessionTimeoutMs: 1_000, stuckAfterMs });
    source.request(1_000);
    await until("all messages", () => delivered.length === 400);
    await until("it to leave", () => log.some((line) => line.includes("nothing was finished")));
    expect(held()).toEqual([]);
    await until("them all again", () => valuesOf(held()).size === 400, stuckAfterMs - 1_000);
    source.acknowledge(held());
    await until("all to be committed", async () => sum(await committed()) === 400);
  });
});

describe("a broken network", () => {
  /** Finishes whatever comes, a hundred messages every 5 ms at most, until the test is over. */
  async function workThrough(breakIt: () => Promise<void>): Promise<void> {
    await createTopic();
    await send(4_000);
    const { source, delivered, finish, failures } = await consume();
    source.request(200);
    let done = 0;
    const working = setInterval(() => {
      const part = delivered.slice(done, done + 100);
      done += part.length;
      if (part.length > 0) finish(part);
    }, 5);
    try {
      await until("some to be committed", async () => sum(await committed()) > 500);
      await breakIt();
      await until("all to be committed", async () => sum(await committed()) === 4_000, 30_000);
      expect(valuesOf(delivered).size).toBe(4_000);
      expect(failures).toEqual([]);
    } finally {
      clearInterval(working);
    }
  }

  test("a cut in mid-work is survived: everything is delivered, and commits go on", async () => {
    await workThrough(async () => {
      link.cut();
      const before = sum(await committed());
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      // What was under way may still have arrived; more than was in flight cannot have.
      expect(sum(await committed())).toBeLessThanOrEqual(before + 200);
      link.heal();
    });
  });

  test("a network that swallows everything is survived", async () => {
    await workThrough(async () => {
      link.stall("toWorker");
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      link.sever();
    });
  });

  test("a broker that is killed and comes back is survived", async () => {
    expect(stack.cannot("restart", "kafka")).toBeUndefined();
    await workThrough(async () => {
      await stack.kill("kafka");
      await stack.restart("kafka");
    });
  });

  test("closing ends soon though the broker is away", async () => {
    await createTopic();
    await send(100);
    const { source, delivered } = await consume();
    source.request(100);
    await until("messages", () => delivered.length === 100);
    link.cut();
    source.acknowledge(delivered);
    const startedAt = performance.now();
    await source.stop();
    await source.close();
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect(await committed()).toEqual([0, 0, 0, 0]);
  });
});

import { expect, test } from "vitest";
import { createTelemetry } from "../telemetry/telemetry.ts";
import { captureEvents } from "../testing/event-capture.ts";
import { eventLoopTurns } from "../testing/fake-clock.ts";
import { memorySource } from "../testing/memory-source.ts";
import { testBatch, testMessage } from "../testing/messages.ts";
import { until } from "../testing/until.ts";
import type { AnyMessage } from "./message.ts";
import { startPipeline } from "./pipeline.ts";

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

test("a message is processed, written with its batch, and acknowledged", async () => {
  const source = memorySource<string>();
  const written: unknown[] = [];
  const pipeline = startPipeline({
    source,
    process: (message) => message.map((text) => text.length),
    write: (batch) => void written.push(...batch.values),
  });
  const message = await testMessage(source, "four");
  expect(written).toEqual([4]);
  expect(message.origin).toEqual({ partition: 0, offset: 0, value: "four" });
  expect(source.committable()).toBe(1);
  expect(await pipeline.stop()).toEqual({ pulled: 1, written: 1, failed: 0, revoked: 0, handedBack: 0 });
});

test.each([
  ["synchronous", (bad: () => never) => bad()],
  ["asynchronous", async (bad: () => never) => bad()],
  [
    "late",
    async (bad: () => never) => {
      await eventLoopTurns(1);
      return bad();
    },
  ],
] as const)(
  "only the messages of a crashing %s handler fail; their neighbours are written",
  async (_, crash) => {
    const source = memorySource<number>();
    const stored: AnyMessage[] = [];
    const pipeline = startPipeline({
      source,
      processors: { concurrency: 3 },
      process(message) {
        if (message.value % 10 !== 3) return message;
        return crash(() => {
          throw new Error(`cannot do ${message.value}`);
        });
      },
      write() {},
      failed: (messages) => void stored.push(...messages),
    });
    const { written, failed } = await testBatch(source, upTo(100));
    expect(written.length).toBe(90);
    expect(failed.map(({ value }) => value).sort((a, b) => a - b)).toEqual(upTo(10).map((i) => 10 * i + 3));
    expect(stored.length).toBe(10);
    for (const { failure, origin } of failed) {
      expect(failure).toMatchObject({ stage: "process", reason: `cannot do ${origin.value}` });
      expect(failure?.error).toBeInstanceOf(Error);
    }
    await pipeline.stop();
  },
);

test("a handler may fail a message itself, and its value stays as it came for the failed handler", async () => {
  const source = memorySource<string>();
  const pipeline = startPipeline({
    source,
    process: (message) => message.map((text) => JSON.parse(text) as unknown),
    write() {},
    failed() {},
  });
  const bad = await testMessage(source, "{");
  expect(bad.value).toBe("{");
  expect(bad.failure?.reason).toContain("JSON");
  const { failed } = await testBatch(source, ["1"]);
  expect(failed).toEqual([]);
  await pipeline.stop();
});

test("a handler that does not return its message fails it, and says what came instead", async () => {
  const source = memorySource<number>();
  const pipeline = startPipeline({
    source,
    process: (message) => (message.value === 0 ? (undefined as never) : message),
    write() {},
    failed() {},
  });
  const { failed, written } = await testBatch(source, [0, 1]);
  expect(failed[0]?.failure?.reason).toBe(
    "process must return the message it was given, and returned nothing",
  );
  expect(written.length).toBe(1);
  await pipeline.stop();
});

test("an asynchronous handler sends on what is done before it waits again", async () => {
  const source = memorySource<number>();
  const gates: (() => void)[] = [];
  const pipeline = startPipeline({
    source,
    async process(message) {
      if (message.value === 3) await new Promise<void>((open) => gates.push(open));
      return message;
    },
    write() {},
  });
  const first = testBatch(source, [0, 1, 2]);
  source.push([3, 4]);
  expect((await first).written.length).toBe(3);
  gates[0]?.();
  await pipeline.stop();
  expect(source.committable()).toBe(5);
});

test("a processor begins with a message when the promise of the one before is settled, whatever it was", async () => {
  const source = memorySource<number>();
  let atWork = 0;
  let most = 0;
  const begun: number[] = [];
  const pipeline = startPipeline({
    source,
    processors: { concurrency: 1 },
    process(message) {
      begun.push(message.value);
      // Every third is done at once, every third in a microtask, every third by the event loop; some fail.
      if (message.value % 3 === 0) return message;
      most = Math.max(most, ++atWork);
      return eventLoopTurns(message.value % 3 === 1 ? 0 : 1).then(() => {
        atWork--;
        if (message.value % 7 === 0) throw new Error("seven");
        return message;
      });
    },
    write() {},
    failed() {},
  });
  const { written, failed } = await testBatch(source, upTo(60));
  expect(most).toBe(1);
  expect(begun).toEqual(upTo(60));
  const fails = (value: number) => value % 3 !== 0 && value % 7 === 0;
  expect(failed.map(({ value }) => value)).toEqual(upTo(60).filter(fails));
  expect(written.length + failed.length).toBe(60);
  await pipeline.stop();
});

test("a thenable that calls back at once, and again, counts once", async () => {
  const source = memorySource<number>();
  const written: unknown[] = [];
  const pipeline = startPipeline({
    source,
    process: (message) =>
      ({
        // biome-ignore lint/suspicious/noThenProperty: it is what is tested.
        then(done: (value: unknown) => void, failed: (error: unknown) => void) {
          done(message);
          done(message);
          failed(new Error("too late"));
        },
      }) as unknown as Promise<typeof message>,
    write: (batch) => void written.push(...batch.values),
  });
  await testBatch(source, upTo(25));
  expect(written).toEqual(upTo(25));
  expect((await pipeline.stop()).written).toBe(25);
});

test("without a failed handler the first failed message stops the pipeline, unacknowledged", async () => {
  const source = memorySource<number>();
  const pipeline = startPipeline({
    source,
    process(message) {
      if (message.value === 5) throw new Error("five");
      return message;
    },
    write() {},
  });
  source.push(upTo(10));
  await expect(pipeline.done).rejects.toThrow(
    "message 5 of memory partition 0 failed, and there is no failed handler to store it: five",
  );
  expect(source.committable()).toBe(5);
  expect(source.state).toBe("closed");
});

test("a failed handler that throws is called again, and nothing is acknowledged before it succeeds", async () => {
  const source = memorySource<number>();
  const telemetry = createTelemetry();
  const failures = captureEvents(telemetry, "failed-handler.failed");
  const attempts: number[] = [];
  const pipeline = startPipeline({
    source,
    telemetry,
    process: (message) => message.fail("never"),
    write() {},
    failed(messages, { attempt }) {
      attempts.push(attempt);
      expect(source.acknowledged.length).toBe(0);
      if (attempt < 3) throw new TypeError("the table is away");
      expect(messages.length).toBe(1);
    },
  });
  await testMessage(source, 1);
  expect(attempts).toEqual([1, 2, 3]);
  expect(failures.events.map(({ attempt }) => attempt)).toEqual([1, 2]);
  expect((await pipeline.stop()).failed).toBe(1);
});

test("failed messages are stored together, whatever batch key they had", async () => {
  const source = memorySource<number>();
  const calls: number[] = [];
  const pipeline = startPipeline({
    source,
    process: (message) => message.by(`key ${message.value}`).fail("no"),
    write() {},
    failed: (messages) => void calls.push(messages.length),
  });
  await testBatch(source, upTo(5));
  expect(calls).toEqual([5]);
  await pipeline.stop();
});

test("a failed handler that ends after the deadline acknowledges nothing", async () => {
  const source = memorySource<number>();
  let finish: () => void = () => {};
  const pipeline = startPipeline({
    source,
    process: (message) => message.fail("no"),
    write() {},
    failed: () =>
      new Promise<void>((resolve) => {
        finish = resolve;
      }),
  });
  source.push([1]);
  await until("the failed message", () => pipeline.stats().failing === 1);
  expect((await pipeline.stop({ deadlineMs: 0 })).handedBack).toBe(1);
  finish();
  await eventLoopTurns(2);
  expect(source.acknowledged).toEqual([]);
});

test("messages go to the batcher they name; an unknown name fails the message", async () => {
  const source = memorySource<string>();
  const written: Record<string, unknown[]> = { payments: [], refunds: [] };
  const pipeline = startPipeline({
    source,
    process: (message) => message.to(message.value),
    batchers: {
      payments: { write: (batch) => void written[batch.batcher]?.push(...batch.values) },
      refunds: { write: (batch) => void written[batch.batcher]?.push(...batch.values) },
    },
    failed() {},
  });
  const { failed } = await testBatch(source, ["payments", "refunds", "payment", "payments"]);
  expect(written).toEqual({ payments: ["payments", "payments"], refunds: ["refunds"] });
  expect(failed[0]?.failure?.reason).toBe('there is no batcher "payment", only "payments", "refunds"');
  await pipeline.stop();
});

test("a key function that throws fails its message only", async () => {
  const source = memorySource<number>();
  const keyOf = (message: { value: number }) => {
    if (message.value === 2) throw new Error("no key");
    return message.value;
  };
  const pipeline = startPipeline({
    source,
    processors: { concurrency: 2, partitionBy: keyOf },
    process: (message) => message,
    batcher: { concurrency: 2, partitionBy: keyOf },
    write() {},
    failed() {},
  });
  const { written, failed } = await testBatch(source, upTo(5));
  expect(written.length).toBe(4);
  expect(failed[0]?.failure?.reason).toBe("no key");
  await pipeline.stop();
});

test("telemetry tells of every failed message, and counts what was pulled and acknowledged", async () => {
  const source = memorySource<number>();
  const telemetry = createTelemetry();
  const failed = captureEvents(telemetry, "message.failed");
  const pulled = captureEvents(telemetry, "pipeline.pulled");
  const acknowledged = captureEvents(telemetry, "pipeline.acknowledged");
  const pipeline = startPipeline({
    name: "p",
    source,
    telemetry,
    process: (message) => (message.value === 1 ? message.fail("one") : message),
    write() {},
    failed() {},
  });
  await testBatch(source, upTo(30));
  await pipeline.stop();
  const sum = (events: readonly { messages: number }[]) =>
    events.reduce((total, { messages }) => total + messages, 0);
  expect(failed.events).toEqual([{ pipeline: "p", stage: "process", reason: "one", error: "one" }]);
  expect(sum(pulled.events)).toBe(30);
  expect(sum(acknowledged.events)).toBe(30);
});

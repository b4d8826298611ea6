/** What holds whatever the handlers, batchers and errors are: the pipeline's promises, as properties. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { eventLoopTurns } from "../testing/fake-clock.ts";
import { memorySource } from "../testing/memory-source.ts";
import { until } from "../testing/until.ts";
import { type Pipeline, type PipelineSummary, startPipeline } from "./pipeline.ts";

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Answers of a handler: at once, as a promise, or some turns of the event loop later. */
async function after(turns: number): Promise<void> {
  if (turns > 0) await eventLoopTurns(turns);
}

/** How the pipeline ended; if it does not, the error shows where its messages are. */
async function endOf(pipeline: Pipeline): Promise<PipelineSummary> {
  let timeout: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timeout = setTimeout(() => {
      reject(new Error(`waited 10 s for the pipeline to end: ${JSON.stringify(pipeline.stats())}`));
    }, 10_000);
  });
  return Promise.race([pipeline.done, late]).finally(() => clearTimeout(timeout));
}

const shape = fc.record({
  messages: fc.integer({ min: 1, max: 150 }),
  chunk: fc.integer({ min: 1, max: 60 }),
  partitions: fc.integer({ min: 1, max: 3 }),
  maxInFlight: fc.integer({ min: 1, max: 120 }),
  concurrency: fc.integer({ min: 1, max: 5 }),
  maxDemand: fc.integer({ min: 1, max: 40 }),
  byKey: fc.boolean(),
  size: fc.integer({ min: 1, max: 50 }),
  withinMs: fc.constantFrom(0, 0, 1),
  writers: fc.integer({ min: 1, max: 3 }),
  /** 0: synchronous. */
  processTurns: fc.integer({ min: 0, max: 2 }),
  writeTurns: fc.integer({ min: 0, max: 2 }),
  seed: fc.nat(),
});

test("every message is acknowledged once, after it was written or its failure stored; maxInFlight is never exceeded; keys keep their order", {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(shape, async (given) => {
      const { messages, partitions, maxInFlight, concurrency, size, processTurns, writeTurns } = given;
      const source = memorySource<number>({ chunk: given.chunk, partitions });
      const keyOf = ({ value }: { value: number }) => value % 11;
      const chance = (value: number, salt: number) => ((value + 1) * 2_654_435_761 + given.seed * salt) % 97;
      const isBad = (value: number) => chance(value, 3) < 5;
      const isBadRow = (value: number) => chance(value, 7) < 2;
      const processed: number[] = [];
      const stored = new Map<number, "written" | "failed">();
      let mostInFlight = 0;
      let mostHandlers = 0;
      let handlers = 0;
      let mostWriters = 0;
      let writers = 0;
      let writes = 0;
      // What is wrong inside a handler; thrown there it would only be one more failed message.
      const wrong: string[] = [];

      async function slow<M extends { value: number }>(message: M, fails: boolean): Promise<M> {
        handlers++;
        mostHandlers = Math.max(mostHandlers, handlers);
        await after(chance(message.value, 5) % (processTurns + 1));
        handlers--;
        if (fails) throw new Error("bad");
        return message;
      }

      function store(value: number, how: "written" | "failed"): void {
        if (stored.has(value)) wrong.push(`${value} is stored twice`);
        stored.set(value, how);
      }

      const pipeline = startPipeline({
        source,
        maxInFlight,
        processors: {
          concurrency,
          maxDemand: given.maxDemand,
          ...(given.byKey ? { partitionBy: keyOf } : {}),
        },
        process(message) {
          processed.push(message.value);
          mostInFlight = Math.max(mostInFlight, pipeline.stats().inFlight);
          const fails = isBad(message.value);
          if (processTurns === 0) {
            if (fails) throw new Error("bad");
            return message;
          }
          return slow(message, fails);
        },
        batcher: { size, withinMs: given.withinMs, concurrency: given.writers, retry: { baseMs: 0 } },
        async write(batch) {
          if (batch.messages.length > size) wrong.push(`a batch of ${batch.messages.length}`);
          writers++;
          mostWriters = Math.max(mostWriters, writers);
          await after(writeTurns);
          writers--;
          if (++writes % 7 === 3) throw new Error("away");
          if (batch.values.some(isBadRow)) throw new TypeError("one bad row");
          for (const value of batch.values) store(value, "written");
        },
        async failed(failures, { attempt }) {
          await after(writeTurns);
          if (attempt === 1 && given.seed % 2 === 0) throw new Error("away");
          for (const { origin } of failures) store(origin.value, "failed");
        },
      });
      source.onAcknowledged((acknowledged) => {
        for (const { value, failure } of acknowledged) {
          const how = failure === undefined ? "written" : "failed";
          if (stored.get(value) !== how) wrong.push(`${value} was acknowledged as ${how} and is not`);
        }
      });
      const values = upTo(messages);
      for (let partition = 0; partition < partitions; partition++) {
        source.push(
          values.filter((value) => value % partitions === partition),
          partition,
        );
      }
      source.end();
      const summary = await endOf(pipeline);

      expect(wrong).toEqual([]);
      expect(summary.written + summary.failed).toBe(messages);
      const bad = values.filter((value) => isBad(value) || isBadRow(value));
      expect(values.filter((value) => stored.get(value) === "failed")).toEqual(bad);
      expect(source.acknowledged.map(({ value }) => value).sort((a, b) => a - b)).toEqual(values);
      expect([...stored.keys()].sort((a, b) => a - b)).toEqual(values);
      expect(mostInFlight).toBeLessThanOrEqual(maxInFlight);
      expect(mostHandlers).toBeLessThanOrEqual(concurrency);
      expect(mostWriters).toBeLessThanOrEqual(given.writers);
      expect(pipeline.stats()).toMatchObject({ inFlight: 0, waiting: 0, processing: 0, failing: 0 });
      if (given.byKey && partitions === 1) {
        for (let key = 0; key < 11; key++) {
          const own = processed.filter((value) => value % 11 === key);
          expect(own).toEqual([...own].sort((a, b) => a - b));
        }
      }
    }),
    { numRuns: 60 },
  );
});

test("a kill at any moment loses nothing: what is above the committed offset comes again, what is below is stored", {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(shape, fc.integer({ min: 1, max: 60 }), async (given, turnsBeforeKill) => {
      const source = memorySource<number>({ chunk: given.chunk });
      const stored = new Set<number>();
      const pipeline = startPipeline({
        source,
        maxInFlight: given.maxInFlight,
        processors: { concurrency: given.concurrency, maxDemand: given.maxDemand },
        async process(message) {
          await after(given.processTurns);
          return message;
        },
        batcher: { size: given.size, concurrency: given.writers },
        async write(batch) {
          await after(given.writeTurns + (given.seed % 3));
          for (const value of batch.values) stored.add(value);
        },
      });
      source.push(upTo(given.messages));
      for (let turn = 0; turn < turnsBeforeKill; turn++) {
        await eventLoopTurns(1);
        const committed = source.committable();
        for (let offset = 0; offset < committed; offset++) expect(stored.has(offset)).toBe(true);
      }
      const { handedBack, pulled, written } = await pipeline.stop({ deadlineMs: 0 });
      expect(pulled).toBe(written + handedBack);
      await eventLoopTurns(5);
      const committed = source.committable();
      for (let offset = 0; offset < committed; offset++) expect(stored.has(offset)).toBe(true);
    }),
    { numRuns: 40 },
  );
});

test("after a rebalance nothing of the old generation is written from then on or acknowledged, and all of it comes again", {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      shape,
      fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 6 }),
      async (given, pauses) => {
        const source = memorySource<number>({ chunk: given.chunk, partitions: 2 });
        const written = new Map<number, number>();
        const wrong: string[] = [];
        const pipeline = startPipeline({
          source,
          maxInFlight: given.maxInFlight,
          processors: {
            concurrency: given.concurrency,
            maxDemand: given.maxDemand,
            ...(given.byKey ? { partitionBy: ({ value }: { value: number }) => value } : {}),
          },
          process(message) {
            expect(message.assignment.revoked).toBe(false);
            return after(given.processTurns).then(() => message);
          },
          batcher: { size: given.size, concurrency: given.writers, withinMs: given.withinMs },
          async write(batch) {
            for (const { assignment, value } of batch.messages)
              if (assignment.revoked) wrong.push(`${value} was written`);
            await after(given.writeTurns);
            for (const value of batch.values) written.set(value, (written.get(value) ?? 0) + 1);
          },
        });
        source.onAcknowledged((messages) => {
          for (const { assignment, value } of messages)
            if (assignment.revoked) wrong.push(`${value} was acknowledged`);
        });
        for (const partition of [0, 1]) {
          source.push(
            upTo(given.messages).map((value) => 2 * value + partition),
            partition,
          );
        }
        for (const turns of pauses) {
          await eventLoopTurns(turns);
          source.rebalance(turns % 2);
        }
        source.end();
        const { pulled, written: finished, revoked } = await endOf(pipeline);
        expect(wrong).toEqual([]);
        expect(pulled).toBe(finished + revoked);
        expect(written.size).toBe(2 * given.messages);
        expect([source.committable(0), source.committable(1)]).toEqual([given.messages, given.messages]);
      },
    ),
    { numRuns: 50 },
  );
});

test("messages written by key keep their order through several writers", async () => {
  const source = memorySource<number>();
  const written: number[] = [];
  const keyOf = ({ value }: { value: number }) => `account ${value % 13}`;
  const pipeline = startPipeline({
    source,
    processors: { concurrency: 4, partitionBy: keyOf },
    process: (message) => after(message.value % 3).then(() => message),
    batcher: { size: 7, concurrency: 3, partitionBy: keyOf },
    async write(batch) {
      await after((batch.values[0] ?? 0) % 4);
      written.push(...batch.values);
    },
  });
  source.push(upTo(600));
  source.end();
  await endOf(pipeline);
  for (let key = 0; key < 13; key++) {
    const own = written.filter((value) => value % 13 === key);
    expect(own).toEqual([...own].sort((a, b) => a - b));
  }
  expect(written.length).toBe(600);
});

test("memory stays bounded while work stands still and the source has more than it could hold", async () => {
  const source = memorySource<number>();
  const open: (() => void)[] = [];
  let isStuck = true;
  const pipeline = startPipeline({
    source,
    maxInFlight: 200,
    processors: { concurrency: 4 },
    process: (message) => message,
    batcher: { size: 50, concurrency: 2 },
    async write() {
      if (isStuck) await new Promise<void>((resolve) => open.push(resolve));
    },
  });
  source.push(upTo(100_000));
  await until("all places to be taken", () => pipeline.stats().inFlight === 200);
  await eventLoopTurns(50);
  const { inFlight, sourceDemand, pulled } = pipeline.stats();
  expect({ inFlight, sourceDemand, pulled }).toEqual({ inFlight: 200, sourceDemand: 0, pulled: 200 });
  isStuck = false;
  for (const resolve of open) resolve();
  source.end();
  expect((await endOf(pipeline)).written).toBe(100_000);
});

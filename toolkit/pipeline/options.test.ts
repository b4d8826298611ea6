import { expect, test } from "vitest";
import { memorySource } from "../testing/memory-source.ts";
import { editDistance } from "./option-errors.ts";
import { planOf } from "./options.ts";
import { type PipelineOptions, startPipeline } from "./pipeline.ts";

const source = memorySource<number>();
const good = { source, process: (message: never) => message, write() {} };

function errorOf(options: object): string {
  try {
    startPipeline(options as PipelineOptions<unknown, unknown, unknown>);
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError);
    return (error as Error).message;
  }
  return "no error";
}

test.each([
  [
    { ...good, batcher: { size: 0 } },
    "startPipeline: batcher.size: expected a whole number of at least 1, got 0",
  ],
  [{ ...good, batcher: { siez: 5 } }, 'startPipeline: batcher.siez: unknown name, did you mean "size"?'],
  [{ ...good, maxInflight: 5 }, 'startPipeline: maxInflight: unknown name, did you mean "maxInFlight"?'],
  [
    { ...good, processors: { threads: 5 } },
    'startPipeline: processors.threads: unknown name, known are "concurrency", "maxDemand", "minDemand", "partitionBy"',
  ],
  [{ ...good, write: undefined }, "startPipeline: write: expected a function, got nothing"],
  [{ ...good, process: "parse" }, 'startPipeline: process: expected a function, got "parse"'],
  [{ ...good, source: {} }, "startPipeline: source: expected a source (see source.ts), got an object"],
  [
    { ...good, batcher: { retry: { jitter: 2 } } },
    "startPipeline: batcher.retry.jitter: expected a number from 0 to 1, got 2",
  ],
  [
    { source, process: good.process, batchers: { audit: { write() {}, withinMs: "20" } } },
    'startPipeline: batchers.audit.withinMs: expected a number of milliseconds, at least 0, got "20"',
  ],
  [
    { source, process: good.process, batchers: { audit: { write() {}, consurrency: 2 } } },
    'startPipeline: batchers.audit.consurrency: unknown name, did you mean "concurrency"?',
  ],
  [
    { ...good, batchers: {} },
    "startPipeline: batchers: expected either batcher and write, or batchers, got both",
  ],
  [
    { ...good, processors: { maxDemand: 5, minDemand: 5 } },
    "startPipeline: processors.minDemand: expected less than maxDemand (5), got 5",
  ],
  [
    { ...good, rateLimit: { allowed: 5 } },
    "startPipeline: rateLimit.intervalMs: expected a number of milliseconds, at least 1, got nothing",
  ],
])("a wrong option is named with its path, what was expected, and what it was: %#", (options, message) => {
  expect(errorOf(options)).toBe(message);
});

test("all that is wrong is told at once", () => {
  expect(errorOf({ ...good, maxInFlight: -1, batcher: { size: "many" } }).split("\n")).toEqual([
    "startPipeline: maxInFlight: expected a whole number of at least 1, got -1",
    'startPipeline: batcher.size: expected a whole number of at least 1, got "many"',
  ]);
});

test("the default maxInFlight keeps every processor and writer busy", () => {
  const plan = planOf({
    ...good,
    processors: { concurrency: 4, maxDemand: 20 },
    batcher: { size: 1_000, concurrency: 2 },
  } as PipelineOptions<unknown, unknown, unknown>);
  expect(plan.maxInFlight).toBe(4 * 20 + 2 * 1_000 * 2);
  expect(plan.processors.minDemand).toBe(10);
});

test("the distance of names counts letters added, removed or replaced", () => {
  expect(editDistance("", "size")).toBe(4);
  expect(editDistance("size", "size")).toBe(0);
  expect(editDistance("sizes", "size")).toBe(1);
  expect(editDistance("siez", "size")).toBe(2);
});

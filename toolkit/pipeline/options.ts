import { z } from "zod";
import type { RateLimit } from "../stage/rate-limiter.ts";
import { silent, type Telemetry } from "../telemetry/telemetry.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { AnyMessage } from "./message.ts";
import { describeIssues } from "./option-errors.ts";
import type { PipelineOptions, Write, WriteContext } from "./pipeline.ts";
import type { Source } from "./source.ts";

/** The options with every default filled in, and types erased: what the engine works from. */
export interface Plan {
  readonly name: string;
  readonly source: Source<unknown, unknown>;
  readonly maxInFlight: number;
  readonly processors: ProcessorPlan;
  readonly process: (message: AnyMessage) => unknown;
  readonly batchers: readonly BatcherPlan[];
  readonly failed: ((messages: readonly AnyMessage[], context: WriteContext) => unknown) | undefined;
  readonly rateLimit: RateLimit | undefined;
  readonly drainDeadlineMs: number;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  readonly random: () => number;
}

export interface ProcessorPlan {
  readonly concurrency: number;
  readonly maxDemand: number;
  readonly minDemand: number;
  readonly partitionBy: ((message: AnyMessage) => string | number) | undefined;
}

export interface BatcherPlan {
  readonly name: string;
  readonly size: number;
  readonly withinMs: number;
  readonly concurrency: number;
  readonly partitionBy: ((message: AnyMessage) => string | number) | undefined;
  readonly retry: RetryPlan;
  readonly write: Write<unknown, unknown>;
}

export interface RetryPlan {
  readonly isTransient: (error: unknown) => boolean;
  readonly maxAttempts: number;
  readonly baseMs: number;
  readonly factor: number;
  readonly capMs: number;
  readonly jitter: number;
}

/** As Broadway: enough to keep a processor at work, few enough that a slow one holds up little. */
const DEFAULT_MAX_DEMAND = 10;

const fn = z.custom<(...args: never[]) => unknown>((value) => typeof value === "function", "a function");
const text = z.custom<string>(
  (value) => typeof value === "string" && value !== "",
  "a text that is not empty",
);
const source = z.custom<Source<unknown>>(
  (value) =>
    ["open", "request", "acknowledge", "pause", "resume", "stop", "close"].every((name) =>
      hasMethod(value, name),
    ),
  "a source (see source.ts)",
);
const telemetry = z.custom<Telemetry>((value) => hasMethod(value, "channel"), "a telemetry");
const clock = z.custom<Clock>((value) => hasMethod(value, "setTimer"), "a clock");

const retry = z.strictObject(
  {
    isTransient: fn.optional(),
    maxAttempts: z
      .custom<number>(
        (value) => value === Number.POSITIVE_INFINITY || isWhole(value, 1),
        "a whole number of at least 1, or Infinity",
      )
      .optional(),
    baseMs: number(0, "a number of milliseconds, at least 0").optional(),
    factor: number(1, "a number of at least 1").optional(),
    capMs: number(0, "a number of milliseconds, at least 0").optional(),
    jitter: z.custom<number>((value) => isNumber(value, 0) && value <= 1, "a number from 0 to 1").optional(),
  },
  "an object",
);
const batcherShape = {
  size: whole(1).optional(),
  withinMs: number(0, "a number of milliseconds, at least 0").optional(),
  concurrency: whole(1).optional(),
  partitionBy: fn.optional(),
  retry: retry.optional(),
};
const batcher = z.strictObject(batcherShape, "an object");
const namedBatcher = z.strictObject({ ...batcherShape, write: fn }, "an object with a write function");
const processors = z.strictObject(
  {
    concurrency: whole(1).optional(),
    maxDemand: whole(1).optional(),
    minDemand: whole(0).optional(),
    partitionBy: fn.optional(),
  },
  "an object",
);
const rateLimit = z.strictObject(
  { allowed: whole(1), intervalMs: number(1, "a number of milliseconds, at least 1") },
  "an object with allowed and intervalMs",
);
const options = z.strictObject(
  {
    name: text.optional(),
    source,
    maxInFlight: whole(1).optional(),
    processors: processors.optional(),
    process: fn,
    batcher: batcher.optional(),
    write: fn.optional(),
    batchers: z.record(z.string(), namedBatcher, "an object of batchers by name").optional(),
    failed: fn.optional(),
    rateLimit: rateLimit.optional(),
    drainDeadlineMs: number(0, "a number of milliseconds, at least 0").optional(),
    telemetry: telemetry.optional(),
    clock: clock.optional(),
    random: fn.optional(),
  },
  "an object",
);

/** Checks the options and fills in defaults; throws a TypeError with one line an issue. */
export function planOf<In, Value, Origin>(given: PipelineOptions<In, Value, Origin>): Plan {
  check(options, given, "startPipeline");
  const checked = given as unknown as PipelineOptions<unknown, unknown, unknown>;
  const processors = processorPlan(checked.processors);
  const batchers = batcherPlans(checked);
  return {
    name: checked.name ?? "pipeline",
    source: checked.source,
    maxInFlight: checked.maxInFlight ?? defaultMaxInFlight(processors, batchers),
    processors,
    process: (message) => checked.process(message),
    batchers,
    failed:
      checked.failed === undefined ? undefined : (messages, context) => checked.failed?.(messages, context),
    rateLimit: checked.rateLimit,
    drainDeadlineMs: checked.drainDeadlineMs ?? 8_000,
    telemetry: checked.telemetry ?? silent,
    clock: checked.clock ?? systemClock,
    random: checked.random ?? Math.random,
  };
}

/** For `setRateLimit`, which is checked like the option. */
export function checkRateLimit(given: RateLimit | undefined): void {
  if (given !== undefined) check(rateLimit, given, "setRateLimit");
}

/** For the concurrency that is set while running. */
export function checkConcurrency(given: number, what: string): void {
  check(whole(1), given, what);
}

/** See `RetryOptions.isTransient`. */
export function isTransientByDefault(error: unknown): boolean {
  if (typeof error === "object" && error !== null && "transient" in error) return error.transient !== false;
  return !(
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof ReferenceError ||
    error instanceof SyntaxError
  );
}

function processorPlan(given: PipelineOptions<unknown, unknown, unknown>["processors"] = {}): ProcessorPlan {
  const maxDemand = given.maxDemand ?? DEFAULT_MAX_DEMAND;
  const minDemand = given.minDemand ?? Math.floor(maxDemand / 2);
  if (minDemand >= maxDemand) {
    throw new TypeError(
      `startPipeline: processors.minDemand: expected less than maxDemand (${maxDemand}), got ${minDemand}`,
    );
  }
  return { concurrency: given.concurrency ?? 1, maxDemand, minDemand, partitionBy: given.partitionBy };
}

function batcherPlans(given: PipelineOptions<unknown, unknown, unknown>): BatcherPlan[] {
  const { batcher, write, batchers } = given;
  if (batchers === undefined) {
    if (write === undefined) throw new TypeError("startPipeline: write: expected a function, got nothing");
    return [batcherPlan("default", { ...batcher, write })];
  }
  if (batcher !== undefined || write !== undefined) {
    throw new TypeError("startPipeline: batchers: expected either batcher and write, or batchers, got both");
  }
  const plans = Object.entries(batchers).map(([name, one]) => batcherPlan(name, one));
  if (plans.length === 0) throw new TypeError("startPipeline: batchers: expected at least one, got none");
  return plans;
}

function batcherPlan(
  name: string,
  given: NonNullable<PipelineOptions<unknown, unknown, unknown>["batchers"]>[string],
): BatcherPlan {
  const { retry = {} } = given;
  return {
    name,
    size: given.size ?? 100,
    withinMs: given.withinMs ?? 0,
    concurrency: given.concurrency ?? 1,
    partitionBy: given.partitionBy,
    write: given.write,
    retry: {
      isTransient: retry.isTransient ?? isTransientByDefault,
      maxAttempts: retry.maxAttempts ?? Number.POSITIVE_INFINITY,
      baseMs: retry.baseMs ?? 50,
      factor: retry.factor ?? 2,
      capMs: retry.capMs ?? 2_000,
      jitter: retry.jitter ?? 0.2,
    },
  };
}

function defaultMaxInFlight(processors: ProcessorPlan, batchers: readonly BatcherPlan[]): number {
  const written = batchers.reduce((sum, { size, concurrency }) => sum + size * concurrency, 0);
  return processors.concurrency * processors.maxDemand + 2 * written;
}

function check(schema: z.ZodType, given: unknown, what: string): void {
  const result = schema.safeParse(given);
  if (!result.success) throw new TypeError(describeIssues(what, given, result.error, namesAt(schema)));
}

function namesAt(schema: z.ZodType): (path: readonly PropertyKey[]) => readonly string[] {
  return (path) => {
    let at: unknown = schema;
    for (const key of path) {
      at = unwrap(at);
      if (at instanceof z.ZodObject) at = at.shape[String(key)];
      else if (at instanceof z.ZodRecord) at = at.valueType;
    }
    at = unwrap(at);
    return at instanceof z.ZodObject ? Object.keys(at.shape) : [];
  };
}

function unwrap(schema: unknown): unknown {
  return schema instanceof z.ZodOptional ? schema.unwrap() : schema;
}

function whole(minimum: number) {
  return z.custom<number>((value) => isWhole(value, minimum), `a whole number of at least ${minimum}`);
}

function number(minimum: number, expected: string) {
  return z.custom<number>((value) => isNumber(value, minimum), expected);
}

function isWhole(value: unknown, minimum: number): boolean {
  return isNumber(value, minimum) && Number.isSafeInteger(value);
}

function isNumber(value: unknown, minimum: number): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= minimum;
}

function hasMethod(value: unknown, name: string): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as Record<string, unknown>)[name] === "function"
  );
}

/**
 * What the engine costs, alone: memory source -> 4 processors -> batcher of 1,000 -> a write that does nothing, on one
 * core. Beside it, in the same process, a bare loop over arrays made in the same way: the same handler, the same
 * batches, the same write, and nothing else.
 *
 * ```sh
 * npx tsx bench/engine.ts
 * ```
 */
import { pathToFileURL } from "node:url";
import type { Message } from "../toolkit/pipeline/message.ts";
import { type Pipeline, startPipeline } from "../toolkit/pipeline/pipeline.ts";
import { benchEngineLatency } from "./engine-latency.ts";
import { type BenchMessage, chunkSource, makeChunks } from "./engine-source.ts";

export interface EngineCase {
  readonly handler: "sync" | "async";
  /** Events in one delivery of the source and in one call of a processor. */
  readonly eventsPerDispatch: number;
}

export interface EngineResult extends EngineCase {
  /** Medians over the repeats. */
  readonly messagesPerSecond: number;
  readonly bareLoopPerSecond: number;
  /** The same runs by the processor time they took, all threads: what a busy neighbour disturbs less. */
  readonly messagesPerCpuSecond: number;
  /** Engine time over loop time. */
  readonly costAgainstLoop: number;
  /** Slowest and fastest repeat of the engine. */
  readonly spread: { readonly slowest: number; readonly fastest: number };
  readonly repeats: number;
  readonly messages: number;
}

export interface EngineBenchOptions {
  /** Measured runs of each case, after three that are not. Default 15. */
  readonly repeats?: number;
  /**
   * Messages in a run. Default 200,000: prepared beforehand, they are all in memory, and with many more of them the
   * garbage collector's work on the prepared arrays is what is measured.
   */
  readonly messages?: number;
}

const BATCH_SIZE = 1_000;
const WARM_UPS = 3;
const cases: readonly EngineCase[] = [
  { handler: "sync", eventsPerDispatch: 100 },
  { handler: "sync", eventsPerDispatch: 1 },
  { handler: "async", eventsPerDispatch: 100 },
  { handler: "async", eventsPerDispatch: 1 },
];

/** Measures all cases, one after the other. Takes about ten seconds. */
export async function benchEngine(options: EngineBenchOptions = {}): Promise<readonly EngineResult[]> {
  const results: EngineResult[] = [];
  for (const one of cases) results.push(await measure(one, options));
  return results;
}

async function measure(one: EngineCase, options: EngineBenchOptions): Promise<EngineResult> {
  const repeats = options.repeats ?? 15;
  const messages = options.messages ?? 200_000;
  const engine: number[] = [];
  const loop: number[] = [];
  const engineByCpu: number[] = [];
  for (let run = -WARM_UPS; run < repeats; run++) {
    const { tookMs: engineMs, cpuMs } = await timeEngine(one, messages);
    const loopMs = await timeLoop(one, messages);
    if (run < 0) continue;
    engine.push((messages / engineMs) * 1_000);
    engineByCpu.push((messages / cpuMs) * 1_000);
    loop.push((messages / loopMs) * 1_000);
  }
  const messagesPerSecond = median(engine);
  const bareLoopPerSecond = median(loop);
  return {
    ...one,
    messagesPerSecond,
    bareLoopPerSecond,
    messagesPerCpuSecond: median(engineByCpu),
    costAgainstLoop: bareLoopPerSecond / messagesPerSecond,
    spread: { slowest: Math.min(...engine), fastest: Math.max(...engine) },
    repeats,
    messages,
  };
}

const increment = (value: number) => value + 1;
const syncHandler = (message: BenchMessage) => message.map(increment);
const asyncHandler = async (message: BenchMessage) => message.map(increment);

async function timeEngine({ handler, eventsPerDispatch }: EngineCase, messages: number) {
  const source = chunkSource(makeChunks(messages, eventsPerDispatch));
  let written = 0;
  collectGarbage();
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  const pipeline: Pipeline = startPipeline({
    source,
    // A processor is called with maxDemand - minDemand events: as many as a delivery has.
    processors: { concurrency: 4, maxDemand: 2 * eventsPerDispatch, minDemand: eventsPerDispatch },
    process: handler === "sync" ? syncHandler : asyncHandler,
    batcher: { size: BATCH_SIZE },
    write(batch) {
      written += batch.messages.length;
    },
  });
  await pipeline.done;
  const tookMs = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpuBefore);
  if (written !== messages || source.acknowledged !== messages) {
    throw new Error(
      `the engine wrote ${written} and acknowledged ${source.acknowledged} of ${messages} messages`,
    );
  }
  return { tookMs, cpuMs: (user + system) / 1_000 };
}

async function timeLoop({ handler, eventsPerDispatch }: EngineCase, messages: number): Promise<number> {
  const chunks = makeChunks(messages, eventsPerDispatch);
  let written = 0;
  const write = (batch: readonly Message<number>[]) => {
    written += batch.length;
  };
  collectGarbage();
  const startedAt = performance.now();
  let batch: BenchMessage[] = [];
  for (const chunk of chunks) {
    for (const message of chunk) {
      batch.push(handler === "sync" ? syncHandler(message) : await asyncHandler(message));
      if (batch.length < BATCH_SIZE) continue;
      write(batch);
      batch = [];
    }
  }
  write(batch);
  const tookMs = performance.now() - startedAt;
  if (written !== messages) throw new Error(`the loop wrote ${written} of ${messages} messages`);
  return tookMs;
}

/** Where Node was started with --expose-gc, so that one run does not pay for the garbage of another. */
function collectGarbage(): void {
  globalThis.gc?.();
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}

/** The figures as a table. */
export function engineTable(results: readonly EngineResult[]): string {
  const rate = (perSecond: number) => `${(perSecond / 1e6).toFixed(2)} M/s`;
  const lines = results.map((result) => {
    const what = `${result.handler}, ${result.eventsPerDispatch} a dispatch`.padEnd(22);
    const engine = rate(result.messagesPerSecond).padStart(11);
    const spread = `${rate(result.spread.slowest)} to ${rate(result.spread.fastest)}`.padStart(24);
    return `${what}${engine}${spread}${rate(result.messagesPerCpuSecond).padStart(12)}${rate(result.bareLoopPerSecond).padStart(12)}${result.costAgainstLoop.toFixed(1).padStart(7)}x`;
  });
  return [
    "handler               engine (median)              spread  by CPU time   bare loop   cost",
    ...lines,
  ].join("\n");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  console.log(engineTable(await benchEngine()));
  const { messagesPerSecond, p50Ms, p99Ms, maxMs } = await benchEngineLatency();
  const figures = [p50Ms, p99Ms, maxMs].map((ms) => ms.toFixed(2)).join(", ");
  console.log(`added latency at ${messagesPerSecond.toFixed(0)} messages/s, ms: p50, p99, max = ${figures}`);
}

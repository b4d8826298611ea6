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
import { startPipeline } from "../toolkit/pipeline/pipeline.ts";
import { benchEngineLatency } from "./engine-latency.ts";
import { type BenchMessage, chunkSource, makeChunks } from "./engine-source.ts";
import { median } from "./median.ts";

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
  /** Measured runs of each case, after five that are not. Default 15. */
  readonly repeats?: number;
  /**
   * Messages in a run. Default 200,000: prepared beforehand, they are all in memory, and with many more of them the
   * garbage collector's work on the prepared arrays is what is measured.
   */
  readonly messages?: number;
}

const BATCH_SIZE = 1_000;
const WARM_UPS = 5;
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

/** Engine and loop in turns, so that a busy neighbour disturbs both. */
async function measure(one: EngineCase, options: EngineBenchOptions): Promise<EngineResult> {
  const repeats = options.repeats ?? 15;
  const messages = options.messages ?? 200_000;
  const engine = startEngine(one);
  const engineRuns: Run[] = [];
  const loopRuns: Run[] = [];
  for (let run = -WARM_UPS; run < repeats; run++) {
    const engineRun = await time(engine.handle, one, messages);
    const loopRun = await time(one.handler === "sync" ? syncLoop : asyncLoop, one, messages);
    if (run < 0) continue;
    engineRuns.push(engineRun);
    loopRuns.push(loopRun);
  }
  await engine.stop();
  const rates = engineRuns.map(({ wallMs }) => (messages / wallMs) * 1_000);
  const messagesPerSecond = median(rates);
  const bareLoopPerSecond = median(loopRuns.map(({ wallMs }) => (messages / wallMs) * 1_000));
  return {
    ...one,
    messagesPerSecond,
    bareLoopPerSecond,
    messagesPerCpuSecond: median(engineRuns.map(({ cpuMs }) => (messages / cpuMs) * 1_000)),
    costAgainstLoop: bareLoopPerSecond / messagesPerSecond,
    spread: { slowest: Math.min(...rates), fastest: Math.max(...rates) },
    repeats,
    messages,
  };
}

interface Run {
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** Handles arrays of messages to the end, and returns how many were written. */
type Handle = (chunks: BenchMessage[][]) => Promise<number>;

async function time(handle: Handle, { eventsPerDispatch }: EngineCase, messages: number): Promise<Run> {
  const chunks = makeChunks(messages, eventsPerDispatch);
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  const written = await handle(chunks);
  const wallMs = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpuBefore);
  if (written !== messages) throw new Error(`${written} of ${messages} messages were written`);
  return { wallMs, cpuMs: (user + system) / 1_000 };
}

const increment = (value: number) => value + 1;
const syncHandler = (message: BenchMessage) => message.map(increment);
const asyncHandler = async (message: BenchMessage) => message.map(increment);

/** One pipeline for all runs of a case, as a worker has one for its life. */
function startEngine({ handler, eventsPerDispatch }: EngineCase): {
  handle: Handle;
  stop(): Promise<unknown>;
} {
  const source = chunkSource();
  let written = 0;
  const pipeline = startPipeline({
    source,
    // A processor is called with maxDemand - minDemand events: as many as a delivery has.
    processors: { concurrency: 4, maxDemand: 2 * eventsPerDispatch, minDemand: eventsPerDispatch },
    process: handler === "sync" ? syncHandler : asyncHandler,
    batcher: { size: BATCH_SIZE },
    write(batch) {
      written += batch.messages.length;
    },
  });
  return {
    async handle(chunks) {
      written = 0;
      await source.supply(chunks);
      return written;
    },
    stop: () => pipeline.stop(),
  };
}

async function syncLoop(chunks: BenchMessage[][]): Promise<number> {
  const sink = bareSink();
  for (const chunk of chunks) for (const message of chunk) sink.push(syncHandler(message));
  return sink.end();
}

async function asyncLoop(chunks: BenchMessage[][]): Promise<number> {
  const sink = bareSink();
  for (const chunk of chunks) for (const message of chunk) sink.push(await asyncHandler(message));
  return sink.end();
}

/** Batches of 1,000 and a write that counts: all a loop without an engine has. */
function bareSink() {
  let written = 0;
  let batch: BenchMessage[] = [];
  function write(): void {
    written += batch.length;
    batch = [];
  }
  return {
    push(message: BenchMessage): void {
      batch.push(message);
      if (batch.length >= BATCH_SIZE) write();
    },
    end(): number {
      write();
      return written;
    },
  };
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

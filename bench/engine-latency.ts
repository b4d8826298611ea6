import { Message } from "../toolkit/pipeline/message.ts";
import { startPipeline } from "../toolkit/pipeline/pipeline.ts";
import type { Source, SourceSink } from "../toolkit/pipeline/source.ts";

export interface EngineLatency {
  /** As it was reached. */
  readonly messagesPerSecond: number;
  readonly messages: number;
  /** From delivery by the source to the call of `write`. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface EngineLatencyOptions {
  /** Default 5,000. */
  readonly messagesPerSecond?: number;
  /** Default 3,000 ms. */
  readonly durationMs?: number;
}

/**
 * What the pipeline adds to the way of a message when there is little to do: 4 processors, a batcher of 1,000 with
 * `withinMs` 0, writers that answer in the next turn of the event loop. The source delivers at a fixed rate, as many
 * as are due each millisecond; a late timer delays the delivery and not the figure.
 */
export async function benchEngineLatency(options: EngineLatencyOptions = {}): Promise<EngineLatency> {
  const rate = options.messagesPerSecond ?? 5_000;
  const total = Math.round((rate * (options.durationMs ?? 3_000)) / 1_000);
  const latencies: number[] = [];
  const source = pacedSource(total, rate);
  const startedAt = performance.now();
  const pipeline = startPipeline({
    source,
    processors: { concurrency: 4 },
    process: (message) => message,
    batcher: { size: 1_000, concurrency: 2 },
    async write(batch) {
      const now = performance.now();
      for (const deliveredAt of batch.values) latencies.push(now - deliveredAt);
      await new Promise<void>((resolve) => setImmediate(resolve));
    },
  });
  await pipeline.done;
  const tookMs = performance.now() - startedAt;
  latencies.sort((a, b) => a - b);
  const at = (share: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(share * latencies.length))] ?? 0;
  return {
    messagesPerSecond: (total / tookMs) * 1_000,
    messages: total,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
  };
}

/** Delivers what is due, if it was asked for; the value of a message is the time of its delivery. */
function pacedSource(total: number, rate: number): Source<number, undefined> {
  const assignment = { topic: "paced", partition: 0, generation: 0, revoked: false };
  let demand = 0;
  let delivered = 0;
  let timer: NodeJS.Timeout | undefined;

  function deliverDue(sink: SourceSink<number, undefined>, startedAt: number): void {
    const now = performance.now();
    const due = Math.min(total, Math.floor(((now - startedAt) / 1_000) * rate));
    const count = Math.min(demand, due - delivered);
    if (count > 0) {
      demand -= count;
      const messages = Array.from(
        { length: count },
        () => new Message(now, undefined, assignment, delivered++),
      );
      sink.deliver(messages);
    }
    if (delivered < total) return;
    clearInterval(timer);
    sink.end();
  }

  return {
    name: "paced",
    async open(sink) {
      const startedAt = performance.now();
      timer = setInterval(() => deliverDue(sink, startedAt), 1);
    },
    request(count) {
      demand += count;
    },
    acknowledge() {},
    pause() {},
    resume() {},
    async stop() {
      clearInterval(timer);
    },
    async close() {},
  };
}

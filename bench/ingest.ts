/**
 * The ingest lab's solution, whole and with all its guarantees on, beside a loop written by hand; each as its own
 * process, in turns, on the same real Kafka and Postgres.
 *
 * ```sh
 * npx tsx bench/ingest.ts
 * ```
 */
import { pathToFileURL } from "node:url";
import { Kafka, logLevel } from "kafkajs";
import { openStack } from "../harness/stack/choose.ts";
import type { Stack } from "../harness/stack/stack.ts";
import type { ArmName } from "./ingest-arm.ts";
import { benchDrain, type DrainResult } from "./ingest-drain.ts";
import { benchLive, type LiveResult } from "./ingest-live.ts";

export interface IngestBenchOptions {
  /** Default: one is opened, and stopped afterwards. */
  readonly stack?: Stack;
  /** Messages to drain. Default 1,000,000. */
  readonly messages?: number;
  /** Runs of each arm. Default 3. */
  readonly repeats?: number;
  /** Measured seconds of the live part. Default 15. */
  readonly liveSeconds?: number;
  readonly parts?: readonly ("drain" | "live")[];
  /** One arm alone, for a profile. */
  readonly only?: ArmName;
  readonly onProgress?: (line: string) => void;
}

export interface IngestResult {
  readonly drain: DrainResult | undefined;
  readonly live: LiveResult | undefined;
}

/** Measures; takes about four minutes with the defaults. Rejects when a run lost or doubled a row. */
export async function benchIngest(options: IngestBenchOptions = {}): Promise<IngestResult> {
  const onProgress = options.onProgress ?? (() => {});
  const parts = options.parts ?? ["drain", "live"];
  const stack =
    options.stack ?? (await openStack({ kind: "auto", env: process.env, onProgress, benchmark: true }));
  const kafka = new Kafka({ brokers: stack.direct.kafkaBrokers.split(","), logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  try {
    await admin.connect();
    const shared = { stack, kafka, admin, repeats: options.repeats ?? 3, only: options.only, onProgress };
    return {
      drain: parts.includes("drain")
        ? await benchDrain({ ...shared, messages: options.messages ?? 1_000_000 })
        : undefined,
      live: parts.includes("live")
        ? await benchLive({ ...shared, seconds: options.liveSeconds ?? 15 })
        : undefined,
    };
  } finally {
    await admin.disconnect();
    if (options.stack === undefined) await stack.stop();
  }
}

/** The figures as lines of a table, the ratios of pipeline to loop last. */
export function ingestTable({ drain, live }: IngestResult): string[] {
  const lines: string[] = [];
  const row = (what: string, unit: string, pipeline: number, loop: number, digits: number) =>
    lines.push(
      [
        `  ${what}`.padEnd(28),
        unit.padEnd(12),
        pipeline.toFixed(digits).padStart(10),
        loop.toFixed(digits).padStart(10),
        (pipeline / loop).toFixed(2).padStart(8),
      ].join(" "),
    );
  const head = (title: string) =>
    lines.push(
      `${title.padEnd(41)} ${"pipeline".padStart(10)} ${"loop".padStart(10)} ${"ratio".padStart(8)}`,
    );
  if (drain !== undefined) {
    const { pipeline, loop } = drain.arms;
    head(`drain of ${drain.messages.toLocaleString("en")} messages`);
    row("rate", "messages/s", pipeline.messagesPerSecond, loop.messagesPerSecond, 0);
    row("CPU", "s a million", pipeline.cpuSecondsPerMillion, loop.cpuSecondsPerMillion, 2);
    row("peak memory", "MB", pipeline.peakRssBytes / 1e6, loop.peakRssBytes / 1e6, 0);
  }
  if (live !== undefined) {
    const { pipeline, loop } = live.arms;
    head(`live at ${live.perSecond.toLocaleString("en")} messages/s`);
    row("due to committed, p50", "ms", pipeline.p50Ms, loop.p50Ms, 1);
    row("due to committed, p99", "ms", pipeline.p99Ms, loop.p99Ms, 1);
    row("CPU", "s a million", pipeline.cpuSecondsPerMillion, loop.cpuSecondsPerMillion, 2);
    row("peak memory", "MB", pipeline.peakRssBytes / 1e6, loop.peakRssBytes / 1e6, 0);
    const generator = `the generator was late by ${live.generatorP99Ms.toFixed(1)} ms`;
    lines.push(
      `  (at p99 ${generator}, and the broker took ${live.brokerP99Ms.toFixed(1)} ms to acknowledge)`,
    );
  }
  return lines;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const result = await benchIngest({ onProgress: (line) => process.stderr.write(`${line}\n`) });
  process.stdout.write(`${ingestTable(result).join("\n")}\n`);
}

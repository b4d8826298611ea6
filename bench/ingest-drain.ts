/** Drain: a topic that is full is emptied into a table; how fast, and at what cost. */
import type { Admin, Kafka } from "kafkajs";
import type { Stack } from "../harness/stack/stack.ts";
import { createTopics } from "../harness/topics.ts";
import { type ArmName, arms, startArm, untilTrue } from "./ingest-arm.ts";
import { median } from "./median.ts";

const partitions = 4;
const messageBytes = 230;
const duplicateOneIn = 10;
const accounts = 200;
const drainDeadlineMs = 300_000;

export interface DrainArm {
  /** Medians over the repeats. Messages by time from the first commit seen to the last. */
  readonly messagesPerSecond: number;
  /** User and system time of the process over its whole life, start included. */
  readonly cpuSecondsPerMillion: number;
  readonly peakRssBytes: number;
  /** From the start of the process to the last commit. */
  readonly secondsInAll: number;
  /** Each repeat, in the order they were run. */
  readonly repeats: readonly DrainRun[];
}

interface DrainRun {
  readonly messagesPerSecond: number;
  readonly cpuSecondsPerMillion: number;
  readonly peakRssBytes: number;
  readonly secondsInAll: number;
}

export interface DrainResult {
  readonly messages: number;
  readonly messageBytes: number;
  readonly partitions: number;
  /** Different event ids: the rows that each run left, counted and compared. */
  readonly rows: number;
  readonly arms: Readonly<Record<ArmName, DrainArm>>;
}

export interface DrainOptions {
  readonly stack: Stack;
  readonly kafka: Kafka;
  readonly admin: Admin;
  readonly messages: number;
  readonly repeats: number;
  readonly only?: ArmName | undefined;
  readonly onProgress: (line: string) => void;
}

export async function benchDrain(options: DrainOptions): Promise<DrainResult> {
  const { admin, messages, repeats, onProgress } = options;
  const topic = `bench_drain_${process.pid}`;
  await createTopics(admin, [{ topic, numPartitions: partitions }]);
  onProgress(`drain: sending ${messages.toLocaleString("en")} messages`);
  const rows = await preload(options, topic);
  const runs: Record<ArmName, DrainRun[]> = { pipeline: [], loop: [] };
  // A B A B: what the machine does meanwhile falls on both.
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const arm of options.only === undefined ? arms : [options.only]) {
      const run = await drain(options, topic, arm, rows, `bench_${arm}_${repeat}_${process.pid}`);
      runs[arm].push(run);
      onProgress(`drain: ${arm} ${Math.round(run.messagesPerSecond / 1_000)}k messages/s`);
    }
  }
  await admin.deleteTopics({ topics: [topic] });
  return {
    messages,
    messageBytes,
    partitions,
    rows,
    arms: { pipeline: summary(runs.pipeline), loop: summary(runs.loop) },
  };
}

async function drain(
  { stack, admin, messages }: DrainOptions,
  topic: string,
  arm: ArmName,
  rows: number,
  name: string,
): Promise<DrainRun> {
  const startedAt = performance.now();
  const worker = await startArm({ arm, stack, admin, topic, name });
  try {
    let first: { readonly at: number; readonly committed: number } | undefined;
    await untilTrue(`the ${arm} to drain the topic`, drainDeadlineMs, 50, async () => {
      const committed = await worker.committed();
      if (committed > 0) first ??= { at: performance.now(), committed };
      return committed >= messages;
    });
    const endedAt = performance.now();
    const { cpuSeconds, peakRssBytes } = await worker.usage();
    const { rows: counted } = await worker.db.query<{ stored: string; different: string }>(
      "SELECT count(*) AS stored, count(DISTINCT event_id) AS different FROM payments",
    );
    const { stored, different } = counted[0] ?? {};
    if (Number(stored) !== rows || Number(different) !== rows) {
      throw new Error(`the ${arm} stored ${stored} rows of ${different} events; there were ${rows} events`);
    }
    const begin = first ?? { at: startedAt, committed: 0 };
    return {
      messagesPerSecond: ((messages - begin.committed) / (endedAt - begin.at)) * 1_000,
      cpuSecondsPerMillion: (cpuSeconds / messages) * 1_000_000,
      peakRssBytes,
      secondsInAll: (endedAt - startedAt) / 1_000,
    };
  } finally {
    await worker.stop();
  }
}

/** Sends the messages; every tenth is an earlier one again. Resolves with the number of different events. */
async function preload({ kafka, messages }: DrainOptions, topic: string): Promise<number> {
  const producer = kafka.producer();
  await producer.connect();
  const perRequest = 1_000;
  let sent: { readonly key: string; readonly value: string }[] = [];
  let different = 0;
  for (let first = 0; first < messages; first += perRequest) {
    const before = sent;
    sent = [];
    for (let i = first; i < Math.min(first + perRequest, messages); i++) {
      const again = i % duplicateOneIn === duplicateOneIn - 1 ? before[(i * 7919) % perRequest] : undefined;
      sent.push(again ?? { key: `acct-${i % accounts}`, value: event(i) });
      if (again === undefined) different++;
    }
    await producer.send({ topic, messages: sent });
  }
  await producer.disconnect();
  return different;
}

/** A payment of exactly `messageBytes` bytes; equal index, equal bytes. */
function event(index: number): string {
  // A bijection on 32 bits: ids differ, and come in no order that an index would like.
  const scattered = (Math.imul(index, 0x9e3779b1) >>> 0).toString(16).padStart(8, "0");
  const low = index.toString(16).padStart(12, "0");
  const fields = {
    eventId: `${scattered}-${scattered.slice(4)}-4${scattered.slice(1, 4)}-8${scattered.slice(0, 3)}-${low}`,
    accountId: `acct-${index % accounts}`,
    amountCents: (index * 7_919) % 500_000,
    occurredAt: new Date(1_767_600_000_000 + index).toISOString(),
    sequence: Math.floor(index / accounts),
  };
  const length = Buffer.byteLength(JSON.stringify({ ...fields, padding: "" }));
  return JSON.stringify({ ...fields, padding: "x".repeat(Math.max(0, messageBytes - length)) });
}

function summary(runs: readonly DrainRun[]): DrainArm {
  return {
    messagesPerSecond: median(runs.map((run) => run.messagesPerSecond)),
    cpuSecondsPerMillion: median(runs.map((run) => run.cpuSecondsPerMillion)),
    peakRssBytes: median(runs.map((run) => run.peakRssBytes)),
    secondsInAll: median(runs.map((run) => run.secondsInAll)),
    repeats: runs,
  };
}

/** Live: an open loop of messages at a fixed rate; how long from when one was due until its row was committed. */
import type { Admin } from "kafkajs";
import type { Load } from "../harness/lab.ts";
import { prepareLoad } from "../harness/load/load.ts";
import { planMessages } from "../harness/load/messages.ts";
import { dueTimes, schedule } from "../harness/load/schedule.ts";
import type { Stack } from "../harness/stack/stack.ts";
import { createTopics } from "../harness/topics.ts";
import { type ArmName, arms, startArm, untilTrue } from "./ingest-arm.ts";
import { median } from "./median.ts";

const partitions = 4;
const perSecond = 5_000;
const warmUpMs = 6_000;
/** Makes events of about 230 bytes. */
const paddingLength = 60;
/** When more than this share is sent this late, the run says more about the sender. */
const tolerableLateShare = 0.02;
const tolerableLateMs = 20;

export interface LiveArm {
  /** Medians over the repeats, from due time to commit of the row. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly cpuSecondsPerMillion: number;
  readonly peakRssBytes: number;
}

export interface LiveResult {
  readonly perSecond: number;
  readonly seconds: number;
  /** Messages whose latency was taken, in each repeat. */
  readonly samples: number;
  /** p99 of how late the generator itself was, over all runs: a floor under the figures. */
  readonly generatorP99Ms: number;
  /** p99 of what the broker took to acknowledge a message: the other part of the way that is not the worker's. */
  readonly brokerP99Ms: number;
  readonly arms: Readonly<Record<ArmName, LiveArm>>;
}

interface LiveRun extends LiveArm {
  readonly generatorP99Ms: number;
  readonly brokerP99Ms: number;
}

export interface LiveOptions {
  readonly stack: Stack;
  readonly admin: Admin;
  readonly seconds: number;
  readonly repeats: number;
  readonly only?: ArmName | undefined;
  readonly onProgress: (line: string) => void;
}

export async function benchLive(options: LiveOptions): Promise<LiveResult> {
  const runs: Record<ArmName, LiveRun[]> = { pipeline: [], loop: [] };
  for (let repeat = 0; repeat < options.repeats; repeat++) {
    for (const arm of options.only === undefined ? arms : [options.only]) {
      const run = await live(options, arm, `bench_live_${arm}_${repeat}_${process.pid}`);
      runs[arm].push(run);
      options.onProgress(`live: ${arm} p50 ${run.p50Ms.toFixed(1)} ms, p99 ${run.p99Ms.toFixed(1)} ms`);
    }
  }
  return {
    perSecond,
    seconds: options.seconds,
    samples: perSecond * options.seconds,
    generatorP99Ms: median([...runs.pipeline, ...runs.loop].map((run) => run.generatorP99Ms)),
    brokerP99Ms: median([...runs.pipeline, ...runs.loop].map((run) => run.brokerP99Ms)),
    arms: { pipeline: summary(runs.pipeline), loop: summary(runs.loop) },
  };
}

async function live({ stack, admin, seconds }: LiveOptions, arm: ArmName, name: string): Promise<LiveRun> {
  const [topic, warmUpTopic] = [name, `${name}_warm_up`];
  const topics = [topic, warmUpTopic].map((one) => ({ topic: one, numPartitions: partitions }));
  await createTopics(admin, topics);
  const load: Load = {
    phases: [
      { name: "warm-up", forMs: warmUpMs, perSecond },
      { name: "measured", forMs: seconds * 1_000, perSecond },
    ],
    accounts: 200,
    paddingLength,
    malformedOneIn: 0,
  };
  const seed = 7;
  const order = { brokers: stack.direct.kafkaBrokers, topic, warmUpTopic, partitions, seed, load };
  const worker = await startArm({ arm, stack, admin, topic, name });
  const generator = await prepareLoad(order);
  try {
    const hasJoined = async () =>
      (await admin.describeGroups([name])).groups.some(
        ({ state, members }) => state === "Stable" && members.length > 0,
      );
    await untilTrue(`the ${arm} to join its group`, 30_000, 50, hasJoined);
    const startEpochMs = Date.now() + 200;
    generator.start(startEpochMs);
    await generator.finished;
    const { planned, acknowledged, sentMs, ackedMs } = generator.ledger;
    if (acknowledged < planned)
      throw new Error(`only ${acknowledged} of ${planned} messages were acknowledged`);
    await untilTrue(
      `the ${arm} to commit all`,
      30_000,
      50,
      async () => (await worker.committed()) >= planned,
    );

    const due = dueTimes(schedule(load.phases));
    const committedAt = await commitTimes(worker.db);
    if (committedAt.size !== planned) throw new Error(`${committedAt.size} rows of ${planned} messages`);
    const plan = planMessages(seed, load, partitions);
    const latencies: number[] = [];
    const late: number[] = [];
    const broker: number[] = [];
    for (let i = 0; i < planned; i++) {
      const dueMs = due[i] ?? 0;
      if (dueMs < warmUpMs) continue;
      const at = committedAt.get(plan.eventId(i) ?? "") ?? Number.NaN;
      latencies.push(at - startEpochMs - dueMs);
      late.push((sentMs[i] ?? 0) - dueMs);
      broker.push((ackedMs[i] ?? 0) - (sentMs[i] ?? 0));
    }
    latencies.sort((a, b) => a - b);
    late.sort((a, b) => a - b);
    broker.sort((a, b) => a - b);
    const lateMs = quantile(late, 1 - tolerableLateShare);
    if (lateMs > tolerableLateMs) {
      const share = `${tolerableLateShare * 100} % of the messages were sent more than ${lateMs.toFixed(0)} ms late`;
      throw new Error(`the machine is too busy to measure latency: ${share}`);
    }
    const { cpuSeconds, peakRssBytes } = await worker.usage();
    return {
      p50Ms: quantile(latencies, 0.5),
      p99Ms: quantile(latencies, 0.99),
      maxMs: quantile(latencies, 1),
      cpuSecondsPerMillion: (cpuSeconds / planned) * 1_000_000,
      peakRssBytes,
      generatorP99Ms: quantile(late, 0.99),
      brokerP99Ms: quantile(broker, 0.99),
    };
  } finally {
    await generator.close();
    await worker.stop();
    await admin.deleteTopics({ topics: [topic, warmUpTopic] });
  }
}

/** Epoch ms of the commit of each row, by event id (`track_commit_timestamp` is on in the native stack). */
async function commitTimes(db: import("pg").Client): Promise<Map<string, number>> {
  const { rows } = await db.query<[string, number]>({
    text: "SELECT event_id, (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000)::float8 FROM payments",
    rowMode: "array",
  });
  return new Map(rows);
}

/** Nearest rank. */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))] ?? Number.NaN;
}

function summary(runs: readonly LiveRun[]): LiveArm {
  return {
    p50Ms: median(runs.map((run) => run.p50Ms)),
    p99Ms: median(runs.map((run) => run.p99Ms)),
    maxMs: median(runs.map((run) => run.maxMs)),
    cpuSecondsPerMillion: median(runs.map((run) => run.cpuSecondsPerMillion)),
    peakRssBytes: median(runs.map((run) => run.peakRssBytes)),
  };
}

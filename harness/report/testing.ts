/**
 * A run that never happened, as real as it needs to be: a queue with one server, a spike, a killed worker
 * and a cut database, simulated message by message. For tests of the report and for looking at it.
 */
import { type RunRecord, recordVersion } from "../record/record.ts";
import { overall, type RunVerdict } from "../verdict/verdict.ts";
import type { Chart } from "./chart.ts";
import { simulatedCharts } from "./testing-charts.ts";
import { failed, held } from "./testing-verdicts.ts";

const phases = [
  { name: "steady", startMs: 0, endMs: 12_000, perSecond: 3_000 },
  { name: "spike", startMs: 12_000, endMs: 16_000, perSecond: 6_000 },
  { name: "steady again", startMs: 16_000, endMs: 40_000, perSecond: 3_000 },
];

/** When no row could be written. */
const outages = [
  {
    name: "worker killed",
    kind: "kill-worker",
    startMs: 21_000,
    healMs: 21_400,
    clearMs: 25_400,
    backMs: 23_350,
  },
  { name: "Postgres cut", kind: "cut", startMs: 31_000, healMs: 33_000, clearMs: 35_000, backMs: 33_120 },
];

interface Simulated {
  readonly dueMs: readonly number[];
  readonly rowMs: readonly number[];
}

/** First come, first served at 9,000 messages/s; nothing is served during an outage. */
function simulate(): Simulated {
  const dueMs: number[] = [];
  for (const { startMs, endMs, perSecond } of phases) {
    const count = ((endMs - startMs) * perSecond) / 1_000;
    for (let index = 0; index < count; index++) dueMs.push(startMs + (index * 1_000) / perSecond);
  }
  const rowMs: number[] = [];
  let free = 0;
  for (const [index, due] of dueMs.entries()) {
    // A fixed pattern in place of chance: service and batching take 6 to 26 ms, now and then 90.
    const service = 6 + ((index * 7_919) % 2_000) / 100 + (index % 1_709 === 0 ? 64 : 0);
    free = Math.max(due, free + 1 / 9);
    for (const outage of outages) if (free >= outage.startMs && free < outage.backMs) free = outage.backMs;
    rowMs.push(free + service);
  }
  return { dueMs, rowMs };
}

let simulated: Simulated | undefined;

/** The simulated run as the harness would hand it to the report. `outcome` chooses what the judge found. */
export function simulatedRun(outcome: "pass" | "fail" = "pass"): {
  record: RunRecord;
  verdict: RunVerdict;
  charts: Chart[];
} {
  simulated ??= simulate();
  const criteria = outcome === "pass" ? held : failed;
  const subject = outcome === "pass" ? "solution" : "plain-insert";
  const record = recordOf(simulated, subject);
  return {
    record,
    verdict: {
      lab: "ingest",
      subject,
      seed: record.seed,
      stack: record.stack.kind,
      verdict: overall(criteria),
      criteria,
    },
    charts: simulatedCharts({ record, ...simulated }),
  };
}

function recordOf({ dueMs }: Simulated, subject: string): RunRecord {
  const sampled = (startMs: number, endMs: number) =>
    Array.from({ length: Math.floor((endMs - startMs) / 500) }, (_, index) => ({
      atMs: startMs + index * 500,
      rssBytes: 90e6 + index * 2e5,
      cpuMs: index * 140,
    }));
  return {
    version: recordVersion,
    lab: "ingest",
    subject: { name: subject, command: ["node", "--import", "tsx", `labs/ingest/${subject}.ts`] },
    profile: "full",
    seed: 1_804_289_383,
    startedAt: Date.UTC(2026, 2, 14, 9, 26, 53),
    finishedMs: 46_812.4,
    command: `npm run lab -- ingest --subject ${subject} --profile full --seed 1804289383`,
    stack: {
      kind: "native",
      why: "no Docker engine answers; Java 17 and Maven are here",
      versions: { kafka: "4.1.0", postgres: "17.6", redis: "6.2.14" },
      limits: [],
    },
    parameters: {
      sessionTimeoutMs: 3_000,
      concurrency: 8,
      maxInFlight: 20_000,
      accounts: 500,
      paddingLength: 64,
    },
    host: {
      platform: "linux",
      arch: "x64",
      cpuModel: "A common server processor at 2.5 GHz",
      cpus: 2,
      memoryBytes: 8_321_499_136,
      node: "20.20.0",
      calibration: { timerLatenessMs: { p50: 0.1, p99: 1.4, max: 3.2, samples: 200 }, cpuShare: 0.97 },
      duringRun: {
        eventLoopDelayMs: { p50: 10.1, p99: 12.9, max: 41.4, samples: 4_100 },
        foreignCpuShare: 0.06,
        clockDriftMs: 0.3,
      },
    },
    topic: { name: "ingest-7f3a", partitions: 4 },
    phases,
    faults: outages.map(({ name, kind, startMs, healMs, clearMs }) => ({
      name,
      kind,
      startMs,
      healMs,
      clearMs,
    })),
    ledger: {
      planned: dueMs.length,
      partition: dueMs.map((_, index) => index % 4),
      offset: dueMs.map((_, index) => Math.floor(index / 4)),
      sentMs: dueMs.map((due) => due + 0.2),
      ackedMs: dueMs.map((due) => due + 2.4),
      stoppedMs: null,
      errors: [],
      endOffsets: [33_000, 33_000, 33_000, 33_000],
    },
    tables: [],
    commitSamples: [],
    linkSamples: [],
    workers: [
      {
        id: "worker-1",
        pid: 4_101,
        startMs: -2_400,
        readyMs: -900,
        exit: { atMs: 21_012, code: null, signal: "SIGKILL", planned: true, tail: "" },
        samples: sampled(0, 21_000),
      },
      {
        id: "worker-2",
        pid: 4_188,
        startMs: 21_400,
        readyMs: 23_300,
        exit: { atMs: 46_300, code: 0, signal: null, planned: true, tail: "" },
        samples: sampled(21_500, 46_000),
      },
    ],
    settled: { atMs: 42_100, drained: true },
  };
}

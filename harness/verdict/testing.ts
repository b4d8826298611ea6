/** A run in which everything went right, made without services: tests plant one fault in it and ask the judge. */
import type { Lab, LabTable, Scenario } from "../lab.ts";
import { planMessages, type SentMessage } from "../load/messages.ts";
import { dueTimes, schedule } from "../load/schedule.ts";
import { type RunRecord, recordVersion } from "../record/record.ts";
import { commitBehindWrite, lossless, oneRowPerEvent, payloadIntact } from "./delivery.ts";
import { poisonContained } from "./poison.ts";
import { fresh, keepsUp, survivesKill } from "./timing.ts";

const effects: LabTable = {
  name: "effects",
  columns: [
    { name: "event_id", sql: "event_id" },
    { name: "amount_cents", sql: "amount_cents" },
  ],
  belongs: ({ malformation }) => malformation === undefined,
  expected: ({ event }) => [event?.eventId ?? null, String(event?.amountCents)],
  key: { by: "event", columns: ["event_id"] },
};

const rejected: LabTable = {
  name: "rejected",
  columns: [
    { name: "topic", sql: "topic" },
    { name: "partition", sql: "partition" },
    { name: "offset", sql: '"offset"' },
    { name: "value", sql: "encode(value, 'hex')" },
  ],
  belongs: ({ malformation }) => malformation !== undefined,
  expected: (message) => [
    message.topic,
    String(message.partition),
    String(message.offset),
    message.value()?.toString("hex") ?? null,
  ],
  key: { by: "origin", columns: ["topic", "partition", "offset"] },
};

const scenario: Scenario = {
  load: {
    accounts: 20,
    paddingLength: 8,
    malformedOneIn: 50,
    phases: [
      { name: "steady", forMs: 2_000, perSecond: 1_000 },
      { name: "spike", forMs: 500, perSecond: 2_000 },
      { name: "faults", forMs: 4_000, perSecond: 1_000 },
    ],
  },
  faults: [{ kind: "kill-worker", atMs: 4_000, recoveryMs: 500 }],
  worker: { sessionTimeoutMs: 500, concurrency: 1, maxInFlight: 100 },
  settleMs: 1_000,
};

export const testLab: Lab = {
  name: "test",
  title: "a lab for the judge's own tests",
  question: "Does the judge find what is wrong?",
  home: import.meta.url,
  partitions: 2,
  profiles: { quick: scenario, full: scenario },
  tables: [effects, rejected],
  criteria: [
    lossless,
    oneRowPerEvent("effects"),
    payloadIntact("effects"),
    commitBehindWrite,
    poisonContained("rejected"),
    keepsUp,
    survivesKill("effects"),
    fresh("effects"),
  ],
  charts: [],
};

const killMs = 4_000;
const healMs = 4_100;
const backMs = 4_700;
const storeMs = 8;
const commitMs = 20;

let made: RunRecord | undefined;

/** Stored 8 ms and committed 20 ms after due; a kill at 4.0 s after which rows flow again at 4.7 s. A fresh copy at each call. */
export function healthyRecord(): RunRecord {
  made ??= makeRecord();
  return structuredClone(made);
}

function makeRecord(): RunRecord {
  const { partitions } = testLab;
  const plan = planMessages(1, scenario.load, partitions);
  const phases = schedule(scenario.load.phases);
  const due = dueTimes(phases);
  const next = new Array<number>(partitions).fill(0);
  const partition: number[] = [];
  const offset: number[] = [];
  for (let i = 0; i < plan.length; i += 1) {
    const p = plan.at(i).partition;
    partition.push(p);
    offset.push(next[p] ?? 0);
    next[p] = (next[p] ?? 0) + 1;
  }
  const at = (index: number): SentMessage => ({
    ...plan.at(index),
    topic: "t",
    offset: offset[index] ?? -1,
    event: plan.event(index),
    value: () => plan.value(index),
  });
  const dueAt = (i: number): number => due[i] ?? 0;
  // What was stored shortly before the kill was not committed any more: it is delivered again.
  const storedAt = (i: number): number =>
    dueAt(i) + storeMs < killMs || dueAt(i) > backMs ? dueAt(i) + storeMs : backMs;
  const isCommitted = (i: number, now: number): boolean =>
    dueAt(i) + commitMs < killMs ? dueAt(i) + commitMs <= now : Math.max(dueAt(i), backMs) + commitMs <= now;
  const committedAt = (now: number): number[] => {
    const offsets = new Array<number>(partitions).fill(0);
    for (let i = 0; i < plan.length && isCommitted(i, now); i += 1) {
      offsets[partition[i] ?? 0] = (offset[i] ?? 0) + 1;
    }
    return offsets;
  };
  const endMs = phases.at(-1)?.endMs ?? 0;
  const commitSamples: RunRecord["commitSamples"] = [];
  let checkedBefore = 0;
  for (let now = 50; now <= endMs + 200; now += 100) {
    const committed = committedAt(now);
    const total = committed.reduce((sum, one) => sum + one, 0);
    commitSamples.push({ atMs: now, committed, checked: total - checkedBefore, missing: [] });
    checkedBefore = total;
  }
  const indexes = Array.from({ length: plan.length }, (_, i) => i);
  const quiet = { p50: 0.1, p99: 1, max: 2, samples: 100 };
  return {
    version: recordVersion,
    lab: "test",
    subject: { name: "solution", command: ["true"] },
    profile: "quick",
    seed: 1,
    startedAt: 0,
    finishedMs: endMs + 500,
    command: "npx tsx labs/test/run.ts --seed 1",
    stack: { kind: "native", why: "a test", versions: { kafka: "0", postgres: "0", redis: "0" }, limits: [] },
    parameters: {
      sessionTimeoutMs: 500,
      keepsUpWithinMs: 1_000,
      survivesKillWithinMs: 500,
      freshP99Ms: 1_000,
    },
    host: {
      platform: "linux",
      arch: "x64",
      cpuModel: "test",
      cpus: 2,
      memoryBytes: 1,
      node: "v20",
      calibration: { timerLatenessMs: quiet, cpuShare: 1 },
      duringRun: { eventLoopDelayMs: quiet, foreignCpuShare: 0, clockDriftMs: 0 },
    },
    topic: { name: "t", partitions },
    phases: phases.map(({ name, startMs, endMs: end, perSecond }) => ({
      name,
      startMs,
      endMs: end,
      perSecond,
    })),
    faults: [
      {
        name: "kill",
        kind: "kill-worker",
        startMs: killMs,
        healMs,
        clearMs: healMs + 1_000,
        committedOffsets: committedAt(killMs),
      },
    ],
    ledger: {
      planned: plan.length,
      stoppedMs: null,
      partition,
      offset,
      sentMs: indexes.map((i) => dueAt(i) + 1),
      ackedMs: indexes.map((i) => dueAt(i) + 2),
      errors: [],
      endOffsets: next,
    },
    tables: testLab.tables.map((table) => {
      const asSent = indexes.filter((i) => table.belongs(at(i)));
      return {
        name: table.name,
        columns: table.columns.map(({ name }) => name),
        asSent,
        asSentCommittedMs: asSent.map(storedAt),
        others: [],
      };
    }),
    commitSamples,
    linkSamples: [],
    workers: [
      {
        id: "w1",
        pid: 1,
        startMs: -900,
        readyMs: -100,
        exit: { atMs: killMs, code: null, signal: "SIGKILL", planned: true, tail: "" },
        samples: [],
      },
      {
        id: "w2",
        pid: 2,
        startMs: healMs,
        readyMs: null,
        exit: { atMs: endMs + 300, code: 0, signal: null, planned: true, tail: "" },
        samples: [],
      },
    ],
    settled: { atMs: endMs + 200, drained: true },
  };
}

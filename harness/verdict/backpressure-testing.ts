/** A worker that calls a gateway, simulated: tests change one thing about it and ask the judges. */
import type { Lab, Scenario } from "../lab.ts";
import { planMessages } from "../load/messages.ts";
import { dueTimes, schedule } from "../load/schedule.ts";
import type { RunRecord } from "../record/record.ts";
import {
  noRebalance,
  pullMatchesFinish,
  pullRateFalls,
  rateMatchesCapacity,
  recovers,
} from "./backpressure.ts";
import { boundedInFlight, boundedMemory } from "./bounds.ts";
import { below } from "./flow.ts";
import { boundedConcurrency, everyEventAccepted } from "./gateway.ts";
import { healthyRecord } from "./testing.ts";

const workMs = [20, 50, 100, 200, 500, 20];
const overheadMs = 2;

const scenario: Scenario = {
  load: {
    accounts: 20,
    paddingLength: 4_000,
    malformedOneIn: 0,
    phases: workMs.map((ms) => ({ name: `${ms} ms`, forMs: 4_000, perSecond: 150 })),
  },
  gateway: { workMs },
  faults: [],
  worker: { sessionTimeoutMs: 1_000, concurrency: 4, maxInFlight: 20 },
  settleMs: 20_000,
  limits: { backlogBytes: 5_000_000, rssGrowthBytes: 3_000_000 },
};

export const backpressureTestLab: Lab = {
  name: "test",
  title: "a lab for the judges' own tests",
  question: "Do the judges find what is wrong?",
  home: import.meta.url,
  partitions: 1,
  profiles: { quick: scenario, full: scenario },
  tables: [],
  criteria: [
    everyEventAccepted,
    pullRateFalls,
    pullMatchesFinish,
    rateMatchesCapacity,
    boundedConcurrency,
    boundedInFlight,
    boundedMemory,
    recovers,
    noRebalance,
  ],
  charts: [],
};

export interface SimulatedWorker {
  /** Calls at once. */
  readonly places: number;
  readonly maxInFlight: number;
  /** Shortest time between two calls. */
  readonly gapMs: number;
  /** Messages kept in memory weigh this many times their length. */
  readonly memoryFactor: number;
  /** How long a place stands empty after each call, by the worker's own doing. */
  readonly idleMs: number;
  /** What the host takes of each call beside the load, whoever makes it; before the load it was 2 ms. */
  readonly hostMs: number;
}

const good: SimulatedWorker = {
  places: 4,
  maxInFlight: 20,
  gapMs: 0,
  memoryFactor: 1,
  idleMs: 0,
  hostMs: overheadMs,
};
/** The reference caller makes five calls, one after the other, so often. */
const burstEveryMs = 500;

/** The record of a run of this worker, on a host and with a load that are as they should be. */
export function simulate(change: Partial<SimulatedWorker> = {}): RunRecord {
  const worker = { ...good, ...change };
  const base = healthyRecord();
  const plan = planMessages(base.seed, scenario.load, 1);
  const phases = schedule(scenario.load.phases);
  const due = dueTimes(phases);
  const bytes = plan.value(0)?.length ?? 0;
  const workAt = (atMs: number) => workMs[phases.findLastIndex(({ startMs }) => startMs <= atMs)] ?? 0;

  const free = new Array<number>(Math.min(worker.places, plan.length)).fill(0);
  const arrivedMs: number[] = [];
  const answeredMs: number[] = [];
  const pulledMs: number[] = [];
  const open: number[] = [];
  for (let i = 0; i < plan.length; i += 1) {
    const placeFreed = i < worker.maxInFlight ? 0 : (answeredMs[i - worker.maxInFlight] ?? 0);
    const pulled = Math.max((due[i] ?? 0) + 3, placeFreed);
    const place = free.indexOf(Math.min(...free));
    const placeReady = (free[place] ?? 0) + worker.hostMs + worker.idleMs;
    const arrived = Math.max(pulled, placeReady, (arrivedMs.at(-1) ?? 0) + worker.gapMs);
    const answered = arrived + workAt(arrived);
    free[place] = answered;
    pulledMs.push(pulled);
    arrivedMs.push(arrived);
    open.push(1 + answeredMs.filter((at) => at > arrived).length);
    answeredMs.push(answered);
  }
  const endMs = Math.max(...answeredMs) + 10;
  const looks = Array.from({ length: Math.ceil(endMs / 100) + 1 }, (_, i) => i * 100);
  const sortedPulledMs = Float64Array.from(pulledMs).sort();
  const sortedAnsweredMs = Float64Array.from(answeredMs).sort();
  const pulledUntil = (atMs: number) => below(sortedPulledMs, atMs);
  const answeredUntil = (atMs: number) => below(sortedAnsweredMs, atMs);
  const inMemory = (atMs: number) => pulledUntil(atMs) - answeredUntil(atMs);
  const indexes = Array.from({ length: plan.length }, (_, i) => i);
  const referenceAtMs = Array.from({ length: Math.floor(endMs / burstEveryMs) }, (_, i) =>
    [0, 10, 20, 30, 40].map((laterMs) => i * burstEveryMs + laterMs),
  ).flat();
  return {
    ...base,
    parameters: {
      sessionTimeoutMs: 1_000,
      workerConcurrency: scenario.worker.concurrency,
      workerMaxInFlight: scenario.worker.maxInFlight,
      ...scenario.limits,
    },
    topic: { name: "t", partitions: 1 },
    phases: phases.map(({ name, startMs, endMs: end, perSecond }) => ({
      name,
      startMs,
      endMs: end,
      perSecond,
    })),
    faults: [],
    ledger: {
      planned: plan.length,
      stoppedMs: null,
      partition: indexes.map(() => 0),
      offset: indexes,
      sentMs: indexes.map((i) => (due[i] ?? 0) + 1),
      ackedMs: indexes.map((i) => (due[i] ?? 0) + 2),
      errors: [],
      endOffsets: [plan.length],
    },
    tables: [],
    commitSamples: looks.map((atMs) => ({
      atMs,
      committed: [answeredUntil(atMs)],
      checked: 0,
      missing: [],
    })),
    linkSamples: looks.map((atMs) => ({
      atMs,
      service: "kafka",
      toServiceBytes: 0,
      toWorkerBytes: 5_000 + pulledUntil(atMs) * (bytes + 80),
      fetchedEvents: pulledUntil(atMs),
    })),
    workers: [
      {
        id: "w1",
        pid: 1,
        startMs: -900,
        readyMs: -100,
        exit: { atMs: endMs + 10, code: 0, signal: null, planned: true, tail: "" },
        samples: looks.map((atMs) => ({
          atMs,
          rssBytes: 100_000_000 + Math.round(inMemory(atMs) * bytes * worker.memoryFactor),
          cpuMs: 0,
        })),
      },
    ],
    gateway: {
      steps: phases.map(({ startMs }, i) => ({ startMs, workMs: workMs[i] ?? 0 })),
      callOverhead: { meanMs: overheadMs, p50Ms: overheadMs, p99Ms: overheadMs, samples: 100 },
      // Half of them a quarter less, half of them a quarter more.
      reference: {
        atMs: referenceAtMs,
        overheadMs: referenceAtMs.map((_, i) => worker.hostMs * (i % 2 === 0 ? 0.75 : 1.25)),
      },
      attempts: { message: indexes, arrivedMs, answeredMs, status: indexes.map(() => 200), open },
      strangers: [],
    },
    groupSamples: looks.map((atMs) => ({ atMs, state: "Stable", members: ["w1-a"] })),
    settled: { atMs: endMs, drained: true },
    finishedMs: endMs + 20,
  };
}

/** backpressure: the producer's rate falls as the processors' work time rises, and nothing blows up. */
import type { Lab, Scenario } from "../../harness/lab.ts";
import {
  noRebalance,
  pullMatchesFinish,
  pullRateFalls,
  rateMatchesCapacity,
  recovers,
} from "../../harness/verdict/backpressure.ts";
import { boundedInFlight, boundedMemory } from "../../harness/verdict/bounds.ts";
import { warmUp } from "../../harness/verdict/flow.ts";
import { boundedConcurrency, everyEventAccepted } from "../../harness/verdict/gateway.ts";
import { capacityChart, flowChart, memoryChart } from "./charts.ts";

/** Constant: what the worker can do changes, and not what is asked of it. */
const perSecond = 460;
/** Of the quick profile, whose worker is still warming up: what the load itself takes of two cores is part of each call. */
const fewerPerSecond = 400;
const workMs = [2, 5, 10, 20, 50, 2];

/** A worker that has just started is slow for other reasons: it gets some calls before the first step. */
const phases = (warmUpMs: number, stepsMs: readonly number[], work = workMs, rate = perSecond) => [
  { name: warmUp, forMs: warmUpMs, perSecond: rate / 2 },
  ...stepsMs.map((forMs, i) => ({ name: `${work[i]} ms`, forMs, perSecond: rate })),
];
const gateway = { workMs: [2, ...workMs], reference: true };
/** Of the proof under load. */
const fewWorkMs = [2, 5, 20, 50, 2];
/** Of the proof: in the slow step a dozen events outlast a session, and any fetch before it brings more. */
const slowWorkMs = [2, 20, 250, 2];

/**
 * Events of 25 KB, so that megabytes pile up with few calls: on two cores, what bounds the rate must be the work time and
 * not the processor. Five of them fit into a fetch of 128 KiB, with little of a sixth that would come again: on two
 * cores what comes twice costs both. In full, of 31 KB, four.
 */
const events = { accounts: 200, paddingLength: 23_000, malformedOneIn: 0 };

const full: Scenario = {
  load: {
    ...events,
    paddingLength: 28_300,
    phases: phases(3_000, [3_000, 3_500, 3_500, 4_000, 4_500, 2_500]),
  },
  gateway,
  faults: [],
  worker: { sessionTimeoutMs: 3_000, concurrency: 2, maxInFlight: 32 },
  settleMs: 30_000,
  limits: { backlogBytes: 160_000_000, rssGrowthBytes: 96_000_000 },
};

const quick: Scenario = {
  load: {
    ...events,
    phases: phases(2_500, [1_500, 2_200, 1_500, 2_000, 3_000, 1_500], workMs, fewerPerSecond),
  },
  gateway,
  faults: [],
  worker: { sessionTimeoutMs: 1_500, concurrency: 2, maxInFlight: 32 },
  settleMs: 15_000,
  // What ten seconds can pile up; a worker that buffers grows by more than the backlog, a young heap by some 40 MB.
  limits: { backlogBytes: 40_000_000, rssGrowthBytes: 56_000_000 },
};

const proof: Scenario = {
  load: { ...events, paddingLength: 1_000, phases: phases(400, [300, 600, 2_500, 300], slowWorkMs, 400) },
  gateway: { workMs: [2, ...slowWorkMs] },
  faults: [],
  worker: { sessionTimeoutMs: 1_000, concurrency: 2, maxInFlight: 32 },
  settleMs: 600,
  limits: { backlogBytes: 25_000_000, rssGrowthBytes: 30_000_000 },
};

/** As briefly as it shows: most of the time at the slowest step, where bytes pile up. */
const proofUnderLoad: Scenario = {
  ...proof,
  load: {
    ...events,
    paddingLength: 16_000,
    phases: phases(600, [600, 800, 800, 3_000, 600], fewWorkMs, 500),
  },
  gateway: { workMs: [2, ...fewWorkMs], reference: true },
};

const lab: Lab = {
  name: "backpressure",
  title: "producer rate falls as processor work time increases; no queue blow-up",
  question:
    "How does a worker pull no faster than it can finish, when the service behind it gets slower and slower?",
  lesson: 2,
  home: import.meta.url,
  partitions: 4,
  profiles: { quick, full },
  proof,
  proofUnderLoad,
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
  charts: [capacityChart, flowChart, memoryChart],
};
export default lab;

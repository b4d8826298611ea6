/** edge: a source that is pushed takes in what it can store, and says no to the rest. */
import type { Drill } from "../../harness/drill.ts";
import { answersInTime, boundedMemory, rateMatchesCapacity, refusesAtOnce } from "./judge/bounds.ts";
import { charts } from "./judge/charts.ts";
import { observe, type Seen, seenSchema } from "./judge/observe.ts";
import {
  answersAll,
  badRequests,
  boundedConcurrency,
  drains,
  loadOffered,
  lossless,
} from "./judge/promises.ts";

/** Events of 25 KB at one rate, from the first phase to the last: what changes is what the worker can do. */
const load = { perSecond: 500, concurrency: 2, maxInFlight: 32 };

const quick = {
  ...load,
  stepMs: 1_600,
  killStepMs: 2_000,
  drainStepMs: 1_000,
  // What ten seconds can pile up; a worker that buffers grows by more than that, a young heap by some 40 MB.
  offeredBytes: 40_000_000,
  rssGrowthBytes: 56_000_000,
};

const lab: Drill<Seen> = {
  kind: "drill",
  name: "edge",
  title: "a pushed source takes in what it can store, and refuses the rest without buffering",
  question: "Kafka can be pulled more slowly. What does a worker do whose clients push?",
  lesson: 3,
  home: import.meta.url,
  profiles: {
    quick,
    full: {
      ...load,
      perSecond: 600,
      stepMs: 2_500,
      killStepMs: 2_000,
      drainStepMs: 1_000,
      // More than memory may grow by: what was refused could not have been held in secret.
      offeredBytes: 100_000_000,
      rssGrowthBytes: 96_000_000,
    },
  },
  proof: { ...quick, perSecond: 150, stepMs: 500, killStepMs: 1_500, drainStepMs: 500 },
  // A denser flood piles up as much in half the time; what it has piled up again after the kill is worked off at the end.
  proofUnderLoad: {
    ...quick,
    perSecond: 600,
    stepMs: 1_200,
    killStepMs: 800,
    drainStepMs: 450,
    offeredBytes: 20_000_000,
    rssGrowthBytes: 40_000_000,
  },
  seen: seenSchema,
  observe,
  criteria: [
    loadOffered,
    lossless,
    answersAll,
    refusesAtOnce,
    answersInTime,
    rateMatchesCapacity,
    boundedConcurrency,
    boundedMemory,
    badRequests,
    drains,
  ],
  charts,
};
export default lab;

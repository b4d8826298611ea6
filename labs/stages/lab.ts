/** stages: one producer, one or three consumers, and who gets what. */
import type { Drill } from "../../harness/drill.ts";
import { charts } from "./judge/charts.ts";
import {
  demandBounded,
  everyEventToEverySubscriber,
  fairShares,
  lossless,
  oneAtATime,
  orderPerPartition,
  slowHoldsUpNobody,
} from "./judge/criteria.ts";
import { observe, type Seen, seenSchema } from "./judge/observe.ts";

const demand = { maxDemand: 8, minDemand: 4 };

const lab: Drill<Seen> = {
  kind: "drill",
  name: "stages",
  title: "who gets which event, and when: demand, broadcast and partition among fast and slow consumers",
  question: "Three consumers ask one producer. Who gets the next event?",
  lesson: 0,
  home: import.meta.url,
  profiles: {
    quick: { ...demand, unit: 150, roundDeadlineMs: 10_000 },
    full: { ...demand, unit: 200, roundDeadlineMs: 15_000 },
  },
  proof: { ...demand, unit: 100, roundDeadlineMs: 8_000 },
  seen: seenSchema,
  observe,
  criteria: [
    lossless,
    demandBounded,
    oneAtATime,
    fairShares,
    slowHoldsUpNobody,
    everyEventToEverySubscriber,
    orderPerPartition,
  ],
  charts,
};
export default lab;

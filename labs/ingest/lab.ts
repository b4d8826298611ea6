/** ingest: stable consumption without drops, through a spike, poison, a kill and a cut. */
import { digestOf, digestSql, keySql } from "../../harness/digest.ts";
import type { Lab, LabTable, Scenario } from "../../harness/lab.ts";
import {
  commitBehindWrite,
  lossless,
  oneRowPerEvent,
  payloadIntact,
} from "../../harness/verdict/delivery.ts";
import { poisonContained } from "../../harness/verdict/poison.ts";
import { fresh, keepsUp, survivesKill } from "../../harness/verdict/timing.ts";
import { commitsChart, flowChart, latencyChart } from "./charts.ts";

const payments: LabTable = {
  name: "payments",
  columns: [
    { name: "event_id", sql: "event_id" },
    { name: "account_id", sql: "account_id" },
    { name: "amount_cents", sql: "amount_cents" },
    { name: "occurred_at", sql: `to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')` },
    { name: "sequence", sql: "sequence" },
    { name: "padding", sql: "padding" },
  ],
  belongs: ({ malformation }) => malformation === undefined,
  expected: ({ event }) =>
    event === undefined
      ? []
      : [
          event.eventId,
          event.accountId,
          String(event.amountCents),
          event.occurredAt.replace("Z", "000Z"),
          String(event.sequence),
          event.padding,
        ],
  key: { by: "event", columns: ["event_id"] },
};

const rejected: LabTable = {
  name: "rejected_messages",
  columns: [
    { name: "topic", sql: "topic" },
    { name: "partition", sql: "partition" },
    { name: "offset", sql: `"offset"` },
    { name: "key", sql: keySql("key") },
    { name: "value", sql: digestSql("value") },
    { name: "reason", sql: "CASE WHEN btrim(reason) = '' THEN 'no reason' ELSE 'a reason' END" },
  ],
  belongs: ({ malformation }) => malformation !== undefined,
  expected: (message) => [
    message.topic,
    String(message.partition),
    String(message.offset),
    Buffer.from(message.accountId).toString("hex"),
    digestOf(message.value()),
    "a reason",
  ],
  key: { by: "origin", columns: ["topic", "partition", "offset"] },
};

const messages = { accounts: 200, paddingLength: 64, malformedOneIn: 200 };

const full: Scenario = {
  load: {
    ...messages,
    phases: [
      { name: "warm-up", forMs: 1_500, perSecond: 1_500 },
      { name: "steady", forMs: 5_000, perSecond: 3_000 },
      { name: "spike", forMs: 3_000, perSecond: 6_000 },
      { name: "faults", forMs: 15_000, perSecond: 3_000 },
    ],
  },
  faults: [
    { kind: "kill-worker", atMs: 12_500, recoveryMs: 4_000 },
    { kind: "cut", atMs: 19_500, service: "postgres", forMs: 2_000, recoveryMs: 3_000 },
  ],
  worker: { sessionTimeoutMs: 2_000, concurrency: 4, maxInFlight: 10_000 },
  settleMs: 15_000,
  limits: { keepsUpWithinMs: 10_000, survivesKillWithinMs: 4_000, freshP99Ms: 1_000 },
};

const quick: Scenario = {
  load: {
    ...messages,
    phases: [
      { name: "warm-up", forMs: 500, perSecond: 1_500 },
      { name: "steady", forMs: 2_000, perSecond: 1_500 },
      { name: "spike", forMs: 1_000, perSecond: 3_000 },
      { name: "faults", forMs: 6_500, perSecond: 1_500 },
    ],
  },
  faults: [
    { kind: "kill-worker", atMs: 5_000, recoveryMs: 4_000 },
    { kind: "cut", atMs: 8_200, service: "postgres", forMs: 1_000, recoveryMs: 3_000 },
  ],
  worker: { sessionTimeoutMs: 2_000, concurrency: 4, maxInFlight: 10_000 },
  settleMs: 8_000,
  limits: { keepsUpWithinMs: 1_500, survivesKillWithinMs: 4_000, freshP99Ms: 1_000 },
};

/** A cut and a kill, each as short as it can be and still be seen. */
const proof: Scenario = {
  ...quick,
  load: {
    ...messages,
    malformedOneIn: 50,
    phases: [
      { name: "steady", forMs: 700, perSecond: 400 },
      { name: "spike", forMs: 300, perSecond: 800 },
      { name: "faults", forMs: 2_000, perSecond: 400 },
    ],
  },
  faults: [
    { kind: "cut", atMs: 1_000, service: "postgres", forMs: 400, recoveryMs: 1_000 },
    { kind: "kill-worker", atMs: 1_900, recoveryMs: 4_000 },
  ],
  worker: { ...quick.worker, sessionTimeoutMs: 1_000 },
  settleMs: 4_000,
};

const proofInCalm: Scenario = {
  ...proof,
  load: {
    ...messages,
    malformedOneIn: 50,
    phases: [
      { name: "steady", forMs: 500, perSecond: 400 },
      { name: "spike", forMs: 300, perSecond: 800 },
      { name: "calm", forMs: 400, perSecond: 400 },
    ],
  },
  faults: [],
};

/** A spike alone. */
const proofUnderLoad: Scenario = {
  ...quick,
  load: {
    ...messages,
    phases: [
      { name: "warm-up", forMs: 400, perSecond: 500 },
      { name: "steady", forMs: 1_000, perSecond: 2_500 },
      { name: "spike", forMs: 400, perSecond: 5_000 },
      { name: "calm", forMs: 1_200, perSecond: 500 },
    ],
  },
  faults: [],
  settleMs: 2_000,
  limits: { ...quick.limits, keepsUpWithinMs: 500 },
};

const lab: Lab = {
  name: "ingest",
  title: "stable consumption without drops",
  question:
    "How does a worker move every message into a table exactly once, when messages are malformed, the worker dies and the database goes away?",
  lesson: 1,
  home: import.meta.url,
  partitions: 4,
  profiles: { quick, full },
  proof,
  proofInCalm,
  proofUnderLoad,
  tables: [payments, rejected],
  criteria: [
    lossless,
    oneRowPerEvent("payments"),
    payloadIntact("payments"),
    commitBehindWrite,
    poisonContained("rejected_messages"),
    keepsUp,
    survivesKill("payments"),
    fresh("payments"),
  ],
  charts: [flowChart, latencyChart, commitsChart],
};
export default lab;

/** dlq: poison of five kinds among healthy load, and an operator who inspects, mends, replays and purges. */
import { digestOf, digestSql, keySql } from "../../harness/digest.ts";
import type { Lab, LabTable, Scenario } from "../../harness/lab.ts";
import type { PlannedMessage, SentMessage } from "../../harness/load/messages.ts";
import { losslessAndIntact } from "../../harness/verdict/delivery.ts";
import { depthChart, dispositionChart, latencyChart } from "./charts.ts";
import { alert } from "./criteria-alert.ts";
import { eachPoisonOnce, forensics, noHeadOfLine } from "./criteria-letters.ts";
import { auditAppendOnly, inspect, purgeAudited } from "./criteria-operation.ts";
import { classOf, hopeless } from "./criteria-poison.ts";
import { replayOnce } from "./criteria-replay.ts";
import { operation, shortOperation } from "./operation.ts";

const isPoison = (message: PlannedMessage): boolean => classOf(message) !== undefined;

const payments: LabTable = {
  name: "payments",
  columns: [
    { name: "event_id", sql: "event_id" },
    { name: "account_id", sql: "account_id" },
    { name: "amount_cents", sql: "amount_cents" },
  ],
  belongs: (message) => !isPoison(message),
  expected: ({ event }) =>
    event === undefined ? [] : [event.eventId, event.accountId, String(event.amountCents)],
  key: { by: "event", columns: ["event_id"] },
};

const attemptsSql = `CASE WHEN jsonb_typeof(attempts) <> 'array' THEN 'no list of attempts' ELSE
  jsonb_array_length(attempts) || CASE WHEN EXISTS (
    SELECT FROM jsonb_array_elements(attempts) WITH ORDINALITY AS history (one, i)
    WHERE one->>'attempt' IS DISTINCT FROM i::text OR coalesce(one->>'error', '') = ''
      OR coalesce(one->>'at', '') !~ '^20\\d\\d-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d'
  ) THEN ', not each with number, time and error' ELSE ' with number, time and error' END END`;

const letters: LabTable = {
  name: "dead_letters",
  columns: [
    { name: "topic", sql: "topic" },
    { name: "partition", sql: "partition" },
    { name: "offset", sql: `"offset"` },
    { name: "key", sql: keySql("key") },
    { name: "value", sql: digestSql("value") },
    { name: "headers", sql: "headers" },
    { name: "class", sql: "class" },
    { name: "attempts", sql: attemptsSql },
    {
      name: "failure",
      sql: `CASE WHEN btrim(message) = '' THEN 'no message' WHEN btrim(worker) = '' THEN 'no worker'
        WHEN first_failed_at > last_failed_at THEN 'first after last' ELSE 'a message, a worker and its times' END`,
    },
    { name: "state", sql: "state || ', replayed ' || replay_count" },
  ],
  belongs: isPoison,
  expected: (message) => [
    message.topic,
    String(message.partition),
    String(message.offset),
    Buffer.from(message.accountId).toString("hex"),
    digestOf(message.value()),
    `[["trace", "${message.trace?.toString("base64")}"]]`,
    classOf(message) ?? "",
    `${attemptsOf(message)} with number, time and error`,
    "a message, a worker and its times",
    "dead, replayed 0",
  ],
  key: { by: "origin", columns: ["topic", "partition", "offset"] },
};

const retry = { maxAttempts: 3, baseMs: 400, factor: 2, capMs: 2_000, jitter: 0.2 };

const attemptsOf = (message: SentMessage): number =>
  classOf(message) === "exhausted" ? retry.maxAttempts : 1;

const healthy = { accounts: 100, paddingLength: 64, malformedOneIn: 0, traced: true };
const poisoned = {
  ...healthy,
  malformedOneIn: 25,
  malformations: [
    "invalid-json",
    "invalid",
    "oversized",
    "missing-field",
    "no-value",
    "invalid",
    "wrong-type",
    "empty",
  ],
  trouble: [
    // Refused once: the gateway is mended when the letter comes again.
    { name: "refused", oneIn: 60, status: 422, times: 1 },
    { name: hopeless, oneIn: 120, status: 422, times: 1_000 },
    { name: "exhausted", oneIn: 40, status: 503, times: retry.maxAttempts },
  ],
} as const;

/** At nearly the rate of the burst: what is new in the burst is the poison, and not the code that it takes. */
const warmUp = (forMs: number) => ({ name: "warm-up", forMs, perSecond: 150, healthy: true as const });
const calm = (name: string, forMs: number) => ({ name, forMs, perSecond: 50 });
const burst = (forMs: number) => ({ name: "burst", forMs, perSecond: 200 });
const gateway = (phases: readonly unknown[]) => ({ workMs: phases.map(() => 5) });

const worker = { sessionTimeoutMs: 3_000, concurrency: 8, maxInFlight: 128, retry };
const limits = {
  headOfLineP99Ms: 1_000,
  alertThreshold: 16,
  alertWindowMs: 2_000,
  alertWithinMs: 2_000,
};

function scenario(phases: Scenario["load"]["phases"], comparison: Scenario["load"]["phases"]): Scenario {
  return {
    load: { ...poisoned, phases },
    gateway: gateway(phases),
    faults: [],
    worker,
    operation,
    settleMs: 10_000,
    limits,
    arms: [
      {
        name: "without poison",
        scenario: {
          load: { ...healthy, phases: comparison },
          gateway: gateway(comparison),
          faults: [],
          worker,
          settleMs: 5_000,
          limits,
        },
      },
    ],
  };
}

const full = scenario(
  [warmUp(2_000), calm("calm", 2_000), burst(4_000), calm("calm again", 3_000)],
  [warmUp(2_000), burst(3_000)],
);
const quick = scenario(
  [warmUp(2_000), calm("calm", 800), burst(2_000), calm("calm again", 800)],
  [warmUp(2_000), burst(2_000)],
);

const short = [warmUp(300), calm("calm", 500), burst(1_700)];
const { arms: _, ...alone } = quick;

const lab: Lab = {
  name: "dlq",
  title: "inspect, replay or purge, with an audit trail",
  question:
    "What becomes of the messages that cannot succeed, and how does a person look at them, mend them, send them again or throw them away?",
  lesson: 6,
  home: import.meta.url,
  partitions: 4,
  profiles: { quick, full },
  proof: {
    ...alone,
    load: { ...poisoned, phases: short },
    gateway: gateway(short),
    operation: shortOperation,
    settleMs: 6_000,
  },
  tables: [payments, letters],
  criteria: [
    losslessAndIntact("payments"),
    eachPoisonOnce,
    forensics,
    noHeadOfLine,
    inspect,
    replayOnce,
    purgeAudited,
    auditAppendOnly,
    alert,
  ],
  charts: [depthChart, dispositionChart, latencyChart],
};
export default lab;

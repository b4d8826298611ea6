/** backoff: attempts 1..N with growing delays, then success or dead letter, through a brown-out, a kill and a restart. */
import { createHash } from "node:crypto";
import type { Arm, Lab, LabTable, RetrySettings, Scenario, Trouble } from "../../harness/lab.ts";
import { attemptsBounded, cadence, exponentialGrowth } from "../../harness/verdict/backoff.ts";
import { errorRateFalls, noHeadOfLine } from "../../harness/verdict/brown-out.ts";
import { lossless } from "../../harness/verdict/delivery.ts";
import { noHerd } from "../../harness/verdict/herd.ts";
import { durable, outcome } from "../../harness/verdict/retry-outcome.ts";
import { attemptsChart, breakerChart, errorsChart, herdChart, survivalChart, waitsChart } from "./charts.ts";

const refused = "refused";
const exhausted = "exhausted";

/** What the gateway does to some events, whatever the weather. */
const trouble: readonly Trouble[] = [
  { name: "fails once", oneIn: 20, status: 503, times: 1 },
  { name: "fails three times", oneIn: 20, status: 503, times: 3 },
  { name: refused, oneIn: 50, status: 422, times: Number.POSITIVE_INFINITY },
  { name: exhausted, oneIn: 50, status: 503, times: Number.POSITIVE_INFINITY },
  { name: "no answer at first", oneIn: 100, status: 0, times: 1 },
];

const payments: LabTable = {
  name: "payments",
  columns: [
    { name: "event_id", sql: "event_id" },
    { name: "account_id", sql: "account_id" },
    { name: "amount_cents", sql: "amount_cents" },
  ],
  belongs: (message) => message.trouble !== refused && message.trouble !== exhausted,
  expected: ({ event }) =>
    event === undefined ? [] : [event.eventId, event.accountId, String(event.amountCents)],
  key: { by: "event", columns: ["event_id"] },
};

const deadLetters: LabTable = {
  name: "dead_letters",
  columns: [
    { name: "event_id", sql: "event_id" },
    { name: "error_class", sql: "error_class" },
    { name: "value_md5", sql: "md5(value)" },
    { name: "attempts", sql: "attempts" },
  ],
  // The brown-out may outlast the attempts of any event.
  belongs: () => true,
  // The history is what the run made it; the criterion "outcome" holds it against the gateway's calls.
  expected: ({ event }) => [event?.eventId ?? null],
  key: { by: "event", columns: ["event_id"] },
};

const perSecond = 150;
/** Of the quick profile and the proof, whose worker has hardly begun. */
const fewerPerSecond = 120;
const messages = { accounts: 200, paddingLength: 64, malformedOneIn: 0 };
const settled = { settledWhen: "stored" } as const;

/** A burst at the very beginning of the brown-out: events that fail together. */
const phases = (steadyMs: number, brownOutMs: number, afterMs: number, rate = fewerPerSecond) => [
  { name: "steady", forMs: steadyMs, perSecond: rate },
  { name: "burst", forMs: 20, perSecond: 2_000 },
  { name: "brown-out", forMs: brownOutMs - 20, perSecond: rate },
  { name: "after", forMs: afterMs, perSecond: rate },
];
const gateway = (steadyMs: number, brownOutMs: number, easesMs: number) => ({
  workMs: [2, 2, 2, 2],
  // A message takes some milliseconds to its first call.
  brownOut: { startMs: steadyMs, endMs: steadyMs + brownOutMs, easesMs },
});

const noJitter = "no jitter";
const withBreaker = "with a breaker";

/** Short, without faults, and without chance: what is measured here is the worker's own. */
function calm(retry: RetrySettings, brownOutMs: number, steadyMs = 1_500, afterMs = 1_300): Arm {
  return {
    name: noJitter,
    scenario: {
      load: {
        ...messages,
        phases: phases(steadyMs, brownOutMs, afterMs),
        trouble: [{ name: "fails three times", oneIn: 8, status: 503, times: 3 }],
      },
      gateway: gateway(steadyMs, brownOutMs, 0),
      faults: [],
      worker: {
        sessionTimeoutMs: 3_000,
        concurrency: 64,
        maxInFlight: 2_000,
        retry: { ...retry, jitter: 0 },
      },
      settleMs: 8_000,
      ...settled,
    },
  };
}

const fullRetry: RetrySettings = { maxAttempts: 5, baseMs: 800, factor: 2, capMs: 4_000, jitter: 0.8 };

/** The same brown-out twice, without faults: the solution, and the solution behind a breaker. A chart counts their calls. */
const breakerArms: readonly Arm[] = ["without a breaker", withBreaker].map((name) => ({
  name,
  ...(name === withBreaker ? { subject: "with-breaker", besideLast: true as const } : {}),
  scenario: {
    load: { ...messages, phases: phases(800, 2_200, 1_000, perSecond), trouble },
    gateway: gateway(800, 2_200, 0),
    faults: [],
    worker: {
      sessionTimeoutMs: 3_000,
      concurrency: 64,
      maxInFlight: 2_000,
      retry: { ...fullRetry, baseMs: 300, capMs: 1_200 },
    },
    settleMs: 12_000,
    ...settled,
  },
}));

const full: Scenario = {
  load: { ...messages, phases: phases(3_000, 4_000, 8_000, perSecond), trouble },
  gateway: gateway(3_000, 4_000, 2_500),
  faults: [
    { kind: "kill-worker", meets: "waiting", atMs: 5_200, recoveryMs: 2_500 },
    { kind: "restart", service: "redis", atMs: 8_200, forMs: 3_000, recoveryMs: 2_500 },
  ],
  worker: { sessionTimeoutMs: 1_500, concurrency: 64, maxInFlight: 2_000, retry: fullRetry },
  settleMs: 20_000,
  ...settled,
  limits: { minWaiting: 200 },
  arms: [calm(fullRetry, 1_200, 1_000), ...breakerArms],
};

const quickRetry: RetrySettings = { maxAttempts: 4, baseMs: 800, factor: 2, capMs: 3_300, jitter: 0.8 };

const quick: Scenario = {
  // Long enough after the outage for five windows of errors, of which a slow host leaves three.
  load: { ...messages, phases: phases(2_000, 4_800, 2_700), trouble },
  gateway: gateway(2_000, 4_800, 1_000),
  faults: [
    { kind: "kill-worker", meets: "waiting", atMs: 3_400, recoveryMs: 2_500 },
    // As long as in full: what an outage held up keeps a slow host's worker busy for two seconds.
    { kind: "restart", service: "redis", atMs: 6_300, forMs: 600, recoveryMs: 2_500 },
  ],
  worker: { sessionTimeoutMs: 1_200, concurrency: 64, maxInFlight: 2_000, retry: quickRetry },
  settleMs: 10_000,
  ...settled,
  limits: { minWaiting: 100 },
  arms: [calm(quickRetry, 800)],
};

/**
 * As short as every mistake still shows in: the kill alone, and few attempts. First waits as long as in quick: a wait
 * shorter than the way to its commit is delivered again, and cannot be lost.
 */
const proof: Scenario = {
  ...quick,
  load: { ...messages, phases: phases(700, 1_800, 1_000), trouble },
  gateway: gateway(700, 1_800, 0),
  faults: [{ kind: "kill-worker", meets: "waiting", atMs: 2_000, recoveryMs: 2_500 }],
  worker: { ...quick.worker, retry: { ...quickRetry, maxAttempts: 3 } },
  settleMs: 5_000,
  limits: { minWaiting: 50 },
};

const proofInCalm: Scenario = {
  ...proof,
  load: { ...messages, phases: phases(300, 600, 300), trouble },
  gateway: gateway(300, 600, 0),
  faults: [],
  worker: { ...quick.worker, retry: { ...quickRetry, maxAttempts: 3, baseMs: 300 } },
  settleMs: 3_000,
  // A curve needs three waits.
  arms: [calm({ ...quickRetry, baseMs: 300 }, 800, 300, 500)],
};

/** Long waits, so many that whoever waits in a place of its own takes all of them. */
const proofUnderLoad: Scenario = {
  ...proof,
  load: { ...messages, phases: phases(300, 300, 300), trouble },
  gateway: gateway(300, 300, 0),
  faults: [],
  settleMs: 1_000,
  // What sleeps in its place then has held up the others by now.
  arms: (quick.arms ?? []).map((arm) => ({ ...arm, scenario: { ...arm.scenario, settleMs: 2_000 } })),
};

const lab: Lab = {
  name: "backoff",
  title: "attempts 1..N with growing delays, then success or dead letter",
  question:
    "How does a worker try again what failed, later and later, without holding up what works, without a stampede, and without losing what waits when it dies?",
  lesson: 5,
  home: import.meta.url,
  partitions: 4,
  profiles: { quick, full },
  proof,
  proofInCalm,
  proofUnderLoad,
  tables: [payments, deadLetters],
  criteria: [
    lossless,
    cadence(noJitter),
    exponentialGrowth(noJitter),
    attemptsBounded,
    outcome({
      effects: payments.name,
      deadLetters: deadLetters.name,
      historyColumn: "attempts",
      digestColumn: "value_md5",
      digestOf: (value) => createHash("md5").update(value).digest("hex"),
    }),
    durable,
    errorRateFalls,
    noHeadOfLine(noJitter),
    noHerd(noJitter),
  ],
  charts: [
    attemptsChart(noJitter),
    waitsChart(noJitter),
    errorsChart,
    herdChart(noJitter),
    survivalChart,
    breakerChart("without a breaker", withBreaker),
  ],
};
export default lab;

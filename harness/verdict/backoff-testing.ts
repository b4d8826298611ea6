/** A worker that retries, simulated against the gateway's own plan: tests change one thing about it and ask the judges. */
import { answerTo, orderOf } from "../gateway/plan.ts";
import type { Lab, LabTable, RetrySettings, Scenario } from "../lab.ts";
import { planMessages } from "../load/messages.ts";
import { type Random, randomFor } from "../load/random.ts";
import { dueTimes, schedule } from "../load/schedule.ts";
import type { RunRecord } from "../record/record.ts";
import { attemptsBounded, cadence, exponentialGrowth } from "./backoff.ts";
import { errorRateFalls, noHeadOfLine } from "./brown-out.ts";
import { lossless } from "./delivery.ts";
import { noHerd } from "./herd.ts";
import { durable, outcome } from "./retry-outcome.ts";
import { healthyRecord } from "./testing.ts";

const effects: LabTable = {
  name: "effects",
  columns: ["event_id", "amount_cents"].map((name) => ({ name, sql: name })),
  belongs: ({ trouble }) => trouble !== "refused" && trouble !== "exhausted",
  expected: ({ event }) => [event?.eventId ?? null, String(event?.amountCents)],
  key: { by: "event", columns: ["event_id"] },
};

const letters: LabTable = {
  name: "letters",
  columns: ["event_id", "digest", "attempts"].map((name) => ({ name, sql: name })),
  belongs: () => true,
  expected: ({ event }) => [event?.eventId ?? null],
  key: { by: "event", columns: ["event_id"] },
};

const retry: RetrySettings = { maxAttempts: 5, baseMs: 300, factor: 2, capMs: 1_500, jitter: 0.8 };
const load: Scenario["load"] = {
  accounts: 20,
  paddingLength: 8,
  malformedOneIn: 0,
  phases: [
    { name: "steady", forMs: 1_000, perSecond: 200 },
    { name: "burst", forMs: 40, perSecond: 2_000 },
    { name: "brown-out", forMs: 3_960, perSecond: 200 },
    { name: "after", forMs: 3_000, perSecond: 200 },
  ],
  trouble: [
    { name: "fails three times", oneIn: 10, status: 503, times: 3 },
    { name: "refused", oneIn: 50, status: 422, times: Number.POSITIVE_INFINITY },
    { name: "exhausted", oneIn: 50, status: 503, times: Number.POSITIVE_INFINITY },
    { name: "silent", oneIn: 50, status: 0, times: 1 },
  ],
};
const gateway = { workMs: [2, 2, 2, 2], brownOut: { startMs: 1_000, endMs: 5_000, easesMs: 1_000 } };
const worker = { sessionTimeoutMs: 500, concurrency: 32, maxInFlight: 1_000 };
const calm: Omit<Scenario, "arms"> = {
  load,
  gateway: { ...gateway, brownOut: { startMs: 1_000, endMs: 2_000 } },
  faults: [],
  worker: { ...worker, retry: { ...retry, jitter: 0 } },
  settleMs: 10_000,
};
const scenario: Scenario = {
  load,
  gateway,
  faults: [{ kind: "restart", service: "redis", atMs: 4_500, forMs: 600, recoveryMs: 300 }],
  worker: { ...worker, retry },
  settleMs: 10_000,
  limits: { minWaiting: 80 },
  arms: [{ name: "calm", scenario: calm }],
};

export const backoffTestLab: Lab = {
  name: "test",
  title: "a lab for the judges' own tests",
  question: "Do the judges find what is wrong?",
  home: import.meta.url,
  partitions: 1,
  profiles: { quick: scenario, full: scenario },
  tables: [effects, letters],
  criteria: [
    lossless,
    cadence("calm"),
    exponentialGrowth("calm"),
    attemptsBounded,
    outcome({
      effects: "effects",
      deadLetters: "letters",
      historyColumn: "attempts",
      digestColumn: "digest",
      digestOf: (value) => String(value.length),
    }),
    durable,
    errorRateFalls,
    noHeadOfLine("calm"),
    noHerd("calm"),
  ],
  charts: [],
};

export interface SimulatedWorker {
  readonly maxAttempts: number;
  /** The wait after attempt n, in ms. */
  readonly waitMs: (retry: RetrySettings, attempt: number, random: Random) => number;
  /** What is added to every wait: how late a retry is. */
  readonly lateMs: number;
  /** Between an event and its first call, by when it is due. */
  readonly delayMs: (dueMs: number) => number;
  /** What becomes of an event that waits when the worker is killed. */
  readonly atKill: "kept" | "lost" | "counted anew";
}

const good: SimulatedWorker = {
  maxAttempts: retry.maxAttempts,
  waitMs: ({ baseMs, factor, capMs, jitter }, attempt, random) =>
    Math.min(capMs, baseMs * factor ** (attempt - 1)) * (1 - jitter * random()),
  lateMs: 3,
  delayMs: () => 10,
  atKill: "kept",
};

/** The worker dies, and is back a second later; so does Redis. */
const deaths = [
  { name: "kill", kind: "kill-worker", startMs: 2_000, healMs: 3_000 },
  { name: "restart of redis", kind: "restart", startMs: 4_500, healMs: 5_200 },
] as const;

/** The record of a run of this worker and of its companion, on a host as it should be. */
export function simulateRetries(change: Partial<SimulatedWorker> = {}): RunRecord {
  const subject = { ...good, ...change };
  const arm = runOf(subject, calm, []);
  return { ...runOf(subject, scenario, deaths), arms: [{ name: "calm", record: arm }] };
}

type Attempts = NonNullable<RunRecord["gateway"]>["attempts"];
type SimulatedCall = { message: number; arrivedMs: number; endedMs: number; status: number };

function runOf(
  subject: SimulatedWorker,
  asked: Omit<Scenario, "arms">,
  faults: readonly (typeof deaths)[number][],
): RunRecord {
  const base = healthyRecord();
  const plan = planMessages(base.seed, asked.load, 1);
  const phases = schedule(asked.load.phases);
  const due = dueTimes(phases);
  const indexes = Array.from(due.keys());
  const policy = asked.worker.retry ?? retry;
  const order = orderOf(asked.gateway ?? gateway, asked.load.phases, base.seed);
  const troubles = new Map((asked.load.trouble ?? []).map((one) => [one.name, one]));
  const byEvent = new Map(
    indexes.flatMap((i) => {
      const trouble = troubles.get(plan.at(i).trouble ?? "");
      return trouble === undefined ? [] : [[plan.eventId(i) ?? "", trouble] as const];
    }),
  );
  const calls: SimulatedCall[] = [];
  const effectRows: number[] = [];
  const letterRows: (string | null)[][] = [];

  /** Not while something is dead: then as soon as it is back. */
  const possible = (atMs: number) =>
    faults.find(({ startMs, healMs }) => atMs >= startMs && atMs < healMs)?.healMs ?? atMs;

  function work(message: number): void {
    const random = randomFor(base.seed ^ 0x77, message);
    const eventId = plan.eventId(message) ?? "";
    const history: unknown[] = [];
    const dueMs = due[message] ?? 0;
    // First calls need no Redis.
    let atMs = dueMs + subject.delayMs(dueMs);
    if (faults[0] !== undefined && atMs >= faults[0].startMs && atMs < faults[0].healMs)
      atMs = faults[0].healMs;
    let forgotten = 0;
    for (let attempt = 1; ; attempt += 1) {
      const { status } = answerTo({ ...order, trouble: byEvent }, { eventId, attempt, atMs });
      const endedMs = atMs + (status === 0 ? 400 : 2);
      calls.push({ message, arrivedMs: atMs, endedMs, status });
      if (status === 200) {
        effectRows.push(message);
        return;
      }
      history.push({ attempt, at: new Date(atMs).toISOString(), errorClass: "unavailable" });
      if (status === 422 || attempt >= subject.maxAttempts || atMs > 30_000) {
        letterRows.push([eventId, String(plan.value(message)?.length), JSON.stringify(history)]);
        return;
      }
      const next = endedMs + subject.waitMs(policy, attempt - forgotten, random) + subject.lateMs;
      const kill = faults.find(
        ({ kind, startMs }) => kind === "kill-worker" && endedMs < startMs && next >= startMs,
      );
      if (kill !== undefined && subject.atKill === "lost") return;
      if (kill !== undefined && subject.atKill === "counted anew") forgotten = attempt;
      atMs = possible(next);
    }
  }
  for (const message of indexes) work(message);
  calls.sort((a, b) => a.arrivedMs - b.arrivedMs);
  const endMs = Math.max(...calls.map(({ endedMs }) => endedMs)) + 10;
  const answered = ({ status }: SimulatedCall) => status !== 0;
  const attempts: Attempts = {
    message: calls.map(({ message }) => message),
    arrivedMs: calls.map(({ arrivedMs }) => arrivedMs),
    answeredMs: calls.map((call) => (answered(call) ? call.endedMs : null)),
    leftMs: calls.map((call) => (answered(call) ? null : call.endedMs)),
    status: calls.map(({ status }) => status),
    open: calls.map(() => 1),
  };
  /** What fails while a store is away stays in Kafka until it is back. */
  const storedAt = (dueMs: number) =>
    faults.find(({ kind, startMs, healMs }) => kind === "restart" && dueMs >= startMs - 30 && dueMs < healMs)
      ?.healMs ?? dueMs + 30;
  const committedAt = (atMs: number) => indexes.filter((i) => storedAt(due[i] ?? 0) < atMs).length;
  return {
    ...base,
    parameters: { sessionTimeoutMs: 500, ...asked.limits },
    topic: { name: "t", partitions: 1 },
    phases: phases.map(({ name, startMs, endMs: end, perSecond }) => ({
      name,
      startMs,
      endMs: end,
      perSecond,
    })),
    faults: faults.map((one) => ({
      ...one,
      clearMs: one.healMs + 300,
      ...(one.kind === "kill-worker" ? { committedOffsets: [committedAt(one.startMs)] } : {}),
    })),
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
    tables: [
      {
        name: "effects",
        columns: ["event_id", "amount_cents"],
        asSent: effectRows,
        asSentCommittedMs: effectRows.map(() => endMs),
        others: [],
      },
      {
        name: "letters",
        columns: ["event_id", "digest", "attempts"],
        asSent: [],
        asSentCommittedMs: [],
        others: letterRows.map((values) => ({ values, committedMs: endMs })),
      },
    ],
    gateway: {
      steps: [{ startMs: 0, workMs: 2 }],
      callOverhead: { meanMs: 1, p50Ms: 1, p99Ms: 1, samples: 100 },
      attempts,
      strangers: [],
    },
    commitSamples: Array.from({ length: Math.ceil(endMs / 100) }, (_, i) => ({
      atMs: i * 100,
      committed: [committedAt(i * 100)],
      checked: 0,
      missing: [],
    })),
    settled: { atMs: endMs, drained: true },
    finishedMs: endMs + 20,
  };
}

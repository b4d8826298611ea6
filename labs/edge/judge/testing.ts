/** An edge and its flood, simulated: tests change one thing about it and ask the judges. */
import type { DrillRecord } from "../../../harness/record/record.ts";
import { recordVersion } from "../../../harness/record/record.ts";
import { healthyRecord } from "../../../harness/verdict/testing.ts";
import type { Seen } from "./observe.ts";
import { phasesOf, planOf, scenarioOf } from "./scenario.ts";

const numbers: Readonly<Record<string, number>> = {
  perSecond: 300,
  stepMs: 2_000,
  killStepMs: 2_000,
  drainStepMs: 1_000,
  concurrency: 2,
  maxInFlight: 8,
  offeredBytes: 5_000_000,
  rssGrowthBytes: 4_000_000,
};
const number = (name: string): number => numbers[name] ?? Number.NaN;

export interface SimulatedEdge {
  readonly maxInFlight: number;
  /** Says 202 when the event is taken in. */
  readonly early: boolean;
  /** What a call costs it beside the load. */
  readonly overheadMs: number;
}

const calmOverheadMs = 1;
const answerMs = 1;

/** The record of a run of this edge, on a host and with a flood that are as they should be. */
export function simulate(change: Partial<SimulatedEdge> = {}): DrillRecord & { drill: Seen } {
  const edge = { maxInFlight: numbers.maxInFlight ?? 0, early: false, overheadMs: calmOverheadMs, ...change };
  const base = healthyRecord();
  const phases = phasesOf(number);
  const plan = planOf(base.seed, number);
  const { gateway } = scenarioOf(number);
  const workAt = (atMs: number) =>
    gateway?.workMs[phases.findLastIndex(({ startMs }) => startMs <= atMs)] ?? 0;
  const startOf = (name: string) => phases.find((one) => one.name === name)?.startMs ?? 0;
  const killedMs = startOf("kill") + 500;
  const backMs = killedMs + 300;
  const toldToStopMs = startOf("drain") + 400;

  const requests: Seen["requests"] = { sentMs: [], answeredMs: [], status: [], retryAfterSeconds: [] };
  const attempts = {
    message: [] as number[],
    arrivedMs: [] as number[],
    answeredMs: [] as (number | null)[],
    status: [] as number[],
    open: [] as number[],
  };
  /** When each place is free again, and each of the two calls. */
  let taken: number[] = [];
  let calls = [0, 0];
  const held: { readonly fromMs: number; readonly toMs: number; readonly bytes: number }[] = [];
  const answer = (status: number, atMs: number | null, retryAfterSeconds: number | null = null) => {
    requests.answeredMs.push(atMs);
    requests.status.push(status);
    requests.retryAfterSeconds.push(retryAfterSeconds);
  };
  const bytes = plan.value(0)?.length ?? 0;
  for (const { first, count, startMs, perSecond } of phases) {
    for (let i = first; i < first + count; i += 1) {
      const sentMs = startMs + ((i - first) * 1_000) / perSecond;
      requests.sentMs.push(sentMs);
      if ((sentMs >= killedMs && sentMs < backMs) || sentMs >= toldToStopMs) {
        answer(0, null);
        continue;
      }
      if (sentMs >= backMs && sentMs < backMs + 1_000 / perSecond) [taken, calls] = [[], [backMs, backMs]];
      taken = taken.filter((until) => until > sentMs);
      const { malformation } = plan.at(i);
      if (taken.length >= edge.maxInFlight) answer(429, sentMs + answerMs, 1);
      else if (malformation !== undefined)
        answer(malformation === "oversized" ? 413 : 400, sentMs + answerMs);
      else {
        const call = calls[0] === Math.min(...calls) ? 0 : 1;
        const arrivedMs = Math.max(sentMs + answerMs, (calls[call] ?? 0) + edge.overheadMs);
        const doneMs = arrivedMs + workAt(arrivedMs);
        const isCut = sentMs < killedMs && doneMs > killedMs;
        calls[call] = doneMs;
        taken.push(doneMs);
        held.push({ fromMs: sentMs, toMs: doneMs, bytes });
        if (!isCut) {
          attempts.message.push(i);
          attempts.arrivedMs.push(arrivedMs);
          attempts.answeredMs.push(doneMs);
          attempts.status.push(200);
          attempts.open.push(
            1 + attempts.answeredMs.filter((at) => at !== null && at > arrivedMs).length - 1,
          );
        }
        if (edge.early) answer(202, sentMs + answerMs);
        else answer(isCut ? 0 : 202, isCut ? null : doneMs + answerMs);
      }
    }
  }
  const endMs = Math.max(phases.at(-1)?.endMs ?? 0, ...held.map(({ toMs }) => toMs));
  const samples = (fromMs: number, toMs: number) =>
    Array.from({ length: Math.floor((toMs - fromMs) / 100) }, (_, i) => fromMs + i * 100).map((atMs) => ({
      atMs,
      rssBytes:
        100_000_000 +
        held.filter((one) => one.fromMs <= atMs && one.toMs > atMs).reduce((sum, one) => sum + one.bytes, 0),
      cpuMs: 0,
    }));
  const worker = (
    id: string,
    startMs: number,
    atMs: number,
    how: { code: number | null; signal: string | null },
  ) => ({
    id,
    pid: 1,
    startMs,
    readyMs: startMs,
    exit: { atMs, ...how, planned: true, tail: "" },
    samples: samples(Math.max(0, startMs), atMs),
  });
  return {
    version: recordVersion,
    lab: "edge",
    subject: { name: "solution", command: ["simulated"] },
    profile: "quick",
    seed: base.seed,
    startedAt: base.startedAt,
    finishedMs: endMs + 100,
    command: "simulated",
    stack: { kind: "none", why: "simulated", versions: {}, limits: [] },
    parameters: { ...numbers },
    host: base.host,
    phases: phases.map(({ name, startMs, endMs: end, perSecond }) => ({
      name,
      startMs,
      endMs: end,
      perSecond,
    })),
    faults: [
      {
        name: "worker killed",
        kind: "kill-worker",
        startMs: killedMs,
        healMs: backMs,
        clearMs: backMs + 200,
      },
    ],
    workers: [
      worker("w1", -500, killedMs, { code: null, signal: "SIGKILL" }),
      worker("w2", backMs - 200, endMs, { code: 0, signal: null }),
    ],
    settled: { atMs: endMs, drained: true },
    drill: {
      requests,
      gateway: {
        steps: phases.map(({ startMs }, i) => ({ startMs, workMs: gateway?.workMs[i] ?? 0 })),
        callOverhead: { meanMs: calmOverheadMs, p50Ms: calmOverheadMs, p99Ms: calmOverheadMs, samples: 100 },
        attempts,
        strangers: [],
      },
      toldToStopMs,
      stoppedMs: toldToStopMs + 200,
    },
  };
}

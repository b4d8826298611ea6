/** What judges and charts of the edge both read: rates by step, answers by kind, what was stored when. */
import type { DrillEvidence } from "../../../harness/drill.ts";
import { dueTimes, type ScheduledPhase } from "../../../harness/load/schedule.ts";
import { allowedBetween, calmRate, type RatedStep } from "../../../harness/verdict/capacity.ts";
import { below } from "../../../harness/verdict/flow.ts";
import type { Seen } from "./observe.ts";
import { eventful, phasesOf, planOf, scenarioOf } from "./scenario.ts";

export type EdgeEvidence = DrillEvidence<Seen>;

export interface Request {
  readonly index: number;
  /** Of the message: undefined for one that no edge should take. */
  readonly malformation: string | undefined;
  readonly sentMs: number;
  /** null without an answer. */
  readonly answeredMs: number | null;
  /** 0 without an answer. */
  readonly status: number;
  readonly retryAfterSeconds: number | null;
  /** First time at which the gateway had accepted the event; undefined when it never did. */
  readonly storedMs: number | undefined;
}

/** A phase in which nothing happened to the worker. It is saturated when so many were refused that only the worker decided. */
export interface Step extends RatedStep {
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
  /** Where measuring begins: what was in flight before still took the old work time. */
  readonly fromMs: number;
  readonly offered: number;
  /** Of the stored: lowest and highest half second. */
  readonly spread: readonly [low: number, high: number];
  readonly refusedPerSecond: number;
}

export interface Flow {
  /** Requests that were sent, in order. */
  readonly requests: readonly Request[];
  readonly steps: readonly Step[];
  readonly concurrency: number;
  readonly callOverheadMs: number;
  /** Mean of a well-formed message. */
  readonly messageBytes: number;
  /** When each event was stored, sorted. */
  readonly storedMs: readonly number[];
  /** How late the client sent, 99 of 100: so late it may have read an answer too. */
  readonly clientLateMs: number;
  /** Of one who takes the last place: all the others are before him, at the slowest work time. */
  readonly longestWaitMs: number;
  /** Within the kill and shortly after it, when connections were broken and nobody listened. */
  duringKill(request: Request): boolean;
  /** Of a worker at work: how long it waited is judged. Not in the warm-up, nor about the kill. */
  isTimed(request: Request): boolean;
}

const windowMs = 500;
const settlingShare = 0.3;
const saturatedShare = 0.1;
const sizedMessages = 16;

const known = new WeakMap<EdgeEvidence, Flow>();

export function flowOf(evidence: EdgeEvidence): Flow {
  let flow = known.get(evidence);
  if (flow === undefined) {
    flow = makeFlow(evidence);
    known.set(evidence, flow);
  }
  return flow;
}

function makeFlow(evidence: EdgeEvidence): Flow {
  const { seen, record, parameter } = evidence;
  const { attempts, callOverhead } = seen.gateway;
  const plan = planOf(record.seed, parameter);
  const stored = new Map<number, number>();
  for (const [i, message] of attempts.message.entries()) {
    const at = attempts.answeredMs[i];
    if (message < 0 || attempts.status[i] !== 200 || at === null || at === undefined) continue;
    stored.set(message, Math.min(at, stored.get(message) ?? at));
  }
  const requests = seen.requests.sentMs.flatMap((sentMs, index): Request[] => {
    if (sentMs === null) return [];
    return [
      {
        index,
        malformation: plan.at(index).malformation,
        sentMs,
        answeredMs: seen.requests.answeredMs[index] ?? null,
        status: seen.requests.status[index] ?? 0,
        retryAfterSeconds: seen.requests.retryAfterSeconds[index] ?? null,
        storedMs: stored.get(index),
      },
    ];
  });
  const storedMs = [...stored.values()].sort((a, b) => a - b);
  const killed = record.faults.find(({ kind }) => kind === "kill-worker");
  const { worker, gateway } = scenarioOf(parameter);
  const step = (phase: ScheduledPhase, workMs: number): Step => {
    const { name, startMs, endMs } = phase;
    const fromMs = startMs + settlingShare * (endMs - startMs);
    const between = (times: readonly number[], from: number, to: number) =>
      (times.filter((at) => at >= from && at < to).length * 1_000) / (to - from);
    const sent = requests.filter((one) => one.sentMs >= fromMs && one.sentMs < endMs);
    const refused = sent.filter(({ status }) => status === 429).length;
    const servedMs = meanServedMs(seen, fromMs, endMs) ?? workMs;
    const windows = Array.from({ length: Math.floor((endMs - fromMs) / windowMs) }, (_, i) =>
      between(storedMs, fromMs + i * windowMs, fromMs + (i + 1) * windowMs),
    );
    const storedPerSecond = between(storedMs, fromMs, endMs);
    return {
      name,
      startMs,
      endMs,
      fromMs,
      workMs,
      servedMs,
      ...allowedBetween(seen.gateway, worker.concurrency, servedMs, fromMs, endMs),
      offered: phase.perSecond,
      donePerSecond: storedPerSecond,
      calmPerSecond: calmRate((from, to) => below(storedMs, to) - below(storedMs, from), fromMs, endMs),
      spread: [Math.min(storedPerSecond, ...windows), Math.max(storedPerSecond, ...windows)],
      refusedPerSecond: (refused * 1_000) / (endMs - fromMs),
      saturated: refused >= saturatedShare * sent.length,
    };
  };
  const wellFormed = requests
    .filter(({ malformation }) => malformation === undefined)
    .slice(0, sizedMessages);
  const bytes = wellFormed.reduce((sum, { index }) => sum + (plan.value(index)?.length ?? 0), 0);
  const steps = phasesOf(parameter).flatMap((phase, i) =>
    eventful.includes(phase.name) ? [] : [step(phase, gateway?.workMs[i] ?? 0)],
  );
  const slowestMs = Math.max(...steps.map(({ servedMs }) => servedMs));
  const longestWaitMs = (worker.maxInFlight / worker.concurrency) * (slowestMs + callOverhead.p50Ms);
  const warmMs = steps[0]?.startMs ?? 0;
  const dueMs = dueTimes(phasesOf(parameter));
  const sentLateMs = requests.flatMap(({ index, sentMs }) => {
    const due = dueMs[index] ?? 0;
    return due >= warmMs ? [sentMs - due] : [];
  });
  const duringKill = ({ sentMs, answeredMs }: Request): boolean =>
    killed !== undefined &&
    sentMs <= killed.clearMs &&
    // Open when the kill came, or sent until the new worker was at work. Who had waited far longer was open for
    // another reason.
    (sentMs >= killed.startMs ||
      (sentMs >= killed.startMs - 2 * longestWaitMs &&
        (answeredMs === null || answeredMs >= killed.startMs)));
  return {
    requests,
    steps,
    concurrency: worker.concurrency,
    callOverheadMs: callOverhead.p50Ms,
    messageBytes: bytes / Math.max(1, wellFormed.length),
    storedMs,
    clientLateMs: quantile(sentLateMs, 0.99) ?? 0,
    longestWaitMs,
    duringKill,
    isTimed: (one) => one.sentMs >= warmMs && !duringKill(one),
  };
}

function meanServedMs({ gateway: { attempts } }: Seen, fromMs: number, toMs: number): number | undefined {
  const served = attempts.answeredMs.flatMap((answeredMs, i) => {
    const arrivedMs = attempts.arrivedMs[i] ?? 0;
    return answeredMs === null || arrivedMs < fromMs || answeredMs >= toMs ? [] : [answeredMs - arrivedMs];
  });
  return served.length === 0 ? undefined : served.reduce((sum, ms) => sum + ms, 0) / served.length;
}

/** The smallest value that is at least as large as `share` of all; undefined without values. */
export function quantile(values: readonly number[], share: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

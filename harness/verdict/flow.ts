/**
 * Rates of a run with a gateway, step by step: offered, pulled from Kafka, finished at the gateway, and what the
 * worker's concurrency allows. Judges and charts both read it, so that they tell the same numbers.
 */
import type { GatewayRecord } from "../record/record.ts";
import { allowedBetween, calmRate, type MeasuredOverhead, type RatedStep } from "./capacity.ts";
import type { Evidence } from "./evidence.ts";

/** A rate in a step: over the whole of it, and the lowest and highest of its half seconds. */
export interface StepRate {
  readonly perSecond: number;
  readonly low: number;
  readonly high: number;
}

/** One phase of the load, in which a call takes one work time; the warm-up is none. */
export interface Step {
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
  /** Where measuring begins: what was in flight at the step's start still took the old work time. */
  readonly fromMs: number;
  readonly offeredPerSecond: number;
  /** As planned. */
  readonly workMs: number;
  /** Mean time for which the gateway had a call, timers and all; the plan's when no call was answered. */
  readonly servedMs: number;
  /** Of a call, beside the load; undefined in a record of a run without a reference caller. */
  readonly overhead: MeasuredOverhead | undefined;
  /**
   * concurrency / (served time + call overhead): Little's law with every place taken. The overhead is that of this step,
   * and without a reference caller that before the load; undefined when too few of its calls fell into the step.
   */
  readonly capacityPerSecond: number | undefined;
  /** Events finished per second, by their first acceptance. */
  readonly finished: StepRate;
  /** Undefined where workers reach Kafka without a proxy. */
  readonly pulled: StepRate | undefined;
  /** At every look at least `maxInFlight` events waited for their call: only the worker decided how fast it went. */
  readonly saturated: boolean;
}

export interface Flow {
  readonly steps: readonly Step[];
  /** Of a call: median, before the load. */
  readonly callOverheadMs: number;
  readonly concurrency: number;
  /** Mean of a message's value. */
  readonly messageBytes: number;
  /** First acceptance of each event that was accepted, sorted. */
  readonly finishedMs: Float64Array;
  /** Sorted. */
  readonly acknowledgedMs: Float64Array;
  /** Events on the broker for which no call has been made. */
  waitingAt(atMs: number): number;
  finishedBetween(fromMs: number, toMs: number): number;
  /** Events pulled until each look at the proxy; empty without one. */
  readonly pulled: readonly { readonly atMs: number; readonly events: number }[];
  /** Whether they were counted; otherwise they were told from bytes. */
  readonly isPulledCounted: boolean;
}

/** As capacity.ts holds them against what the worker's places allow. */
export const ratedSteps = ({
  steps,
  finishedBetween,
}: Pick<Flow, "steps" | "finishedBetween">): (Step & RatedStep)[] =>
  steps.map((step) => ({
    ...step,
    donePerSecond: step.finished.perSecond,
    calmPerSecond: calmRate(finishedBetween, step.fromMs, step.endMs),
  }));

/** Name of a phase that is no step: for a worker that has just started. */
export const warmUp = "warm-up";

const windowMs = 500;
const lookEveryMs = 100;
/** Of a step, at its start: not measured. */
const settlingShare = 0.25;
const maxSettlingMs = 1_000;
const sizedMessages = 64;
/** For runs that did not drain: framing, and bytes fetched twice, at most; errs in the worker's favour. */
const mostWireShare = 1.25;

const known = new WeakMap<Evidence, Flow>();

/** @throws RangeError for a record without a gateway */
export function flowOf(evidence: Evidence): Flow {
  let flow = known.get(evidence);
  if (flow === undefined) {
    flow = makeFlow(evidence);
    known.set(evidence, flow);
  }
  return flow;
}

export function gatewayOf({ record }: Evidence): GatewayRecord {
  if (record.gateway === undefined) throw new RangeError("the record has no gateway");
  return record.gateway;
}

function makeFlow(evidence: Evidence): Flow {
  const { record } = evidence;
  const gateway = gatewayOf(evidence);
  const concurrency = evidence.parameter("workerConcurrency");
  const callOverheadMs = gateway.callOverhead.p50Ms;
  const { startedMs, finishedMs } = firstTimes(gateway, evidence.planned);
  const acknowledgedMs = Float64Array.from(record.ledger.ackedMs.filter((at) => at >= 0)).sort();
  const messageBytes = meanMessageBytes(evidence);
  const { pulled, isPulledCounted } = pulledEvents(evidence, messageBytes);
  const waitingAt = (atMs: number) => below(acknowledgedMs, atMs) - below(startedMs, atMs);
  const finishedBetween = (fromMs: number, toMs: number) =>
    below(finishedMs, toMs) - below(finishedMs, fromMs);

  const phases = record.phases.filter(({ name }) => name !== warmUp);
  const steps = phases.map(({ name, startMs, endMs, perSecond }): Step => {
    const fromMs = startMs + Math.min(maxSettlingMs, settlingShare * (endMs - startMs));
    const planned = gateway.steps.findLast((one) => one.startMs <= startMs)?.workMs ?? 0;
    const servedMs = meanServedMs(gateway, fromMs, endMs) ?? planned;
    return {
      name,
      startMs,
      endMs,
      fromMs,
      offeredPerSecond: perSecond,
      workMs: planned,
      servedMs,
      ...allowedBetween(gateway, concurrency, servedMs, fromMs, endMs),
      finished: rateOf(finishedBetween, fromMs, endMs),
      pulled:
        pulled.length < 2
          ? undefined
          : rateOf((from, to) => eventsAt(pulled, to) - eventsAt(pulled, from), fromMs, endMs),
      saturated: looks(fromMs, endMs).every((at) => waitingAt(at) >= evidence.parameter("workerMaxInFlight")),
    };
  });
  return {
    steps,
    callOverheadMs,
    concurrency,
    messageBytes,
    finishedMs,
    acknowledgedMs,
    waitingAt,
    finishedBetween,
    pulled,
    isPulledCounted,
  };
}

function rateOf(between: (fromMs: number, toMs: number) => number, fromMs: number, toMs: number): StepRate {
  const windows = Math.max(1, Math.floor((toMs - fromMs) / windowMs));
  const widthMs = (toMs - fromMs) / windows;
  const rates = Array.from(
    { length: windows },
    (_, i) => (between(fromMs + i * widthMs, fromMs + (i + 1) * widthMs) * 1_000) / widthMs,
  );
  return {
    perSecond: (between(fromMs, toMs) * 1_000) / (toMs - fromMs),
    low: Math.min(...rates),
    high: Math.max(...rates),
  };
}

function looks(fromMs: number, toMs: number): number[] {
  return Array.from(
    { length: Math.floor((toMs - fromMs) / lookEveryMs) },
    (_, i) => fromMs + i * lookEveryMs,
  );
}

/** For each event that has one: its first call, and its first acceptance. Both sorted. */
function firstTimes({ attempts }: GatewayRecord, planned: number) {
  const started = new Float64Array(planned).fill(Number.POSITIVE_INFINITY);
  const finished = new Float64Array(planned).fill(Number.POSITIVE_INFINITY);
  const note = (first: Float64Array, message: number, at: number) => {
    if (at < (first[message] ?? 0)) first[message] = at;
  };
  for (const [i, message] of attempts.message.entries()) {
    const at = attempts.answeredMs[i];
    if (message < 0) continue;
    note(started, message, attempts.arrivedMs[i] ?? 0);
    if (attempts.status[i] === 200 && at !== null && at !== undefined) note(finished, message, at);
  }
  return {
    startedMs: started.filter(Number.isFinite).sort(),
    finishedMs: finished.filter(Number.isFinite).sort(),
  };
}

function meanServedMs({ attempts }: GatewayRecord, fromMs: number, toMs: number): number | undefined {
  let sum = 0;
  let calls = 0;
  for (const [i, answeredMs] of attempts.answeredMs.entries()) {
    const arrivedMs = attempts.arrivedMs[i] ?? 0;
    if (answeredMs === null || arrivedMs < fromMs || answeredMs >= toMs) continue;
    sum += answeredMs - arrivedMs;
    calls += 1;
  }
  return calls === 0 ? undefined : sum / calls;
}

/** Mean of a message's value, over some of the plan. */
export function meanMessageBytes(evidence: Evidence): number {
  const stride = Math.max(1, Math.floor(evidence.planned / sizedMessages));
  let bytes = 0;
  let messages = 0;
  for (let i = 0; i < evidence.planned; i += stride) {
    bytes += evidence.message(i).value()?.length ?? 0;
    messages += 1;
  }
  return bytes / Math.max(1, messages);
}

/**
 * Counted in the answers to the worker's fetches. Where those could not be read, told from bytes by what the whole run
 * pulled: all of it, when the backlog drained. A fetch that ends in the middle of a batch carries bytes that are fetched
 * again, so an event costs a few percent more than its length.
 */
function pulledEvents(
  { record }: Evidence,
  messageBytes: number,
): { readonly isPulledCounted: boolean; readonly pulled: { atMs: number; events: number }[] } {
  const samples = record.linkSamples.filter(({ service }) => service === "kafka");
  const before = samples.findLast(({ atMs }) => atMs <= 0) ?? samples[0];
  const last = samples.findLast(({ atMs }) => atMs <= record.settled.atMs);
  if (before === undefined || last === undefined) return { isPulledCounted: false, pulled: [] };
  const looks = samples.filter(({ atMs }) => atMs >= before.atMs);
  const counted = looks.flatMap(({ atMs, fetchedEvents }) =>
    fetchedEvents === undefined ? [] : [{ atMs, events: fetchedEvents }],
  );
  if (counted.length === looks.length) return { isPulledCounted: true, pulled: counted };
  const acknowledged = record.ledger.offset.filter((offset) => offset >= 0).length;
  const total = last.toWorkerBytes - before.toWorkerBytes;
  const eventBytes =
    record.settled.drained && acknowledged > 0 ? total / acknowledged : messageBytes * mostWireShare;
  return {
    isPulledCounted: false,
    pulled: looks.map(({ atMs, toWorkerBytes }) => ({
      atMs,
      events: (toWorkerBytes - before.toWorkerBytes) / eventBytes,
    })),
  };
}

/** Between two looks, a straight line. */
function eventsAt(pulled: Flow["pulled"], atMs: number): number {
  const next = pulled.findIndex((one) => one.atMs >= atMs);
  const b = pulled[next === -1 ? pulled.length - 1 : next];
  const a = pulled[next - 1];
  if (b === undefined || a === undefined) return b?.events ?? 0;
  const share = (atMs - a.atMs) / (b.atMs - a.atMs);
  return a.events + share * (b.events - a.events);
}

/** How many of the sorted values lie below `limit`. */
export function below(sorted: ArrayLike<number>, limit: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What a number of calls at once allows, and whether a worker goes as fast as that: Little's law with every place taken. */
import type { GatewayRecord } from "../record/record.ts";
import type { Finding } from "./verdict.ts";

/** One work time, and what was done with it. */
export interface RatedStep {
  /** As planned. */
  readonly workMs: number;
  /** Mean time for which the service had a call, timers and all. */
  readonly servedMs: number;
  /** concurrency / (served time + call overhead); undefined when too few calls tell the overhead. */
  readonly capacityPerSecond: number | undefined;
  /** As it was measured beside the load. */
  readonly overhead?: MeasuredOverhead | undefined;
  /** There was more to do all the time: only the worker decided how fast it went. */
  readonly saturated: boolean;
  readonly donePerSecond: number;
  /** Without the quarter of a second in which least was done; see `calmRate`. */
  readonly calmPerSecond: number;
}

/** What a call cost, beside the load, whoever made it. */
export interface MeasuredOverhead {
  /** Undefined with fewer than `minOverheadSamples` calls. */
  readonly meanMs: number | undefined;
  /** That of all calls of that time lies within so much of it, by a confidence of 99 %. */
  readonly marginMs: number;
  readonly samples: number;
}

const capacityTolerance = 0.15;
/** As long as a process of a virtual machine may stand still, and be none the worse. */
const standstillMs = 250;
const calmStepMs = 25;
/** Fewer saturated steps make no curve. */
export const minSaturated = 3;
/** So little of what the places allow is no host's doing: on a busy one calls take longer, and that is counted. */
const inexcusableShare = 0.3;

/** Fewer calls of the reference tell nothing of a step: two bursts. */
const minOverheadSamples = 10;
/** A burst ends where the next call comes so many times later than usual. */
const burstGap = 3;
/** What is left of a burst at either end of the stretch is none. */
const minOfBurst = 3;
/** Of these calls, at either end: one stall must not decide a step. */
const trimmedShare = 0.1;
/** Student's t for a two-sided confidence of 99 %, by degrees of freedom from 1; with more than these, the last. */
const studentT = [63.66, 9.92, 5.84, 4.6, 4.03, 3.71, 3.5, 3.36, 3.25, 3.17];

/**
 * Mean of the reference caller's calls that ended in a stretch of time, without the quickest and the slowest tenth. A
 * mean, because it is the mean that decides how many calls fit into a second.
 *
 * The margin is that of a trimmed mean, from winsorised samples (Tukey and McLaughlin 1963), by batch means (Law and
 * Kelton, Simulation Modeling and Analysis): calls of one burst meet the same neighbours, so only bursts are samples of
 * their own.
 */
export function overheadBetween(
  reference: { readonly atMs: readonly number[]; readonly overheadMs: readonly number[] },
  fromMs: number,
  toMs: number,
): MeasuredOverhead {
  const calls = reference.atMs.flatMap((atMs, i) =>
    atMs >= fromMs && atMs < toMs ? [{ atMs, overheadMs: reference.overheadMs[i] ?? 0 }] : [],
  );
  const samples = calls.length;
  if (samples < minOverheadSamples) {
    return { meanMs: undefined, marginMs: Number.POSITIVE_INFINITY, samples };
  }
  const cut = Math.floor(trimmedShare * samples);
  const middle = calls
    .map(({ overheadMs }) => overheadMs)
    .sort((a, b) => a - b)
    .slice(cut, samples - cut);
  const [low = 0, high = 0] = [middle[0], middle.at(-1)];
  const bursts = burstsOf(calls).map((burst) =>
    mean(burst.map(({ overheadMs }) => Math.min(high, Math.max(low, overheadMs)))),
  );
  return { meanMs: mean(middle), marginMs: (marginOf(bursts) * samples) / middle.length, samples };
}

/** Calls by the bursts in which they were made. */
function burstsOf<Call extends { readonly atMs: number }>(calls: readonly Call[]): Call[][] {
  const gapBefore = (i: number) => (calls[i]?.atMs ?? 0) - (calls[i - 1]?.atMs ?? 0);
  const gaps = calls.map((_, i) => gapBefore(i)).slice(1);
  const usualMs = gaps.sort((a, b) => a - b)[gaps.length >> 1] ?? 0;
  const bursts: Call[][] = [];
  for (const [i, call] of calls.entries()) {
    if (i === 0 || gapBefore(i) > burstGap * usualMs) bursts.push([]);
    bursts.at(-1)?.push(call);
  }
  return bursts.filter(({ length }) => length >= minOfBurst);
}

/** Half the width of the confidence interval of a mean; without end for fewer than two samples. */
function marginOf(samples: readonly number[]): number {
  const degrees = samples.length - 1;
  if (degrees < 1) return Number.POSITIVE_INFINITY;
  const centre = mean(samples);
  const variance = samples.reduce((sum, one) => sum + (one - centre) ** 2, 0) / degrees;
  return (studentT[degrees - 1] ?? studentT.at(-1) ?? 0) * Math.sqrt(variance / samples.length);
}

const mean = (values: readonly number[]) => values.reduce((sum, one) => sum + one, 0) / values.length;

/** concurrency / (served time + overhead), a second. */
export const capacityOf = (concurrency: number, servedMs: number, callOverheadMs: number): number =>
  (concurrency * 1_000) / (servedMs + callOverheadMs);

/**
 * What so many places allow between two times: with the overhead as it was measured beside the load then, or in a record
 * of a run without a reference caller as it was before the load.
 */
export function allowedBetween(
  { callOverhead, reference }: Pick<GatewayRecord, "callOverhead" | "reference">,
  concurrency: number,
  servedMs: number,
  fromMs: number,
  toMs: number,
): Required<Pick<RatedStep, "capacityPerSecond" | "overhead">> {
  if (reference === undefined) {
    return {
      overhead: undefined,
      capacityPerSecond: capacityOf(concurrency, servedMs, callOverhead.p50Ms),
    };
  }
  const overhead = overheadBetween(reference, fromMs, toMs);
  const { meanMs } = overhead;
  return {
    overhead,
    capacityPerSecond: meanMs === undefined ? undefined : capacityOf(concurrency, servedMs, meanMs),
  };
}

/** Which steps are held against the curve: at the quickest work time the host's own share of a call is largest. */
function isRated<One extends Pick<RatedStep, "workMs">>(steps: readonly One[]): (step: One) => boolean {
  const quickestMs = Math.min(...steps.map(({ workMs }) => workMs));
  return ({ workMs }) => workMs > quickestMs;
}

/** Which saturated steps tell whether places stood empty. */
export function decidesAmong(steps: readonly RatedStep[]): (step: RatedStep) => boolean {
  const rates = isRated(steps);
  return (step) => rates(step) && step.capacityPerSecond !== undefined && !isUndecided(step);
}

/**
 * Whether the saturated steps lie on the curve, but for those of the quickest work time.
 * @param words what the worker does with an event, and what shows that it had more to do
 */
export function capacityFinding(
  steps: readonly RatedStep[],
  words: { readonly done: string; readonly backlog: string; readonly lookAt: string },
): Finding {
  const rates = isRated(steps);
  const saturated = steps.filter((step) => step.saturated && rates(step));
  const rated = saturated.flatMap(({ capacityPerSecond, ...step }) =>
    capacityPerSecond === undefined ? [] : [{ ...step, capacityPerSecond }],
  );
  const undecided = rated.filter(isUndecided);
  const outside = rated.filter((step) => isOffCurve(step) && !undecided.includes(step));
  const cheap = outside.filter((step) => offCurve(step) > 0 && paysLessThanReference(step));
  const wrong = outside.filter((step) => !cheap.includes(step));
  const worst = rated.reduce((most, step) => Math.max(most, Math.abs(offCurve(step))), 0);
  const base = {
    measured: rated.length === 0 ? null : Math.round(worst * 1_000) / 10,
    threshold: `<= ${capacityTolerance * 100}`,
    unit: "% from capacity (worst step)",
    samples: rated.length,
  };
  const told = rated.map(
    (step) =>
      `${step.workMs} ms: ${Math.round(step.donePerSecond)} of ${Math.round(step.capacityPerSecond)}/s${toldOf(step.overhead)}`,
  );
  const detail = `${words.done[0]?.toUpperCase()}${words.done.slice(1)} of possible by work time: ${told.join("; ")}.`;
  if (wrong.length > 0) {
    return {
      ...base,
      verdict: "fail",
      detail,
      offending: wrong.map(
        (step) =>
          `with ${step.workMs} ms of work (${step.servedMs.toFixed(1)} ms as served) ${Math.round(step.donePerSecond)}/s were ${words.done}; the places allow ${Math.round(step.capacityPerSecond)}/s`,
      ),
      inexcusable: wrong.some((step) => step.donePerSecond < inexcusableShare * step.capacityPerSecond),
      expected: `every place at work for as long as ${words.backlog}, and none beyond`,
      lookAt: words.lookAt,
    };
  }
  if (cheap[0] !== undefined) {
    return {
      ...base,
      verdict: "unknown",
      detail: `With ${cheap[0].workMs} ms of work the calls beside the load cost more than the worker's own, so they do not tell what its places allow. ${detail}`,
    };
  }
  const unrated = saturated.find(({ capacityPerSecond }) => capacityPerSecond === undefined);
  if (unrated !== undefined) {
    return {
      ...base,
      verdict: "unknown",
      detail: `With ${unrated.workMs} ms of work only ${unrated.overhead?.samples ?? 0} calls tell what a call cost beside the load (at least ${minOverheadSamples}). ${detail}`,
    };
  }
  if (saturated.length < minSaturated) {
    return {
      ...base,
      verdict: "unknown",
      detail: `In only ${saturated.length} steps ${words.backlog} throughout (at least ${minSaturated}). ${detail}`,
      lookAt: "whether the load is above the worker's capacity in the later steps",
    };
  }
  if (undecided[0] !== undefined) {
    return {
      ...base,
      verdict: "unknown",
      detail: `With ${undecided[0].workMs} ms of work the rate is off the curve by no more than what the calls beside the load leave open, or for no longer than a part of the step. ${detail}`,
      lookAt: "Close other programs.",
    };
  }
  return { ...base, verdict: "pass", detail };
}

/** What was done a second without the quarter of one in which least was: one standstill takes no more away. */
export function calmRate(
  doneBetween: (fromMs: number, toMs: number) => number,
  fromMs: number,
  toMs: number,
): number {
  const starts = Math.max(0, Math.floor((toMs - fromMs - standstillMs) / calmStepMs));
  const least = Math.min(
    ...Array.from({ length: starts + 1 }, (_, i) => {
      const at = fromMs + i * calmStepMs;
      return doneBetween(at, at + standstillMs);
    }),
  );
  return ((doneBetween(fromMs, toMs) - least) * 1_000) / Math.max(1, toMs - fromMs - standstillMs);
}

/** Share by which the rate is above the curve; below it, less than 0. */
const offCurve = ({ donePerSecond, capacityPerSecond }: RatedStep): number =>
  donePerSecond / (capacityPerSecond ?? Number.NaN) - 1;

const isOffCurve = (step: RatedStep): boolean => Math.abs(offCurve(step)) > capacityTolerance;

/**
 * Off the curve, and an overhead within the margin of the one that was measured would bring it back, or it is there
 * without one quarter of a second: so much one standstill does.
 */
function isUndecided(step: RatedStep): boolean {
  const { servedMs, overhead, capacityPerSecond = 0, donePerSecond, calmPerSecond } = step;
  if (overhead?.meanMs === undefined || !isOffCurve(step)) return false;
  // So slow no overhead makes it.
  if (donePerSecond < inexcusableShare * capacityPerSecond) return false;
  const { meanMs, marginMs } = overhead;
  const allowedWith = (overheadMs: number) =>
    (capacityPerSecond * (servedMs + meanMs)) / (servedMs + Math.max(0, overheadMs));
  const least = (1 - capacityTolerance) * allowedWith(meanMs + marginMs);
  const most = (1 + capacityTolerance) * allowedWith(meanMs - marginMs);
  if (donePerSecond > most) return false;
  return donePerSecond >= least || calmPerSecond >= (1 - capacityTolerance) * capacityPerSecond;
}

/**
 * Above the curve, and within what the same places could do if a call cost nothing: it is the overhead that is wrong, and
 * not the number of places.
 */
const paysLessThanReference = ({
  servedMs,
  overhead,
  capacityPerSecond = 0,
  donePerSecond,
}: RatedStep): boolean =>
  overhead?.meanMs !== undefined &&
  donePerSecond <= (capacityPerSecond * (servedMs + overhead.meanMs)) / servedMs;

const toldOf = (overhead: MeasuredOverhead | undefined): string =>
  overhead?.meanMs === undefined
    ? ""
    : ` (${overhead.meanMs.toFixed(1)} ± ${overhead.marginMs.toFixed(1)} ms overhead, ${overhead.samples} calls)`;

/**
 * Overhead by work time, as measured beside the load: between the steps by straight lines, outside of them as in the
 * nearest; steps of the same work time count as one.
 * @param otherwiseMs where no step has one
 */
export function overheadByWork(
  steps: readonly Pick<RatedStep, "workMs" | "servedMs" | "overhead">[],
  otherwiseMs: number,
): (servedMs: number) => number {
  const byWork = new Map<number, { servedMs: number; meanMs: number; steps: number }>();
  for (const { workMs, servedMs, overhead } of steps) {
    if (overhead?.meanMs === undefined) continue;
    const one = byWork.get(workMs) ?? { servedMs: 0, meanMs: 0, steps: 0 };
    byWork.set(workMs, {
      servedMs: one.servedMs + servedMs,
      meanMs: one.meanMs + overhead.meanMs,
      steps: one.steps + 1,
    });
  }
  const points = [...byWork.values()]
    .map((one) => ({ servedMs: one.servedMs / one.steps, meanMs: one.meanMs / one.steps }))
    .sort((a, b) => a.servedMs - b.servedMs);
  return (servedMs) => {
    const next = points.findIndex((one) => one.servedMs >= servedMs);
    const b = points.at(next);
    const a = points[next - 1];
    // Before the first point, and behind the last one.
    if (b === undefined) return otherwiseMs;
    if (a === undefined) return b.meanMs;
    return a.meanMs + ((servedMs - a.servedMs) / (b.servedMs - a.servedMs)) * (b.meanMs - a.meanMs);
  };
}

/** Points of the curve over all steps, from a little before the quickest to a little after the slowest. */
export function capacityCurve(
  steps: readonly Pick<RatedStep, "servedMs">[],
  concurrency: number,
  overheadAt: (servedMs: number) => number,
): (readonly [servedMs: number, perSecond: number])[] {
  const from = 0.8 * Math.min(...steps.map(({ servedMs }) => servedMs));
  const to = 1.25 * Math.max(...steps.map(({ servedMs }) => servedMs));
  return Array.from({ length: 61 }, (_, i) => {
    const at = from * (to / from) ** (i / 60);
    return [at, capacityOf(concurrency, at, overheadAt(at))] as const;
  });
}

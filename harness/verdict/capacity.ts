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
}

/** What a call cost, beside the load, whoever made it. */
export interface MeasuredOverhead {
  /** Undefined with fewer than `minOverheadSamples` calls. */
  readonly meanMs: number | undefined;
  /** The mean of all calls of that time lies within so much of it, by a confidence of 99 %. */
  readonly marginMs: number;
  readonly samples: number;
}

const capacityTolerance = 0.15;
/** Fewer saturated steps make no curve. */
export const minSaturated = 3;
/** So little of what the places allow is no host's doing: on a busy one calls take longer, and that is counted. */
const inexcusableShare = 0.3;

/** Calls that follow each other meet the same neighbours: only batches of them are samples of their own. */
const batchOf = 5;
/** Fewer calls of the reference tell nothing of a step: two batches. */
const minOverheadSamples = 2 * batchOf;
/** Of these calls, at either end: one stall must not decide a step. */
const trimmedShare = 0.1;
/** Student's t for a two-sided confidence of 99 %, by degrees of freedom from 1; with more than these, the last. */
const studentT = [63.66, 9.92, 5.84, 4.6, 4.03, 3.71, 3.5, 3.36, 3.25, 3.17];

/**
 * Mean of the reference caller's calls that ended in a stretch of time, without the quickest and the slowest tenth. A
 * mean, because it is the mean that decides how many calls fit into a second.
 *
 * The margin is that of a trimmed mean, from winsorised samples (Tukey and McLaughlin 1963), by batch means (Law and
 * Kelton, Simulation Modeling and Analysis).
 */
export function overheadBetween(
  reference: { readonly atMs: readonly number[]; readonly overheadMs: readonly number[] },
  fromMs: number,
  toMs: number,
): MeasuredOverhead {
  const inOrder = reference.overheadMs.filter(
    (_, i) => (reference.atMs[i] ?? 0) >= fromMs && (reference.atMs[i] ?? 0) < toMs,
  );
  const samples = inOrder.length;
  if (samples < minOverheadSamples) {
    return { meanMs: undefined, marginMs: Number.POSITIVE_INFINITY, samples };
  }
  const cut = Math.floor(trimmedShare * samples);
  const middle = inOrder.toSorted((a, b) => a - b).slice(cut, samples - cut);
  const [low = 0, high = 0] = [middle[0], middle.at(-1)];
  const winsorised = inOrder.map((one) => Math.min(high, Math.max(low, one)));
  return {
    meanMs: mean(middle),
    marginMs: (marginOf(winsorised) * samples) / middle.length,
    samples,
  };
}

/** Half the width of the confidence interval of the mean of correlated samples; those behind the last batch are left out. */
function marginOf(inOrder: readonly number[]): number {
  const batches = Array.from({ length: Math.floor(inOrder.length / batchOf) }, (_, i) =>
    mean(inOrder.slice(i * batchOf, (i + 1) * batchOf)),
  );
  const centre = mean(batches);
  const degrees = batches.length - 1;
  const variance = batches.reduce((sum, one) => sum + (one - centre) ** 2, 0) / degrees;
  return (studentT[degrees - 1] ?? studentT.at(-1) ?? 0) * Math.sqrt(variance / batches.length);
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
  return (step) => rates(step) && !isUndecided(step);
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
  const decided = rated.filter((step) => !undecided.includes(step));
  const outside = decided.filter((step) => Math.abs(offCurve(step)) > capacityTolerance);
  const cheap = outside.filter((step) => offCurve(step) > 0 && paysLessThanReference(step));
  const wrong = outside.filter((step) => !cheap.includes(step));
  const worst = decided.reduce((most, step) => Math.max(most, Math.abs(offCurve(step))), 0);
  const base = {
    measured: decided.length === 0 ? null : Math.round(worst * 1_000) / 10,
    threshold: `<= ${capacityTolerance * 100}`,
    unit: "% from capacity (worst step)",
    samples: decided.length,
  };
  const told = rated.map(
    (step) =>
      `${step.workMs} ms: ${Math.round(step.donePerSecond)} of ${Math.round(step.capacityPerSecond)}/s${toldOf(step.overhead)}${undecided.includes(step) ? ", which decides nothing" : ""}`,
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
  if (decided.length < minSaturated) {
    return {
      ...base,
      verdict: "unknown",
      detail: `Only ${decided.length} steps decide (at least ${minSaturated}): in the others the calls beside the load differ too much to tell what the places allow. ${detail}`,
      lookAt: "Close other programs.",
    };
  }
  return { ...base, verdict: "pass", detail };
}

/** Share by which the rate is above the curve; below it, less than 0. */
const offCurve = ({ donePerSecond, capacityPerSecond }: RatedStep): number =>
  donePerSecond / (capacityPerSecond ?? Number.NaN) - 1;

/** Off the curve, and an overhead within the margin of the one that was measured would bring it back. */
function isUndecided(step: RatedStep): boolean {
  const { servedMs, overhead, capacityPerSecond = 0, donePerSecond } = step;
  if (overhead?.meanMs === undefined || Math.abs(offCurve(step)) <= capacityTolerance) return false;
  const { meanMs, marginMs } = overhead;
  const allowedWith = (overheadMs: number) =>
    (capacityPerSecond * (servedMs + meanMs)) / (servedMs + Math.max(0, overheadMs));
  return (
    donePerSecond >= (1 - capacityTolerance) * allowedWith(meanMs + marginMs) &&
    donePerSecond <= (1 + capacityTolerance) * allowedWith(meanMs - marginMs)
  );
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

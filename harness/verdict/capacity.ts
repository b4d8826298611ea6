/** What a number of calls at once allows, and whether a worker goes as fast as that: Little's law with every place taken. */
import type { Finding } from "./verdict.ts";

/** One work time, and what was done with it. */
export interface RatedStep {
  /** As planned. */
  readonly workMs: number;
  /** Mean time for which the service had a call, timers and all. */
  readonly servedMs: number;
  /** concurrency / (served time + call overhead). */
  readonly capacityPerSecond: number;
  /** There was more to do all the time: only the worker decided how fast it went. */
  readonly saturated: boolean;
  readonly donePerSecond: number;
}

const capacityTolerance = 0.15;
/** Fewer saturated steps make no curve. */
export const minSaturated = 3;
/** So little of what the places allow is no host's doing: on a busy one calls take longer, and that is counted. */
const inexcusableShare = 0.3;

/** concurrency / (served time + overhead), a second. */
export const capacityOf = (concurrency: number, servedMs: number, callOverheadMs: number): number =>
  (concurrency * 1_000) / (servedMs + callOverheadMs);

/**
 * Whether the saturated steps lie on the curve. The quickest work time is left out: there the host's own share of a
 * call is largest.
 * @param words what the worker does with an event, and what shows that it had more to do
 */
export function capacityFinding(
  steps: readonly RatedStep[],
  words: { readonly done: string; readonly backlog: string; readonly lookAt: string },
): Finding {
  const shortestMs = Math.min(...steps.map(({ workMs }) => workMs));
  const saturated = steps.filter((step) => step.saturated && step.workMs > shortestMs);
  const off = (step: RatedStep) => step.donePerSecond / step.capacityPerSecond - 1;
  const worst = saturated.reduce((most, step) => Math.max(most, Math.abs(off(step))), 0);
  const base = {
    measured: saturated.length === 0 ? null : Math.round(worst * 1_000) / 10,
    threshold: `<= ${capacityTolerance * 100}`,
    unit: "% from capacity (worst step)",
    samples: saturated.length,
  };
  const told = saturated.map(
    (step) =>
      `${step.workMs} ms: ${Math.round(step.donePerSecond)} of ${Math.round(step.capacityPerSecond)}/s`,
  );
  const detail = `${words.done[0]?.toUpperCase()}${words.done.slice(1)} of possible by work time: ${told.join(", ")}.`;
  const wrong = saturated.filter((step) => Math.abs(off(step)) > capacityTolerance);
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
  if (saturated.length < minSaturated) {
    return {
      ...base,
      verdict: "unknown",
      detail: `In only ${saturated.length} steps ${words.backlog} throughout (at least ${minSaturated}). ${detail}`,
      lookAt: "whether the load is above the worker's capacity in the later steps",
    };
  }
  return { ...base, verdict: "pass", detail };
}

/** Points of the curve over all steps, from a little before the quickest to a little after the slowest. */
export function capacityCurve(
  steps: readonly Pick<RatedStep, "servedMs">[],
  concurrency: number,
  callOverheadMs: number,
): (readonly [servedMs: number, perSecond: number])[] {
  const from = 0.8 * Math.min(...steps.map(({ servedMs }) => servedMs));
  const to = 1.25 * Math.max(...steps.map(({ servedMs }) => servedMs));
  return Array.from({ length: 61 }, (_, i) => {
    const at = from * (to / from) ** (i / 60);
    return [at, capacityOf(concurrency, at, callOverheadMs)] as const;
  });
}

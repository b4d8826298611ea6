/** Judges of what retries do to others: to the gateway after a brown-out, to healthy events, and to each other. */
import type { Criterion } from "../lab.ts";
import { quantile } from "../quantile.ts";
import type { Fault } from "../record/record.ts";
import { noArm } from "./backoff.ts";
import { describe, seconds } from "./delivery.ts";
import type { Evidence } from "./evidence.ts";
import { gatewayOf } from "./flow.ts";
import { timerAllowanceMs } from "./host.ts";
import { retriesOf } from "./retries.ts";
import type { Finding } from "./verdict.ts";

export const errorWindowMs = 500;
/** Windows with fewer calls say little about a share. */
const minCalls = 25;
const minWindows = 3;
/** Of a share near 0 or 1, which so few calls do not show. */
const minVariance = 0.05;
const minHealthy = 100;

export interface ErrorWindow {
  readonly startMs: number;
  readonly calls: number;
  /** Share of them that did not end with 200. */
  readonly share: number;
}

/**
 * Calls by windows of 500 ms, from the beginning of the load.
 * @param leftOut messages whose calls are not counted
 */
export function errorWindows(evidence: Evidence, leftOut: ReadonlySet<number> = new Set()): ErrorWindow[] {
  const { attempts } = gatewayOf(evidence);
  const calls: number[] = [];
  const failed: number[] = [];
  for (const [i, at] of attempts.arrivedMs.entries()) {
    if (leftOut.has(attempts.message[i] ?? -1)) continue;
    const window = Math.floor(at / errorWindowMs);
    calls[window] = (calls[window] ?? 0) + 1;
    if (attempts.status[i] !== 200) failed[window] = (failed[window] ?? 0) + 1;
  }
  return Array.from(calls, (count = 0, i) => ({
    startMs: i * errorWindowMs,
    calls: count,
    share: count === 0 ? 0 : (failed[i] ?? 0) / count,
  }));
}

/** The share of calls that fail by plan when nothing is wrong: troubled events, tried as often as the policy allows. */
export function plannedErrorShare(evidence: Evidence): number {
  const troubles = new Map((evidence.scenario.load.trouble ?? []).map((one) => [one.name, one]));
  const maxAttempts = evidence.scenario.worker.retry?.maxAttempts ?? 1;
  let failing = 0;
  let succeeding = 0;
  for (let i = 0; i < evidence.planned; i += 1) {
    const trouble = troubles.get(evidence.place(i).trouble ?? "");
    if (trouble?.status === 422) {
      failing += 1;
      continue;
    }
    failing += Math.min(trouble?.times ?? 0, maxAttempts);
    if ((trouble?.times ?? 0) < maxAttempts) succeeding += 1;
  }
  return failing / Math.max(1, failing + succeeding);
}

/**
 * How far chance alone moves a share: four standard deviations of its difference between samples of such sizes. One of
 * 16,000 windows is further off, so of the two dozen of a run hardly ever one.
 */
function chance(share: number, ...calls: readonly number[]): number {
  const variance = Math.max(minVariance, share * (1 - share));
  return 4 * Math.sqrt(calls.reduce((sum, count) => sum + variance / count, 0));
}

/**
 * Messages that waited for a retry while something was away, or longer for what had piled up meanwhile. Those that will
 * succeed come together when it is back, and those that will not come together after them: when that is, and what share
 * fails then, is the outage's doing.
 */
function heldUp(evidence: Evidence): ReadonlySet<number> {
  const { faults } = evidence.record;
  const { waits } = retriesOf(evidence);
  return new Set(
    waits
      .filter(
        ({ fromMs, toMs, waitMs, idealMs, disturbed }) =>
          (disturbed && waitMs > idealMs) ||
          faults.some(({ startMs, healMs }) => fromMs < healMs && toMs > startMs),
      )
      .map(({ message }) => message),
  );
}

/** What could not be called for while something was away comes when it is back, and fails more often than the rest. */
const bringsOverdue = ({ startMs }: ErrorWindow, faults: readonly Fault[]): boolean =>
  faults.some(({ healMs, clearMs }) => startMs + errorWindowMs > healMs && startMs < clearMs);

export const errorRateFalls: Criterion = {
  id: "error-rate-falls",
  claim: "After the brown-out the share of failing calls falls window by window to the plan's floor.",
  judge(evidence): Finding {
    const brownOut = evidence.scenario.gateway?.brownOut;
    const floor = plannedErrorShare(evidence);
    const loadMs = evidence.record.phases.at(-1)?.endMs ?? 0;
    const base = { threshold: `<= ${percent(floor)}`, unit: "% of calls fail", samples: 0 };
    if (brownOut === undefined) {
      return { ...base, measured: null, verdict: "unknown", detail: "There was no brown-out." };
    }
    const leftOut = heldUp(evidence);
    const windows = errorWindows(evidence, leftOut).filter(
      ({ startMs, calls }) =>
        startMs >= brownOut.endMs && startMs + errorWindowMs <= loadMs && calls >= minCalls,
    );
    const rising = windows.filter((one, i) => {
      const before = windows[i - 1];
      if (before === undefined || bringsOverdue(one, evidence.record.faults)) return false;
      const share = Math.max(before.share, floor);
      return one.share > share + chance(share, one.calls, before.calls);
    });
    const easedMs = brownOut.endMs + (brownOut.easesMs ?? 0);
    const after = windows.filter(({ startMs }) => startMs >= easedMs);
    const last = after.at(-1);
    const told = `Share of failing calls by ${errorWindowMs} ms since the end of the brown-out at ${seconds(brownOut.endMs)}: ${windows.map(({ share }) => `${percent(share)} %`).join(", ")}; the plan's floor is ${percent(floor)} %. Without the ${leftOut.size} events that an outage held up between two calls`;
    const samples = windows.length;
    if (last === undefined || samples < minWindows) {
      return {
        ...base,
        samples,
        measured: null,
        verdict: "unknown",
        detail: `${told}: too few windows with ${minCalls} calls.`,
      };
    }
    const measured = percent(last.share);
    const bound = floor + chance(floor, last.calls);
    const threshold = `<= ${percent(bound)}`;
    if (rising.length === 0 && last.share <= bound) {
      return { ...base, threshold, samples, measured, verdict: "pass", detail: `${told}.` };
    }
    return {
      ...base,
      threshold,
      samples,
      measured,
      verdict: "fail",
      detail: `${told}.`,
      offending: rising.map(
        ({ startMs, share, calls }) =>
          `from ${seconds(startMs)} on ${percent(share)} % of ${calls} calls failed: more than before`,
      ),
      expected: "errors that end with their cause",
      lookAt: "who still calls for events that cannot succeed, and how often",
    };
  },
};

/** @param arm a companion without faults, so that nothing else holds events up */
export function noHeadOfLine(arm: string): Criterion {
  return {
    id: "no-head-of-line",
    needs: ["arms"],
    claim:
      "In the aftermath of the brown-out 99 of 100 healthy events are accepted within a second of when they were due.",
    timing: true,
    judge(evidence): Finding {
      const calm = evidence.arm(arm);
      const limitMs = 1_000 + timerAllowanceMs(evidence.record.host);
      const base = { threshold: `< ${limitMs}`, unit: "ms (p99)" };
      const brownOut = calm?.scenario.gateway?.brownOut;
      if (calm === undefined || brownOut === undefined) {
        return { ...base, measured: null, samples: 0, verdict: "unknown", detail: noArm(arm) };
      }
      const fromMs = brownOut.endMs + (brownOut.easesMs ?? 0);
      const { chain } = retriesOf(calm);
      const late: { readonly message: number; readonly ms: number }[] = [];
      for (let i = 0; i < calm.planned; i += 1) {
        const due = calm.dueMs[i] ?? 0;
        if (due < fromMs || !calm.acknowledged(i) || calm.place(i).trouble !== undefined) continue;
        const first = chain(i)?.calls.find(({ status }) => status === 200);
        late.push({ message: i, ms: first === undefined ? Number.POSITIVE_INFINITY : first.endedMs - due });
      }
      const samples = late.length;
      const p99 = quantile(
        late.map(({ ms }) => ms),
        0.99,
      );
      const p50 = quantile(
        late.map(({ ms }) => ms),
        0.5,
      );
      if (samples < minHealthy) {
        return {
          ...base,
          measured: null,
          samples,
          verdict: "unknown",
          detail: `Only ${samples} healthy events were due after the brown-out.`,
        };
      }
      const measured = Number.isFinite(p99) ? Math.round(p99) : null;
      const told = `${samples} healthy events due after the brown-out of ${seconds(fromMs)}: p50 ${p50.toFixed(0)} ms, p99 ${measured === null ? "never" : `${measured} ms`}`;
      if (p99 < limitMs) return { ...base, measured, samples, verdict: "pass", detail: `${told}.` };
      return {
        ...base,
        measured,
        samples,
        verdict: "fail",
        // Half of them by twice as much: no host is that slow, and still offers the load.
        inexcusable: p50 > 2 * limitMs,
        detail: `${told}.`,
        offending: late
          .filter(({ ms }) => ms >= limitMs)
          .slice(0, 5)
          .map(
            ({ message, ms }) =>
              `${describe(calm, message)} ${Number.isFinite(ms) ? `was accepted ${seconds(ms)} later` : "was never accepted"}`,
          ),
        expected: "healthy events that pass those that wait",
        lookAt: "what a waiting event keeps busy meanwhile: a place at work, a partition, a batch",
      };
    },
  };
}

const percent = (share: number) => Math.round(share * 100);

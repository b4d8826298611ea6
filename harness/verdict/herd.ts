/** The judge of jitter: whether events that failed together come back together. */
import type { Criterion } from "../lab.ts";
import { randomFor } from "../load/random.ts";
import { latenessOf, noArm } from "./backoff.ts";
import { seconds } from "./delivery.ts";
import type { Evidence } from "./evidence.ts";
import { idealWaitMs, retriesOf } from "./retries.ts";
import type { Finding } from "./verdict.ts";

export const herdWindowMs = 50;
const herdShare = 0.5;
/** A herd smaller than this is none. */
const minHerd = 20;
/** What chance does is drawn this often; so many as come together in all but one of these decide nothing. */
const draws = 1_000;

export interface Herd {
  /** Events of the burst. */
  readonly events: number;
  /** Their retries, ms since the burst began. */
  readonly atMs: readonly number[];
  /** In the busiest 50 ms. */
  readonly busiest: number;
}

/** Retries of the phase "burst", all of whose events fail at once, in the first `forMs` since it began. */
export function herdOf(evidence: Evidence, forMs: number): Herd {
  const burst = evidence.phase("burst");
  if (burst === undefined) return { events: 0, atMs: [], busiest: 0 };
  const chains = retriesOf(evidence).chains.filter(({ message }) => {
    const due = evidence.dueMs[message] ?? -1;
    return due >= burst.startMs && due < burst.endMs;
  });
  const atMs = chains
    .flatMap(({ calls }) => calls.slice(1).map(({ arrivedMs }) => arrivedMs - burst.startMs))
    .filter((at) => at >= 0 && at < forMs)
    .sort((a, b) => a - b);
  return { events: chains.length, atMs, busiest: busiestOf(atMs, herdWindowMs) };
}

/** @param atMs sorted */
function busiestOf(atMs: ArrayLike<number>, windowMs: number): number {
  let busiest = 0;
  for (let from = 0, to = 0; to < atMs.length; to += 1) {
    while ((atMs[to] ?? 0) - (atMs[from] ?? 0) >= windowMs) from += 1;
    busiest = Math.max(busiest, to - from + 1);
  }
  return busiest;
}

/**
 * How many retries of the burst come together by chance alone, with a jitter as it should be and in 999 of 1,000 draws.
 * @param windowMs as long as what comes together may lie apart
 */
function herdByChance(evidence: Evidence, events: number, forMs: number, windowMs: number): number {
  const { policy } = retriesOf(evidence);
  const busiest = Array.from({ length: draws }, (_, draw) => {
    const random = randomFor(evidence.record.seed, draw);
    const atMs: number[] = [];
    for (let i = 0; i < events; i += 1) {
      let at = 0;
      for (let attempt = 1; attempt < policy.maxAttempts; attempt += 1) {
        at += idealWaitMs(policy, attempt) * (1 - policy.jitter * random());
        if (at >= forMs) break;
        atMs.push(at);
      }
    }
    return busiestOf(Float64Array.from(atMs).sort(), windowMs);
  });
  return busiest.sort((a, b) => a - b).at(-2) ?? 0;
}

/** How long both runs can be compared: until something else breaks in one of them. */
export function comparableMs(evidence: Evidence, calm: Evidence): number {
  const spans = [evidence, calm].map((run) => {
    const from = run.phase("burst")?.startMs ?? 0;
    const firstFault = Math.min(...run.record.faults.map(({ startMs }) => startMs), run.record.settled.atMs);
    return firstFault - from;
  });
  return Math.max(0, Math.min(...spans));
}

/** @param arm a companion with the same burst, and without jitter */
export function noHerd(arm: string): Criterion {
  return {
    id: "no-herd",
    needs: ["arms"],
    claim: "With jitter the busiest 50 ms of retries holds at most half of what it holds without.",
    timing: true,
    judge(evidence): Finding {
      const calm = evidence.arm(arm);
      const base = { threshold: `<= ${herdShare * 100}`, unit: "% of the herd without jitter" };
      if (calm === undefined)
        return { ...base, measured: null, samples: 0, verdict: "unknown", detail: noArm(arm) };
      const forMs = comparableMs(evidence, calm);
      const herd = herdOf(evidence, forMs);
      const without = herdOf(calm, forMs);
      const samples = herd.atMs.length + without.atMs.length;
      const told = `The busiest ${herdWindowMs} ms held ${herd.busiest} retries of the burst with a jitter of ${retriesOf(evidence).policy.jitter}, and ${without.busiest} without (${herd.atMs.length} and ${without.atMs.length} retries in ${seconds(forMs)})`;
      if (isUnjittered(evidence)) {
        return {
          ...base,
          measured: 100,
          samples,
          verdict: "fail",
          inexcusable: true,
          detail: `No wait was shorter than the formula without jitter: chance has no part in them. ${told}.`,
          offending: [told],
          expected: "events that failed together and come back apart",
          lookAt: "whether RETRY_JITTER is used at all",
        };
      }
      if (without.busiest < minHerd) {
        return {
          ...base,
          measured: null,
          samples,
          verdict: "unknown",
          detail: `${told}: there was no herd to be broken up.`,
        };
      }
      const measured = Math.round((herd.busiest / without.busiest) * 100);
      if (herd.busiest <= herdShare * without.busiest) {
        return { ...base, measured, samples, verdict: "pass", detail: `${told}.` };
      }
      // What was due within a time for which the host stood still, or the worker, comes together, however far apart it
      // was due.
      const stoodStillMs = Math.max(
        evidence.record.host.duringRun.eventLoopDelayMs.max,
        latenessOf([calm])?.p99 ?? 0,
      );
      const chance = herdByChance(evidence, herd.events, forMs, herdWindowMs + stoodStillMs);
      const byChance = `Chance alone brings up to ${chance} of ${herd.events} events together, when what was due within ${Math.round(stoodStillMs)} ms more comes at once, as this host or worker was late`;
      if (herd.busiest <= chance) {
        return {
          ...base,
          measured,
          samples,
          verdict: "unknown",
          detail: `${told}. ${byChance}: the herd without jitter was too small to tell.`,
          lookAt: "Close other programs.",
        };
      }
      return {
        ...base,
        measured,
        samples,
        verdict: "fail",
        detail: `${told}. ${byChance}.`,
        offending: [told],
        expected: "events that failed together and come back apart",
        lookAt: "whether RETRY_JITTER is used, and whether each event draws for itself",
      };
    },
  };
}

/** What a slow host adds is soon less than what chance takes off the later waits: one that is shorter always shows. */
function isUnjittered(evidence: Evidence): boolean {
  const { policy, waits } = retriesOf(evidence);
  const most = Math.max(0, ...waits.map(({ attempt }) => attempt));
  return (
    policy.jitter > 0 &&
    most >= 2 &&
    waits.length >= minHerd &&
    waits.every(({ waitMs, idealMs }) => waitMs >= idealMs - 1)
  );
}

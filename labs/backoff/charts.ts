/** The pictures of the backoff lab, as data. */

import { quantile } from "../../harness/quantile.ts";
import type { Chart, Series } from "../../harness/report/chart.ts";
import { bandsOf } from "../../harness/report/series.ts";
import { latenessOf, quickerHalf } from "../../harness/verdict/backoff.ts";
import { errorWindowMs, errorWindows, plannedErrorShare } from "../../harness/verdict/brown-out.ts";
import type { Evidence } from "../../harness/verdict/evidence.ts";
import { gatewayOf } from "../../harness/verdict/flow.ts";
import { fitGrowth } from "../../harness/verdict/growth.ts";
import { comparableMs, herdOf, herdWindowMs } from "../../harness/verdict/herd.ts";
import { idealWaitMs, isUndisturbedChain, retriesOf } from "../../harness/verdict/retries.ts";
import { survivalOf } from "../../harness/verdict/retry-outcome.ts";

type Point = readonly [x: number, y: number];

/**
 * The drill's proof: when each attempt came, counted from the first, over when it may come.
 * @param arm the companion without jitter
 */
export function attemptsChart(arm: string): (evidence: Evidence) => Chart {
  return (evidence) => attemptsOf(evidence, evidence.arm(arm));
}

function attemptsOf(evidence: Evidence, companion: Evidence | undefined): Chart {
  const { policy } = retriesOf(evidence);
  const dots = (run: Evidence): Point[] =>
    retriesOf(run)
      .chains.filter(
        (chain) =>
          isUndisturbedChain(chain) &&
          !isNearFault(run, chain.calls.at(0)?.arrivedMs, chain.calls.at(-1)?.arrivedMs),
      )
      .flatMap(({ calls }) =>
        calls.slice(1).map((call, i): Point => [(call.arrivedMs - (calls[0]?.endedMs ?? 0)) / 1_000, i + 2]),
      );
  const attempts = Array.from({ length: policy.maxAttempts - 1 }, (_, i) => i + 1);
  const sums = (share: number): Point[] => {
    let at = 0;
    return [
      [0, 1],
      ...attempts.map((n): Point => {
        at += idealWaitMs(policy, n) * share;
        return [at / 1_000, n + 1];
      }),
    ];
  };
  return {
    id: "attempts",
    title: "Do attempts 1 to N come with growing delays?",
    caption: `Each dot is an attempt of an event that no fault touched: when it came, counted from the end of the first. The lines are the earliest the policy allows (a jitter of ${policy.jitter}) and the formula without jitter; dots belong between them, and those of the companion run without jitter, a little lower, on the second line. A worker that retries at once has all its dots at zero.`,
    criteria: ["cadence", "attempts-bounded"],
    x: { label: "time since the first attempt ended (s)", min: 0 },
    panels: [
      {
        left: { label: "attempt", min: 0.5, max: policy.maxAttempts + 0.5 },
        series: [
          { label: "earliest", role: "limit", kind: "line", dashed: true, points: sums(1 - policy.jitter) },
          { label: "without jitter", role: "other", kind: "line", dashed: true, points: sums(1) },
          { label: "attempts", role: "done", kind: "dots", points: dots(evidence) },
          // A little lower, so that both are seen.
          {
            label: "attempts, no jitter",
            role: "lag",
            kind: "dots",
            points: companion === undefined ? [] : dots(companion).map(([x, y]) => [x, y - 0.2] as const),
          },
        ],
      },
    ],
  };
}

/** @param arm the companion without jitter */
export function waitsChart(arm: string): (evidence: Evidence) => Chart {
  return (evidence) => {
    const calm = evidence.arm(arm) ?? evidence;
    const { policy, waits } = retriesOf(calm);
    const timely = waits.filter(({ disturbed }) => !disturbed);
    const attempts = [...new Set(timely.map(({ attempt }) => attempt))].sort((a, b) => a - b);
    const growth = fitGrowth(quickerHalf(timely.filter(({ idealMs }) => idealMs < policy.capMs)));
    const late = latenessOf([calm]);
    const longest = Math.max(policy.maxAttempts - 1, ...attempts);
    const ideal = Array.from({ length: longest }, (_, i): Point => [i + 1, idealWaitMs(policy, i + 1)]);
    const of = (n: number) => timely.filter(({ attempt }) => attempt === n).map(({ waitMs }) => waitMs);
    return {
      id: "waits",
      title: "Do waits without jitter grow by the factor, attempt by attempt?",
      caption:
        `Median wait after each attempt in the companion run without jitter, bars from the shortest to the longest, over min(cap, base x factor^(n - 1)). ` +
        (growth === undefined
          ? ""
          : `Fitted below the cap: factor ${growth.factor.toFixed(3)}, 95 % confidence ${growth.low.toFixed(3)} to ${growth.high.toFixed(3)}, from the quicker half, ${growth.samples} waits. `) +
        (late === undefined
          ? ""
          : `Lateness of a retry: median ${late.p50.toFixed(1)} ms, p99 ${late.p99.toFixed(1)} ms. `) +
        `On this scale an exponential is a straight line; linear growth bends down.`,
      criteria: ["exponential", "cadence"],
      x: { label: "wait after attempt", min: 0.5, max: longest + 0.5 },
      panels: [
        {
          left: { label: "wait (ms)", scale: "log" },
          series: [
            { label: "ideal", role: "limit", kind: "line", dashed: true, points: ideal },
            {
              label: "measured",
              role: "done",
              kind: "dots",
              points: attempts.map((n) => [n, Math.max(1, quantile(of(n), 0.5))] as const),
              spread: attempts.map((n) => [Math.max(1, Math.min(...of(n))), Math.max(1, ...of(n))] as const),
            },
          ],
        },
      ],
    };
  };
}

export function errorsChart(evidence: Evidence): Chart {
  const { attempts } = gatewayOf(evidence);
  const loadMs = evidence.record.phases.at(-1)?.endMs ?? 0;
  // When the load is over only what fails for ever is still tried.
  const windows = errorWindows(evidence).filter(({ calls, startMs }) => calls > 0 && startMs < loadMs);
  const middle = (startMs: number) => (startMs + errorWindowMs / 2) / 1_000;
  const rate = (isRetry: boolean): Point[] => {
    const seen = new Set<number>();
    const counts: number[] = [];
    for (const [i, at] of attempts.arrivedMs.entries()) {
      const message = attempts.message[i] ?? -1;
      const window = Math.floor(at / errorWindowMs);
      counts[window] ??= 0;
      if (seen.has(message) === isRetry) counts[window] = (counts[window] ?? 0) + 1;
      seen.add(message);
    }
    return Array.from(
      counts,
      (count = 0, i): Point => [middle(i * errorWindowMs), (count * 1_000) / errorWindowMs],
    );
  };
  return {
    id: "errors",
    title: "Do errors end with the brown-out, and does the load on the gateway stay bearable?",
    caption:
      "Above: the share of calls that fail, by half seconds; the line is what fails by plan when nothing is wrong. Below: first calls and retries per second. Retries without a wait, or without an end, show as a mountain beside the brown-out and a share that does not come down.",
    criteria: ["error-rate-falls"],
    x: { label: "time since the load began (s)" },
    panels: [
      {
        left: { label: "failing calls (%)", min: 0, max: 100 },
        series: [
          {
            label: "failing",
            role: "bad",
            kind: "line",
            points: windows.map(({ startMs, share }) => [middle(startMs), share * 100] as const),
          },
        ],
        limits: [{ label: "the plan's floor", value: Math.round(plannedErrorShare(evidence) * 100) }],
      },
      {
        left: { label: "calls per second", min: 0 },
        series: [
          { label: "first calls", role: "offered", kind: "line", points: rate(false) },
          { label: "retries", role: "lag", kind: "line", points: rate(true) },
        ],
      },
    ],
    bands: [...brownOutBand(evidence), ...bandsOf(evidence.record).filter(({ role }) => role === "fault")],
  };
}

/** @param arm the companion without jitter */
export function herdChart(arm: string): (evidence: Evidence) => Chart {
  return (evidence) => {
    const calm = evidence.arm(arm) ?? evidence;
    const forMs = comparableMs(evidence, calm);
    const histogram = (run: Evidence): Point[] => {
      const counts = new Array<number>(Math.ceil(forMs / herdWindowMs)).fill(0);
      for (const at of herdOf(run, forMs).atMs) {
        const window = Math.floor(at / herdWindowMs);
        counts[window] = (counts[window] ?? 0) + 1;
      }
      return counts.map((count, i): Point => [i * herdWindowMs, count]);
    };
    return {
      id: "herd",
      title: "Do events that failed together come back together?",
      caption: `Retries of the ${Math.round((evidence.phase("burst")?.endMs ?? 0) - (evidence.phase("burst")?.startMs ?? 0))} ms burst, per ${herdWindowMs} ms, counted from its beginning: with jitter, and without in the companion run. Without jitter the burst comes back as it was, once for every attempt.`,
      criteria: ["no-herd"],
      x: { label: "time since the burst began (ms)", min: 0 },
      panels: [
        {
          left: { label: `retries per ${herdWindowMs} ms`, min: 0 },
          series: [
            { label: "without jitter", role: "bad", kind: "step", points: histogram(calm) },
            { label: "with jitter", role: "done", kind: "step", points: histogram(evidence) },
          ],
        },
      ],
    };
  };
}

/** What became of the events that waited when something died. */
export function survivalChart(evidence: Evidence): Chart {
  const survivals = survivalOf(evidence);
  const { waits } = retriesOf(evidence);
  const late = (disturbed: boolean): Point[] =>
    waits
      .filter((wait) => wait.disturbed === disturbed)
      .map((wait): Point => [wait.toMs / 1_000, (wait.waitMs - wait.leastMs) / 1_000]);
  const told = survivals
    .map(
      ({ fault, waiting, lost, early, recounted }) =>
        `${fault.name}: ${waiting} waited, ${lost.length} lost, ${early.length} came earlier, ${recounted.length} were counted anew`,
    )
    .join("; ");
  return {
    id: "durable",
    title: "Do waiting events survive the death of the worker and of Redis, and keep their time?",
    caption: `Each dot is a retry: when it came, and how long after the earliest moment its policy allows. None may lie below zero. What falls due while something is dead comes when it is back: the slopes behind the faults. ${told === "" ? "Nothing was killed." : `${told}.`}`,
    criteria: ["durable", "cadence"],
    x: { label: "time since the load began (s)" },
    panels: [
      {
        left: { label: "after the earliest moment (s)" },
        series: [
          { label: "undisturbed", role: "done", kind: "dots", points: late(false) },
          { label: "waited through a fault", role: "lag", kind: "dots", points: late(true) },
        ],
        limits: [{ label: "not before", value: 0 }],
      },
    ],
    bands: bandsOf(evidence.record).filter(({ role }) => role === "fault"),
  };
}

/** Names of two companions with the same brown-out; where a profile has none, the run itself is shown alone. */
export function breakerChart(without: string, withOne: string): (evidence: Evidence) => Chart {
  return (evidence) => {
    const plain = evidence.arm(without) ?? evidence;
    const guarded = evidence.arm(withOne);
    const windowMs = 200;
    const brownOut = plain.scenario.gateway?.brownOut;
    const during = (run: Evidence) =>
      gatewayOf(run).attempts.arrivedMs.filter(
        (at) => at >= (brownOut?.startMs ?? 0) && at < (brownOut?.endMs ?? 0),
      ).length;
    const dead = (run: Evidence) => run.table("dead_letters").rows.length;
    const calls = (run: Evidence): Point[] => {
      const counts: number[] = [];
      for (const at of gatewayOf(run).attempts.arrivedMs) {
        const window = Math.floor(at / windowMs);
        counts[window] = (counts[window] ?? 0) + 1;
      }
      return Array.from(
        counts,
        (count = 0, i): Point => [(i * windowMs) / 1_000, (count * 1_000) / windowMs],
      );
    };
    const series: Series[] = [
      { label: "without a breaker", role: "bad", kind: "step", points: calls(plain) },
      ...(guarded === undefined
        ? []
        : [{ label: "with a breaker", role: "done", kind: "step", points: calls(guarded) } as const]),
    ];
    return {
      id: "breaker",
      title: "What does a circuit breaker spare the gateway, and the events?",
      caption:
        `Calls per second. In the brown-out: ${during(plain)} calls and in the end ${dead(plain)} dead letters without a breaker` +
        (guarded === undefined
          ? "; the companion run with one is part of the full profile."
          : `, ${during(guarded)} calls and ${dead(guarded)} dead letters with one: what is not called uses no attempt.`),
      criteria: [],
      x: { label: "time since the load began (s)" },
      panels: [{ left: { label: "calls per second", min: 0 }, series }],
      bands: brownOutBand(plain),
    };
  };
}

function brownOutBand(evidence: Evidence): NonNullable<Chart["bands"]> {
  const brownOut = evidence.scenario.gateway?.brownOut;
  if (brownOut === undefined) return [];
  return [
    {
      label: "brown-out",
      from: brownOut.startMs / 1_000,
      to: (brownOut.endMs + (brownOut.easesMs ?? 0)) / 1_000,
      role: "phase",
    },
  ];
}

function isNearFault({ record }: Evidence, fromMs = 0, toMs = 0): boolean {
  return record.faults.some(({ startMs, clearMs }) => fromMs <= clearMs && toMs >= startMs);
}

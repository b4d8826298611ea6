/** Judges of the waits between attempts, and of their number. */
import type { Criterion } from "../lab.ts";
import { quantile } from "../quantile.ts";
import { describe, seconds } from "./delivery.ts";
import type { Evidence } from "./evidence.ts";
import { fitGrowth } from "./growth.ts";
import { timerAllowanceMs } from "./host.ts";
import { isTooShort, isUndisturbedChain, retriesOf, type Wait } from "./retries.ts";
import { areStandstills, standstillWords } from "./standstill.ts";
import type { Finding } from "./verdict.ts";

const shown = 5;
/** What a retry may be late: promotion, a place, the call. */
const lateByMs = 150;
/** Share of waits that may be later still: a pause of the garbage collector, a core that was elsewhere. */
const mayBeLater = 0.01;
/** As many more are no proof that it is more than this share: three standard deviations of their number. */
const chance = 3;
const minWaits = 40;
const growthTolerance = 0.05;

/** The run under test and its companion: what holds for waits holds in both. */
const runsOf = (evidence: Evidence, arm: string): Evidence[] => {
  const other = evidence.arm(arm);
  return other === undefined ? [evidence] : [evidence, other];
};

/** @param arm the companion whose waits are judged too */
export function cadence(arm: string): Criterion {
  return {
    id: "cadence",
    claim:
      "Each wait before attempt n + 1 lies between (1 - jitter) x min(cap, base x factor^(n - 1)) and that value + 150 ms; one in 100 may be later, none earlier.",
    timing: true,
    judge(evidence): Finding {
      const allowance = lateByMs + timerAllowanceMs(evidence.record.host);
      const all = runsOf(evidence, arm).flatMap((run) => retriesOf(run).waits.map((wait) => ({ run, wait })));
      const early = all.filter(({ wait }) => isTooShort(wait));
      // The companion's retries come as a herd on purpose: that they wait for one another is no lateness of the schedule.
      const timely = all.filter(({ run, wait }) => run === evidence && !wait.disturbed);
      const late = timely.filter(({ wait }) => wait.waitMs > wait.idealMs + allowance);
      const lateness = latenessOf(runsOf(evidence, arm));
      const excused = Math.floor(timely.length * mayBeLater);
      const byChance = Math.floor(
        timely.length * mayBeLater + chance * Math.sqrt(timely.length * mayBeLater * (1 - mayBeLater)),
      );
      const base = {
        measured: early.length + late.length,
        threshold: `<= ${excused}`,
        unit: `waits off the schedule (+ ${allowance} ms), none of them too short`,
        samples: all.length,
      };
      const told =
        `${all.length} waits, of which none may be shorter; ${timely.length} of them met no fault and are not the companion's: they may not be longer either. ` +
        (lateness === undefined
          ? ""
          : `Without jitter a retry is late by ${lateness.p50.toFixed(1)} ms in the median, ${lateness.p99.toFixed(1)} ms at p99 (${lateness.samples} waits).`);
      if (early.length > 0 || late.length > byChance) {
        const delays = late.map(({ wait }) => ({ dueMs: wait.fromMs + wait.idealMs, cameMs: wait.toMs }));
        if (early.length === 0 && areStandstills(delays)) {
          const detail = `${late.length} waits too long. ${standstillWords} ${told}`;
          return { ...base, verdict: "unknown", detail };
        }
        return {
          ...base,
          verdict: "fail",
          inexcusable: early.length > 0,
          detail: `${early.length} waits too short, ${late.length} too long. ${told}`,
          offending: [...early, ...late]
            .slice(0, shown)
            .map(({ run, wait }) => describeWait(run, wait, allowance)),
          expected: "min(cap, base x factor^(n - 1)), less a random share of up to RETRY_JITTER",
          lookAt:
            early.length > 0
              ? "what the wait is computed from, and whether something else starts an attempt: a redelivery, a stalled job"
              : "what a retry waits for when its time has come: a poll, a place, the one before it",
        };
      }
      if (late.length > excused) {
        return {
          ...base,
          verdict: "unknown",
          detail: `${late.length} of ${timely.length} waits were too long. Up to ${byChance} can be chance where one in 100 may be. ${told}`,
          offending: late.slice(0, shown).map(({ run, wait }) => describeWait(run, wait, allowance)),
        };
      }
      if (timely.length < minWaits) {
        return { ...base, verdict: "unknown", detail: `Only ${timely.length} waits outside fault windows.` };
      }
      return { ...base, verdict: "pass", detail: told };
    },
  };
}

/** How late retries were, in ms: known where there is no jitter. */
export function latenessOf(
  runs: readonly Evidence[],
): { readonly p50: number; readonly p99: number; readonly samples: number } | undefined {
  const late = runs
    .map(retriesOf)
    .filter(({ policy }) => policy.jitter === 0)
    .flatMap(({ waits }) => waits.filter(({ disturbed }) => !disturbed))
    .map(({ waitMs, idealMs }) => waitMs - idealMs);
  if (late.length === 0) return undefined;
  return { p50: quantile(late, 0.5), p99: quantile(late, 0.99), samples: late.length };
}

/** @param arm a companion without jitter */
export function exponentialGrowth(arm: string): Criterion {
  return {
    id: "exponential",
    needs: ["arms"],
    claim: "Without jitter the fitted growth factor of waits below the cap is within 5 % of RETRY_FACTOR.",
    timing: true,
    judge(evidence): Finding {
      const calm = evidence.arm(arm);
      const wanted = evidence.scenario.worker.retry?.factor ?? Number.NaN;
      const base = {
        threshold: `<= ${growthTolerance * 100}`,
        unit: `% from a factor of ${wanted}`,
        samples: 0,
      };
      if (calm === undefined) return { ...base, measured: null, verdict: "unknown", detail: noArm(arm) };
      const { policy, waits } = retriesOf(calm);
      const below = quickerHalf(
        waits.filter(({ disturbed, idealMs }) => !disturbed && idealMs < policy.capMs),
      );
      const growth = fitGrowth(below);
      if (growth === undefined || growth.samples < minWaits) {
        const detail = `${below.length} waits below the cap are too few, or of fewer than three attempts: no curve can be told from them.`;
        return { ...base, samples: below.length, measured: null, verdict: "unknown", detail };
      }
      const off = Math.abs(growth.factor / policy.factor - 1);
      const numbers = [...new Set(below.map(({ attempt }) => attempt))].sort((a, b) => a - b);
      const at = (q: number) =>
        numbers.map((n) => {
          const waits = below.filter(({ attempt }) => attempt === n).map(({ waitMs }) => waitMs);
          return Math.round(quantile(waits, q));
        });
      const medians = at(0.5);
      const quickest = at(0.1);
      const told =
        `Fitted factor ${growth.factor.toFixed(3)}, 95 % confidence interval ${growth.low.toFixed(3)} to ${growth.high.toFixed(3)}, ` +
        `base ${growth.baseMs.toFixed(0)} ms, over the quicker half of the waits after attempts 1 to ${growth.attempts} (${growth.samples}); their medians ${medians.join(", ")} ms.`;
      const measured = Math.round(off * 1_000) / 10;
      if (off <= growthTolerance) {
        return { ...base, measured, samples: growth.samples, verdict: "pass", detail: told };
      }
      const quick = fitGrowth(quickest.map((waitMs, i) => ({ attempt: numbers[i] ?? 0, waitMs })));
      if (quick !== undefined && Math.abs(quick.factor / policy.factor - 1) <= growthTolerance) {
        return {
          ...base,
          measured,
          samples: growth.samples,
          verdict: "unknown",
          detail: `${told} The quickest tenth of them, ${quickest.join(", ")} ms, grows by ${quick.factor.toFixed(3)}: what held up the others bends the curve.`,
          lookAt: "Close other programs.",
        };
      }
      return {
        ...base,
        measured,
        samples: growth.samples,
        verdict: "fail",
        inexcusable: growsLinearly(quickest, policy.factor),
        detail: told,
        offending: medians.map(
          (median, i) =>
            `after attempt ${i + 1} the median wait was ${median} ms, and base x factor^${i} is ${Math.round(policy.baseMs * policy.factor ** i)} ms`,
        ),
        expected: `waits that grow by a factor of ${policy.factor} with every attempt`,
        lookAt: "the formula: base x n is linear, and easily taken for exponential after two attempts",
      };
    },
  };
}

/** Of the waits after each attempt: what the worker decided is in the quicker ones, what held it up in the others. */
export function quickerHalf<One extends Pick<Wait, "attempt" | "waitMs">>(waits: readonly One[]): One[] {
  const attempts = [...new Set(waits.map(({ attempt }) => attempt))];
  return attempts.flatMap((n) => {
    const own = waits.filter(({ attempt }) => attempt === n).sort((a, b) => a.waitMs - b.waitMs);
    return own.slice(0, Math.ceil(own.length / 2));
  });
}

/**
 * Whether the quickest waits grow by the same amount each time. What a slow host adds to every wait falls out of their
 * differences, so this holds on any host.
 */
function growsLinearly([first = 0, second = 0, third = 0]: readonly number[], factor: number): boolean {
  const before = second - first;
  return before > first / 2 && (third - second) / before < (1 + factor) / 2;
}

export const attemptsBounded: Criterion = {
  id: "attempts-bounded",
  claim: "No event has more than RETRY_MAX_ATTEMPTS attempts, and one that is refused for good has one.",
  judge(evidence): Finding {
    const { chains, policy } = retriesOf(evidence);
    const boundOf = (message: number) =>
      refusedTroubles(evidence).has(evidence.place(message).trouble ?? "")
        ? refusedBound(evidence, message)
        : policy.maxAttempts;
    const over = chains.filter((chain) => {
      // What a death made unknown may be tried once more.
      const allowed = boundOf(chain.message) + chain.unsettled + (chain.redelivered ? 1 : 0);
      return chain.calls.length > allowed;
    });
    const exhausted = chains.filter(
      (chain) => isUndisturbedChain(chain) && chain.calls.length === policy.maxAttempts,
    ).length;
    const most = chains.reduce((top, { calls }) => Math.max(top, calls.length), 0);
    const base = {
      measured: over.length,
      threshold: "= 0",
      unit: "events tried too often",
      samples: chains.length,
    };
    if (over.length > 0) {
      return {
        ...base,
        verdict: "fail",
        detail: `${over.length} events were tried more often than allowed; one of them ${most} times.`,
        offending: over
          .slice(0, shown)
          .map(
            ({ message, calls }) =>
              `${describe(evidence, message)} was tried ${calls.length} times (at most ${boundOf(message)})`,
          ),
        expected: `at most ${policy.maxAttempts} attempts, then a dead letter; one for a 422`,
        lookAt:
          "where attempts are counted, and whether the count survives a death of the worker or of Redis",
      };
    }
    if (exhausted === 0) {
      return {
        ...base,
        verdict: "unknown",
        detail: "No event used all of its attempts: the bound was not put to the test.",
      };
    }
    const excused = chains.filter((chain) => !isUndisturbedChain(chain)).length;
    return {
      ...base,
      verdict: "pass",
      detail: `${chains.length} events, ${exhausted} of them tried ${policy.maxAttempts} times and no more; ${excused} were in flight at a death and may have been tried once more for it.`,
    };
  },
};

function refusedTroubles({ scenario }: Evidence): Set<string> {
  return new Set(
    (scenario.load.trouble ?? []).filter(({ status }) => status === 422).map(({ name }) => name),
  );
}

/** One, after what a brown-out answered in its place. */
function refusedBound(evidence: Evidence, message: number): number {
  const calls = retriesOf(evidence).chain(message)?.calls ?? [];
  const first = calls.findIndex(({ status }) => status === 422);
  return first < 0 ? retriesOf(evidence).policy.maxAttempts : first + 1;
}

function describeWait(run: Evidence, wait: Wait, allowance: number): string {
  return (
    `${describe(run, wait.message)} waited ${wait.waitMs.toFixed(0)} ms after attempt ${wait.attempt} at ${seconds(wait.fromMs)}, ` +
    `and was to wait ${wait.leastMs.toFixed(0)} to ${(wait.idealMs + allowance).toFixed(0)} ms`
  );
}

export const noArm = (arm: string): string => `The record has no companion run "${arm}" to compare with.`;

/** Judges of backpressure: slow work slows the pulling, and nothing piles up inside the worker. */
import type { Criterion } from "../lab.ts";
import { inFlightOverTime } from "./bounds.ts";
import { capacityFinding, capacityOf, minSaturated } from "./capacity.ts";
import { seconds } from "./delivery.ts";
import { flowOf, ratedSteps, warmUp } from "./flow.ts";
import { timerAllowanceMs } from "./host.ts";
import type { Finding } from "./verdict.ts";

/** A step that pulls more than this share of the one before has not slowed down. */
const fallsTo = 0.95;
const agreementTolerance = 0.05;
/** At either end of the steady stretch, so that it is not one fetch that decides. */
const agreementEdgeMs = 1_000;
const recoveredShare = 0.9;
const recoversWithinMs = 5_000;
const recoveryWindowMs = 500;
const minGroupLooks = 20;

export const pullRateFalls: Criterion = {
  id: "pull-rate-falls",
  claim:
    "The rate at which the worker pulls from Kafka falls with every step of the work time that saturates it.",
  timing: true,
  judge(evidence): Finding {
    const { steps } = flowOf(evidence);
    const pairs = steps.flatMap((step, i) => {
      const before = steps[i - 1];
      return before !== undefined && step.saturated && step.workMs > before.workMs ? [{ step, before }] : [];
    });
    const flat = pairs.filter(
      ({ step, before }) => (step.pulled?.perSecond ?? 0) > fallsTo * (before.pulled?.perSecond ?? 0),
    );
    const base = {
      measured: flat.length,
      threshold: "= 0",
      unit: "steps without a fall",
      samples: pairs.length,
    };
    if (steps.some(({ pulled }) => pulled === undefined)) {
      return {
        ...base,
        measured: null,
        verdict: "unknown",
        detail: "The worker reached Kafka without the harness's proxy, so what it pulled was not seen.",
      };
    }
    const told = steps
      .map(({ workMs, pulled }) => `${workMs} ms: ${Math.round(pulled?.perSecond ?? 0)}/s`)
      .join(", ");
    if (flat.length > 0) {
      return {
        ...base,
        verdict: "fail",
        detail: `Pulled by work time: ${told}.`,
        offending: flat.map(
          ({ step, before }) =>
            `from ${before.workMs} to ${step.workMs} ms of work the pull rate went from ${rate(before.pulled)} to ${rate(step.pulled)}`,
        ),
        expected: "a worker that pulls no faster than it finishes",
        lookAt: "what the worker does with messages while all its places are taken: does it ask for more?",
      };
    }
    if (pairs.length < minSaturated) return { ...base, ...tooFewSaturated(pairs.length, told) };
    return { ...base, verdict: "pass", detail: `Pulled by work time: ${told}.` };
  },
};

export const pullMatchesFinish: Criterion = {
  id: "pull-matches-finish",
  claim:
    "In steady state the rate pulled from Kafka and the rate finished at the gateway agree within 5 %: the worker keeps nothing.",
  timing: true,
  judge(evidence): Finding {
    const { steps, finishedBetween } = flowOf(evidence);
    const saturated = steps.filter((step) => step.saturated);
    const [first, last] = [saturated[0], saturated.at(-1)];
    const base = { threshold: `<= ${agreementTolerance * 100}`, unit: "% apart", samples: saturated.length };
    if (first === undefined || last === undefined || saturated.length < minSaturated) {
      return { ...base, measured: null, ...tooFewSaturated(saturated.length, "") };
    }
    const inFlight = inFlightOverTime(evidence);
    const mean = (fromMs: number, toMs: number): number | undefined => {
      const looks = inFlight.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
      return looks.length === 0 ? undefined : looks.reduce((sum, one) => sum + one.events, 0) / looks.length;
    };
    const before = mean(first.fromMs, first.fromMs + agreementEdgeMs);
    const after = mean(last.endMs - agreementEdgeMs, last.endMs);
    const finished = finishedBetween(first.fromMs, last.endMs);
    if (before === undefined || after === undefined || finished === 0) {
      return { ...base, measured: null, verdict: "unknown", detail: "What the worker pulled was not seen." };
    }
    // What was pulled and not finished is what is in flight: by so much the two sums differ.
    const pulled = finished + after - before;
    const apart = Math.abs(pulled / finished - 1);
    const measured = Math.round(apart * 1_000) / 10;
    const detail =
      `From ${seconds(first.fromMs)} to ${seconds(last.endMs)}, with a backlog, ${Math.round(pulled)} events were pulled and ${finished} finished: ` +
      `${Math.round((pulled * 1_000) / (last.endMs - first.fromMs))} and ${Math.round((finished * 1_000) / (last.endMs - first.fromMs))} a second.`;
    if (apart <= agreementTolerance) return { ...base, measured, verdict: "pass", detail };
    return {
      ...base,
      measured,
      verdict: "fail",
      detail,
      expected: "a worker that pulls the next event when one is finished",
      lookAt: "where the events are that were pulled and not finished, or finished more than once",
    };
  },
};

export const rateMatchesCapacity: Criterion = {
  id: "rate-matches-capacity",
  claim:
    "In saturated steps the finished rate is concurrency / (work time + call overhead beside the load), within 15 %.",
  timing: true,
  judge: (evidence) =>
    capacityFinding(
      // The quickest step and the return to it are left to `recovers`.
      ratedSteps(flowOf(evidence)),
      {
        done: "finished",
        backlog: "there was a backlog",
        lookAt:
          "whether something other than free places decides when a call starts: a rate limit, a timer, a batch that waits for its slowest",
      },
    ),
};

export const recovers: Criterion = {
  id: "recovers",
  claim:
    "When the work time falls back, the rate is back within 5 s at 90 % of the first step's capacity, and the backlog drains.",
  timing: true,
  judge(evidence): Finding {
    const { steps, waitingAt, finishedBetween, concurrency, callOverheadMs } = flowOf(evidence);
    const first = steps[0];
    const last = steps.at(-1);
    const withinMs = recoversWithinMs + timerAllowanceMs(evidence.record.host);
    const base = { threshold: `<= ${withinMs}`, unit: "ms", samples: steps.length };
    if (first === undefined || last === undefined || steps.length < 2 || last.workMs > first.workMs) {
      return { ...base, measured: null, verdict: "unknown", detail: "The work time never fell back." };
    }
    if (waitingAt(last.startMs) < evidence.parameter("workerMaxInFlight")) {
      return { ...base, measured: null, verdict: "unknown", detail: "There was no backlog to work off." };
    }
    // With the overhead beside the load, like every capacity; before the load where too few calls tell it.
    const capacityPerSecond =
      first.capacityPerSecond ?? capacityOf(concurrency, first.servedMs, callOverheadMs);
    const wanted = (recoveredShare * capacityPerSecond * recoveryWindowMs) / 1_000;
    let measured: number | null = null;
    let best = 0;
    for (let at = last.startMs; at + recoveryWindowMs <= last.startMs + withinMs; at += 50) {
      const finished = finishedBetween(at, at + recoveryWindowMs);
      best = Math.max(best, finished);
      if (finished < wanted) continue;
      measured = Math.round(at + recoveryWindowMs - last.startMs);
      break;
    }
    const { drained, atMs } = evidence.record.settled;
    const told = `${waitingAt(last.startMs)} events waited when the work time fell back`;
    if (measured !== null && drained) {
      const detail = `${told}; ${measured} ms later half a second had held 90 % of the first step's capacity, and all was worked off at ${seconds(atMs)}.`;
      return { ...base, measured, verdict: "pass", detail };
    }
    return {
      ...base,
      measured,
      verdict: "fail",
      detail:
        `${told}; ` +
        (measured === null
          ? `the best half second held ${best} of the ${Math.ceil(wanted)} events that are 90 % of the first step's capacity`
          : `the rate was back after ${measured} ms`) +
        `; ${drained ? "the backlog drained" : `the backlog had not drained at ${seconds(atMs)}`}.`,
      expected: "a worker that goes as fast as its places allow again as soon as the work is quick again",
      lookAt:
        "what keeps the worker slow: an adapted limit, a session that was lost, a buffer that must be worked off first",
    };
  },
};

/** For labs with one worker: a rebalance shows as another state of the group, or as a member with a new id. */
export const noRebalance: Criterion = {
  id: "no-rebalance",
  claim: "The group never rebalanced: slow work did not cost the worker its session.",
  timing: true,
  judge(evidence): Finding {
    // A worker of several consumers may gather them while it warms up.
    const fromMs = evidence.phase(warmUp)?.endMs ?? 0;
    const samples = (evidence.record.groupSamples ?? []).filter(
      ({ atMs }) => atMs >= fromMs && atMs <= evidence.record.settled.atMs,
    );
    const first = samples[0];
    const signature = (one: { readonly members: readonly string[] }) => [...one.members].sort().join();
    const disturbed = samples.filter((one, i) => {
      const before = samples[i - 1] ?? first;
      return one.state !== "Stable" || (before !== undefined && signature(one) !== signature(before));
    });
    const base = {
      measured: disturbed.length,
      threshold: "= 0",
      unit: "looks at an unsettled or changed group",
      samples: samples.length,
    };
    if (disturbed.length > 0) {
      return {
        ...base,
        verdict: "fail",
        detail: `${disturbed.length} of ${samples.length} looks saw a group that was not stable, or had another member than the look before.`,
        offending: disturbed
          .slice(0, 3)
          .map(
            ({ atMs, state, members }) =>
              `at ${seconds(atMs)} the group was ${state} with ${members.length} members`,
          ),
        // Whatever others used: a host on which the harness itself never stood still for half a session could have sent
        // a heartbeat in time.
        inexcusable:
          evidence.record.host.duringRun.eventLoopDelayMs.max < evidence.parameter("sessionTimeoutMs") / 2,
        expected: "one member from beginning to end, in a stable group",
        lookAt: "whether the worker sends heartbeats while its work is slow",
      };
    }
    if (samples.length < minGroupLooks) {
      return {
        ...base,
        verdict: "unknown",
        detail: `Only ${samples.length} looks at the group (at least ${minGroupLooks}).`,
      };
    }
    return {
      ...base,
      verdict: "pass",
      detail: `${samples.length} looks, always stable and with the same member.`,
    };
  },
};

function tooFewSaturated(steps: number, told: string) {
  return {
    verdict: "unknown",
    detail: `Only ${steps} steps had a backlog throughout (at least ${minSaturated}). ${told === "" ? "" : `Seen: ${told}.`}`,
    lookAt: "whether the load is above the worker's capacity in the later steps",
  } as const;
}

const rate = (one: { readonly perSecond: number } | undefined) => `${Math.round(one?.perSecond ?? 0)}/s`;

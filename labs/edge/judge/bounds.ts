/** Judges of how fast the edge answers, how much it takes in, and what it keeps. */
import type { DrillCriterion } from "../../../harness/drill.ts";
import { timerAllowanceMs } from "../../../harness/verdict/host.ts";
import type { Finding } from "../../../harness/verdict/verdict.ts";
import { flowOf, quantile, type Step } from "./flow.ts";
import type { Seen } from "./observe.ts";

type Criterion = DrillCriterion<Seen>;

/** To say no costs no work: what is added to the host's own lateness is the way there and back. */
const refusalMs = 100;
/** A wait may be this much longer than the queue before it: arrivals and work are not evenly spread. */
const waitFactor = 1.5;
const waitSlackMs = 250;
/** Missed by so much, no host explains it: an answer without work, and one with. */
const inexcusably = { refusal: 4, wait: 2 };
const capacityTolerance = 0.15;
const minSaturated = 3;
const minSamples = 100;
const megabyte = 1_000_000;

export const refusesAtOnce: Criterion = {
  id: "refuses-at-once",
  claim: "While its places are taken the worker says no, and it says so at once: p99 of the refusals.",
  timing: true,
  judge(evidence): Finding {
    const { requests, duringKill } = flowOf(evidence);
    const limit = refusalMs + timerAllowanceMs(evidence.record.host);
    const waits = requests
      .filter((one) => one.status === 429 && !duringKill(one))
      .map(({ sentMs, answeredMs }) => (answeredMs ?? Number.POSITIVE_INFINITY) - sentMs);
    const p99 = quantile(waits, 0.99);
    const base = {
      measured: p99 === undefined ? null : Math.round(p99 * 10) / 10,
      threshold: `<= ${limit}`,
      unit: "ms (p99)",
      samples: waits.length,
    };
    if (p99 === undefined || waits.length < minSamples) {
      return {
        ...base,
        verdict: "unknown",
        detail: `Only ${waits.length} requests were refused (at least ${minSamples}).`,
      };
    }
    const detail = `${waits.length} requests were refused; half of them within ${(quantile(waits, 0.5) ?? 0).toFixed(1)} ms.`;
    if (p99 <= limit) return { ...base, verdict: "pass", detail };
    return {
      ...base,
      verdict: "fail",
      detail,
      inexcusable: p99 > inexcusably.refusal * limit,
      expected: "an answer that waits for nothing: no queue, no body, no work",
      lookAt: "what happens before the worker knows that there is no room",
    };
  },
};

export const answersInTime: Criterion = {
  id: "answers-in-time",
  claim: "Who is accepted waits for no more than the places before him: p99 of the 202s.",
  timing: true,
  judge(evidence): Finding {
    const { requests, duringKill, longestWaitMs, concurrency } = flowOf(evidence);
    const places = evidence.parameter("maxInFlight");
    const limit = Math.round(
      waitFactor * longestWaitMs + waitSlackMs + timerAllowanceMs(evidence.record.host),
    );
    // A request without an answer has waited for longer than anybody does.
    const asked = requests.filter(
      (one) =>
        one.malformation === undefined &&
        !duringKill(one) &&
        one.sentMs < evidence.seen.toldToStopMs &&
        (one.status === 202 || one.status === 0),
    );
    const waits = asked.map(({ sentMs, answeredMs }) => (answeredMs ?? Number.POSITIVE_INFINITY) - sentMs);
    const p99 = quantile(waits, 0.99);
    const base = {
      measured: p99 === undefined || !Number.isFinite(p99) ? null : Math.round(p99),
      threshold: `<= ${limit}`,
      unit: "ms (p99)",
      samples: waits.length,
    };
    if (p99 === undefined || waits.length < minSamples) {
      return {
        ...base,
        verdict: "unknown",
        detail: `Only ${waits.length} requests were accepted (at least ${minSamples}).`,
      };
    }
    const detail = `${places} places and ${concurrency} calls at once make a wait of up to ${Math.round(longestWaitMs)} ms at the slowest work time; half of those accepted waited ${Math.round(quantile(waits, 0.5) ?? 0)} ms.`;
    if (p99 <= limit) return { ...base, verdict: "pass", detail };
    const slow = asked
      .map(({ index, sentMs, answeredMs }) => ({
        index,
        sentMs,
        waitMs: (answeredMs ?? Number.POSITIVE_INFINITY) - sentMs,
      }))
      .sort((a, b) => b.waitMs - a.waitMs);
    return {
      ...base,
      verdict: "fail",
      detail,
      inexcusable: p99 > inexcusably.wait * limit,
      offending: slow
        .slice(0, 3)
        .map(({ index, sentMs, waitMs }) =>
          Number.isFinite(waitMs)
            ? `request ${index}, sent at ${(sentMs / 1_000).toFixed(1)} s, waited ${Math.round(waitMs)} ms`
            : `request ${index}, sent at ${(sentMs / 1_000).toFixed(1)} s, was never answered`,
        ),
      expected: "no more requests taken in than WORKER_MAX_IN_FLIGHT; the others are refused",
      lookAt: "where requests wait: who is not refused stands in a queue, whatever it is called",
    };
  },
};

export const rateMatchesCapacity: Criterion = {
  id: "rate-matches-capacity",
  claim:
    "While it refuses, the worker stores as much as its places allow: concurrency / (work time + call overhead), within 15 %.",
  timing: true,
  judge(evidence): Finding {
    const { steps } = flowOf(evidence);
    const shortestMs = Math.min(...steps.map(({ workMs }) => workMs));
    const saturated = steps.filter((step) => step.saturated && step.workMs > shortestMs);
    const off = (step: Step) => step.storedPerSecond / step.capacityPerSecond - 1;
    const worst = Math.max(0, ...saturated.map((step) => Math.abs(off(step))));
    const base = {
      measured: saturated.length === 0 ? null : Math.round(worst * 1_000) / 10,
      threshold: `<= ${capacityTolerance * 100}`,
      unit: "% from capacity (worst step)",
      samples: saturated.length,
    };
    const told = saturated
      .map(
        (step) =>
          `${step.workMs} ms: ${Math.round(step.storedPerSecond)} of ${Math.round(step.capacityPerSecond)}/s`,
      )
      .join(", ");
    const wrong = saturated.filter((step) => Math.abs(off(step)) > capacityTolerance);
    if (wrong.length > 0) {
      return {
        ...base,
        verdict: "fail",
        detail: `Stored of possible by work time: ${told}.`,
        offending: wrong.map(
          (step) =>
            `with ${step.workMs} ms of work ${Math.round(step.storedPerSecond)}/s were stored and ${Math.round(step.refusedPerSecond)}/s refused; the places allow ${Math.round(step.capacityPerSecond)}/s`,
        ),
        expected: "every place at work for as long as anybody is refused",
        lookAt: "whether something other than free places decides who is refused",
      };
    }
    if (saturated.length < minSaturated) {
      return {
        ...base,
        verdict: "unknown",
        detail: `Only ${saturated.length} steps refused anybody (at least ${minSaturated}).`,
      };
    }
    return { ...base, verdict: "pass", detail: `Stored of possible by work time: ${told}.` };
  },
};

/** Needs the numbers "offeredBytes" and "rssGrowthBytes". */
export const boundedMemory: Criterion = {
  id: "bounded-memory",
  claim: "The worker's memory stays bounded, however much more is sent than it can store.",
  judge(evidence): Finding {
    const needed = evidence.parameter("offeredBytes");
    const limit = evidence.parameter("rssGrowthBytes");
    const { steps, requests, storedMs, messageBytes } = flowOf(evidence);
    const killedMs =
      evidence.record.faults.find(({ kind }) => kind === "kill-worker")?.startMs ?? Number.POSITIVE_INFINITY;
    const { fromMs = 0, endMs = 0 } = steps[0] ?? {};
    const samples = evidence.record.workers[0]?.samples ?? [];
    const before = samples
      .filter(({ atMs }) => atMs >= fromMs && atMs < endMs)
      .map(({ rssBytes }) => rssBytes);
    const after = samples.filter(({ atMs }) => atMs >= endMs && atMs < killedMs);
    const baseline = quantile(before, 0.5);
    const sent = requests.filter(
      ({ malformation, sentMs }) => malformation === undefined && sentMs < killedMs,
    ).length;
    const excess = (sent - storedMs.filter((at) => at < killedMs).length) * messageBytes;
    const base = { threshold: `< ${limit / megabyte}`, unit: "MB of growth", samples: after.length };
    if (baseline === undefined || after.length === 0) {
      return { ...base, measured: null, verdict: "unknown", detail: "The worker's memory was not seen." };
    }
    const growth = Math.max(...after.map(({ rssBytes }) => rssBytes)) - baseline;
    const measured = Math.round(growth / megabyte);
    const detail = `Resident memory was ${Math.round(baseline / megabyte)} MB in the first step and ${measured} MB more at most after it, while ${Math.round(excess / megabyte)} MB were sent that could not be stored.`;
    if (growth >= limit) {
      return {
        ...base,
        measured,
        verdict: "fail",
        detail,
        expected: "what there is no place for stays with its sender",
        lookAt: "what the worker keeps of a request for which there is no place",
      };
    }
    return { ...base, measured, verdict: excess >= needed ? "pass" : "unknown", detail };
  },
};

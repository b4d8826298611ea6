/** Judges of how fast the edge answers, how much it takes in, and what it keeps. */
import type { DrillCriterion } from "../../../harness/drill.ts";
import { capacityFinding } from "../../../harness/verdict/capacity.ts";
import { timerAllowanceMs } from "../../../harness/verdict/host.ts";
import { areStandstills, standstillWords } from "../../../harness/verdict/standstill.ts";
import type { Finding } from "../../../harness/verdict/verdict.ts";
import { flowOf, quantile } from "./flow.ts";
import type { Seen } from "./observe.ts";

type Criterion = DrillCriterion<Seen>;

/** To say no costs no work: what is added to the host's own lateness is the way there and back. */
const refusalMs = 100;
/** A client later than a quarter of that cannot tell so short a wait. */
const maxClientLateMs = refusalMs / 4;
/** A wait of so many times the limit is none of the client's. */
const beyondClient = 10;
/** A wait may be this much longer than the queue before it: arrivals and work are not evenly spread. */
const waitFactor = 1.5;
const waitSlackMs = 250;
/** A wait of so many times the limit is a queue, and no host's doing. */
const inexcusably = 2;
const minSamples = 100;
const megabyte = 1_000_000;

export const refusesAtOnce: Criterion = {
  id: "refuses-at-once",
  claim: "While its places are taken the worker says no, and it says so at once: p99 of the refusals.",
  timing: true,
  judge(evidence): Finding {
    const { requests, isTimed, clientLateMs } = flowOf(evidence);
    const limit = refusalMs + timerAllowanceMs(evidence.record.host);
    const refusals = requests
      .filter((one) => one.status === 429 && isTimed(one))
      .map(({ sentMs, answeredMs }) => ({ dueMs: sentMs, cameMs: answeredMs ?? Number.POSITIVE_INFINITY }));
    const waits = refusals.map(({ dueMs, cameMs }) => cameMs - dueMs);
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
    if (clientLateMs > maxClientLateMs && p99 <= beyondClient * limit) {
      return {
        ...base,
        verdict: "unknown",
        detail: `${detail} The client itself sent 1 of 100 requests ${Math.round(clientLateMs)} ms late or more (at most ${maxClientLateMs} ms): it cannot tell so short a wait.`,
        lookAt: "Close other programs.",
      };
    }
    const late = refusals.filter(({ dueMs, cameMs }) => cameMs - dueMs > limit);
    if (areStandstills(late)) return { ...base, verdict: "unknown", detail: `${detail} ${standstillWords}` };
    return {
      ...base,
      verdict: "fail",
      detail,
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
    const { requests, isTimed, longestWaitMs, concurrency } = flowOf(evidence);
    const places = evidence.parameter("maxInFlight");
    const limit = Math.round(
      waitFactor * longestWaitMs + waitSlackMs + timerAllowanceMs(evidence.record.host),
    );
    // A request without an answer has waited for longer than anybody does.
    const asked = requests.filter(
      (one) =>
        one.malformation === undefined &&
        isTimed(one) &&
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
      inexcusable: p99 > inexcusably * limit,
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
  judge: (evidence) =>
    capacityFinding(flowOf(evidence).steps, {
      done: "stored",
      backlog: "somebody was refused",
      lookAt: "whether something other than free places decides who is refused",
    }),
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

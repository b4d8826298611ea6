/** Judges of what the edge promised to whom, and whether it was kept. */
import type { DrillCriterion } from "../../../harness/drill.ts";
import { concurrencyOf } from "../../../harness/verdict/gateway.ts";
import type { Finding } from "../../../harness/verdict/verdict.ts";
import { type EdgeEvidence, flowOf, type Request } from "./flow.ts";
import type { Seen } from "./observe.ts";

type Criterion = DrillCriterion<Seen>;

/** Client and gateway are two processes: their clocks were set by the same one, and drift by less than this. */
const clocksMs = 25;
const minOffered = 0.95;
/** A request that was sent so long after its time was not part of the load it was meant for. */
const graceMs = 250;
const exitWithinMs = 10_000;
const shown = 5;

const seconds = (ms: number) => `${(ms / 1_000).toFixed(2)} s`;
const told = ({ index, sentMs, status }: Request) =>
  `request ${index}, sent at ${seconds(sentMs)}, ${status === 0 ? "had no answer" : `was answered ${status}`}`;
const isTaken = ({ status }: Request) => status === 202;
/** Requests that say nothing of the worker: it was killed in the middle of them, or told to stop before them. */
const isExcused = (evidence: EdgeEvidence, one: Request) =>
  flowOf(evidence).duringKill(one) ||
  one.sentMs >= evidence.seen.toldToStopMs ||
  // On its way when the order to stop came.
  (one.status === 503 && (one.answeredMs ?? 0) >= evidence.seen.toldToStopMs);

export const loadOffered: Criterion = {
  id: "load-offered",
  claim: "Requests were sent at their rate in every phase, whatever became of those before.",
  judge(evidence): Finding {
    const { requests } = flowOf(evidence);
    const planned = evidence.seen.requests.sentMs.length;
    let worst = { share: 1, name: "" };
    let first = 0;
    for (const { name, startMs, endMs, perSecond } of evidence.record.phases) {
      const count = Math.round(((endMs - startMs) / 1_000) * perSecond);
      const inTime = requests.filter(
        ({ index, sentMs }) => index >= first && index < first + count && sentMs <= endMs + graceMs,
      ).length;
      if (inTime / count <= worst.share) worst = { share: inTime / count, name };
      first += count;
    }
    const isOffered = worst.share >= minOffered;
    return {
      verdict: isOffered ? "pass" : "unknown",
      measured: Math.floor(worst.share * 1_000) / 10,
      threshold: `>= ${minOffered * 100}`,
      unit: "% of offered",
      samples: planned,
      detail: `${requests.length} of ${planned} requests were sent; lowest share in phase "${worst.name}".`,
      ...(isOffered ? {} : { lookAt: "Close other programs, or use --profile quick." }),
    };
  },
};

export const lossless: Criterion = {
  id: "lossless",
  claim:
    "What was answered 202 was stored by then, also when the worker was killed; what was refused was not stored.",
  judge(evidence): Finding {
    const { requests } = flowOf(evidence);
    const taken = requests.filter(isTaken);
    const refused = requests.filter(({ status }) => status >= 400);
    const lost = taken.filter(({ storedMs }) => storedMs === undefined);
    const early = taken.filter(
      ({ storedMs, answeredMs }) => storedMs !== undefined && storedMs > (answeredMs ?? 0) + clocksMs,
    );
    // A worker that stops may say 503 to what it cannot finish in time, and finish it all the same.
    const both = refused.filter(({ storedMs, status }) => storedMs !== undefined && status !== 503);
    const killed = evidence.record.faults.find(({ kind }) => kind === "kill-worker");
    const inFlight = requests.filter(
      ({ sentMs, storedMs, status }) =>
        killed !== undefined && sentMs < killed.startMs && (status === 0 || (storedMs ?? 0) > killed.startMs),
    ).length;
    const base = {
      measured: lost.length + early.length + both.length,
      threshold: "= 0",
      unit: "answers that were not true",
      samples: taken.length + refused.length,
    };
    if (taken.length === 0) return { ...base, verdict: "unknown", detail: "Nothing was accepted." };
    if (base.measured > 0) {
      return {
        ...base,
        verdict: "fail",
        detail:
          `Of ${taken.length} events that were answered 202, ${lost.length} were never stored and ${early.length} only after the answer; ` +
          `of ${refused.length} that were refused, ${both.length} were stored all the same.`,
        offending: [
          ...lost.map((one) => `${told(one)}, and was never stored`),
          ...early.map(
            (one) =>
              `${told(one)} at ${seconds(one.answeredMs ?? 0)}, and stored at ${seconds(one.storedMs ?? 0)}`,
          ),
          ...both.map((one) => `${told(one)}, and stored at ${seconds(one.storedMs ?? 0)}`),
        ].slice(0, shown),
        expected: "202 when the event is stored, and not before",
        lookAt: "what the worker still has to do when it says 202, and where the event is if it dies then",
      };
    }
    if (inFlight === 0) {
      return { ...base, verdict: "unknown", detail: "Nothing was in flight when the worker was killed." };
    }
    return {
      ...base,
      verdict: "pass",
      detail: `${taken.length} accepted, all of them stored before the answer; ${refused.length} refused, none of them stored. ${inFlight} were in flight when the worker was killed: none of them had been told 202.`,
    };
  },
};

export const answersAll: Criterion = {
  id: "answers-all",
  claim:
    "Every request is answered: 202, or 429 with Retry-After; 400 and 413 to what is no event. Nothing else, and never nothing.",
  judge(evidence): Finding {
    const judged = flowOf(evidence).requests.filter(
      (one) => one.malformation === undefined && !isExcused(evidence, one),
    );
    const wrong = judged.filter(
      ({ status, retryAfterSeconds }) =>
        !(status === 202 || (status === 429 && retryAfterSeconds !== null && retryAfterSeconds >= 1)),
    );
    const count = (status: number) => judged.filter((one) => one.status === status).length;
    const base = {
      measured: wrong.length,
      threshold: "= 0",
      unit: "requests without a proper answer",
      samples: judged.length,
    };
    const said = `${judged.length} events offered: ${count(202)} accepted, ${count(429)} refused with 429.`;
    if (wrong.length > 0) {
      return {
        ...base,
        verdict: "fail",
        detail: `${said} ${wrong.length} had another answer, a 429 without Retry-After, or none at all.`,
        offending: wrong.slice(0, shown).map(told),
        expected: "202 or 429 with Retry-After in whole seconds, for every event",
        lookAt: "what becomes of a request for which there is no place",
      };
    }
    return { ...base, verdict: judged.length === 0 ? "unknown" : "pass", detail: said };
  },
};

export const badRequests: Criterion = {
  id: "bad-requests",
  claim:
    "What is no event is answered 400, what is too large 413, and neither is stored nor breaks anything.",
  judge(evidence): Finding {
    const bad = flowOf(evidence).requests.filter(
      (one) => one.malformation !== undefined && !isExcused(evidence, one) && one.status !== 429,
    );
    const wrong = bad.filter(({ malformation, status, storedMs }) => {
      const expected = malformation === "oversized" ? 413 : 400;
      return status !== expected || storedMs !== undefined;
    });
    const { strangers } = evidence.seen.gateway;
    const base = {
      measured: wrong.length + strangers.length,
      threshold: "= 0",
      unit: "bad requests let through",
      samples: bad.length,
    };
    if (base.measured > 0) {
      return {
        ...base,
        verdict: "fail",
        detail: `${wrong.length} of ${bad.length} bad requests were not told so; ${strangers.length} calls at the gateway were for no event of this run.`,
        offending: wrong.slice(0, shown).map((one) => `${one.malformation}: ${told(one)}`),
        expected: "400 for what cannot be read, 413 for what is longer than an event may be",
        lookAt: "what is checked before an event is taken in",
      };
    }
    const tooFew = bad.length === 0;
    return {
      ...base,
      verdict: tooFew ? "unknown" : "pass",
      detail: tooFew
        ? "No bad request found a free place."
        : `${bad.length} bad requests, each told why; those that came when there was no place were told 429.`,
    };
  },
};

export const boundedConcurrency: Criterion = {
  id: "bounded-concurrency",
  claim: "Gateway calls at once never exceeded WORKER_CONCURRENCY.",
  judge: ({ seen, parameter }) => concurrencyOf(seen.gateway.attempts, parameter("concurrency")),
};

export const drains: Criterion = {
  id: "drains",
  claim:
    "After SIGTERM every request that was sent before it got its answer, and the process ended with 0 within 10 s.",
  judge(evidence): Finding {
    const { toldToStopMs, stoppedMs } = evidence.seen;
    const { requests, duringKill, longestWaitMs } = flowOf(evidence);
    const open = requests.filter(
      (one) =>
        one.sentMs < toldToStopMs &&
        // Who had no answer long before it was not cut off by it.
        one.sentMs >= toldToStopMs - 2 * longestWaitMs &&
        !duringKill(one) &&
        (one.answeredMs === null || one.answeredMs >= toldToStopMs),
    );
    const cutOff = open.filter(({ status }) => status === 0);
    const exit = evidence.record.workers.at(-1)?.exit;
    const tookMs = Math.round(stoppedMs - toldToStopMs);
    const isClean = exit?.code === 0 && tookMs <= exitWithinMs;
    const base = {
      measured: cutOff.length,
      threshold: "= 0",
      unit: "requests cut off",
      samples: open.length,
    };
    const how = exit?.signal ?? `exit code ${exit?.code}`;
    if (cutOff.length > 0 || !isClean) {
      return {
        ...base,
        verdict: "fail",
        detail: `${open.length} requests were open at SIGTERM; ${cutOff.length} of them never got an answer. The process ended with ${how} after ${tookMs} ms.`,
        offending: cutOff.slice(0, shown).map(told),
        expected: "what was taken in is finished and answered, then exit 0",
        lookAt: "what the worker does on SIGTERM with requests that it has not answered",
      };
    }
    if (open.length === 0) return { ...base, verdict: "unknown", detail: "No request was open at SIGTERM." };
    return {
      ...base,
      verdict: "pass",
      detail: `${open.length} requests were open at SIGTERM; all were answered, and the process ended with 0 after ${tookMs} ms.`,
    };
  },
};

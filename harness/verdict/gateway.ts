/** Judges of what reached the downstream service. */
import type { Criterion } from "../lab.ts";
import type { GatewayRecord } from "../record/record.ts";
import { describe, isUnread, seconds } from "./delivery.ts";
import { gatewayOf } from "./flow.ts";
import { unfitness } from "./host.ts";
import type { Finding } from "./verdict.ts";

const shown = 5;

/** `lossless` for labs in which the effect of an event is a call that the gateway accepted. */
export const everyEventAccepted: Criterion = {
  id: "lossless",
  claim: "Every acknowledged event was accepted by the gateway, and nothing that was never sent.",
  judge(evidence) {
    const { attempts, strangers } = gatewayOf(evidence);
    const times = new Uint16Array(evidence.planned);
    let foreign = 0;
    for (const [i, message] of attempts.message.entries()) {
      if (message < 0) foreign += 1;
      else if (attempts.status[i] === 200) times[message] = (times[message] ?? 0) + 1;
    }
    const missing: number[] = [];
    let acknowledged = 0;
    let unread = 0;
    let again = 0;
    for (let i = 0; i < evidence.planned; i += 1) {
      if (!evidence.acknowledged(i)) continue;
      acknowledged += 1;
      if ((times[i] ?? 0) > 1) again += 1;
      if ((times[i] ?? 0) > 0) continue;
      missing.push(i);
      if (isUnread(evidence, i)) unread += 1;
    }
    const base = {
      measured: missing.length + foreign,
      threshold: "= 0",
      unit: "events missing or unaccounted",
      samples: acknowledged,
    };
    if (acknowledged === 0) return { ...base, verdict: "unknown", detail: "No event was acknowledged." };
    if (base.measured === 0) {
      const more = again === 0 ? "" : ` ${again} of them more than once.`;
      return { ...base, verdict: "pass", detail: `All ${acknowledged} events were accepted.${more}` };
    }
    // Only unread: the worker was too slow, and whether that is its fault the host decides.
    const unfit = foreign === 0 && missing.length === unread ? unfitness(evidence.record.host) : undefined;
    return {
      ...base,
      verdict: unfit === undefined ? "fail" : "unknown",
      detail:
        (unfit === undefined ? "" : `This cannot be held against the worker: ${unfit}. `) +
        `${missing.length} events were never accepted (${missing.length - unread} of them below the committed offset: ` +
        `lost for good; ${unread} not yet committed when the run ended), ${foreign} calls were for no event of this run.`,
      offending: [
        ...missing.slice(0, shown).map((i) => `${describe(evidence, i)} never reached the gateway`),
        ...strangers.map((eventId) => `a call for ${JSON.stringify(eventId)}, which was never sent`),
      ],
      expected: "one accepted call for each event, and no offset committed before it",
      lookAt:
        missing.length > unread
          ? "what the worker does with an event for which there is no free place"
          : "whether the worker still runs and keeps up: the events are on the broker, unread",
    };
  },
};

export const boundedConcurrency: Criterion = {
  id: "bounded-concurrency",
  claim: "Gateway calls at once never exceeded WORKER_CONCURRENCY.",
  judge: (evidence) => concurrencyOf(gatewayOf(evidence).attempts, evidence.parameter("workerConcurrency")),
};

/** Whether calls at once stayed within the limit. */
export function concurrencyOf(attempts: GatewayRecord["attempts"], limit: number): Finding {
  const over: number[] = [];
  let most = 0;
  for (const [i, open] of attempts.open.entries()) {
    if (open > limit) over.push(i);
    most = Math.max(most, open);
  }
  const base = {
    measured: most,
    threshold: `<= ${limit}`,
    unit: "calls at once",
    samples: attempts.open.length,
  };
  if (base.samples === 0) return { ...base, verdict: "unknown", detail: "The worker made no call." };
  if (over.length === 0) {
    // A worker that never used its places was never tempted to take more.
    return most < limit
      ? {
          ...base,
          verdict: "unknown",
          detail: `Never more than ${most} calls were open: the bound was not put to the test.`,
        }
      : { ...base, verdict: "pass", detail: `${base.samples} calls; at most ${most} were open at once.` };
  }
  return {
    ...base,
    verdict: "fail",
    detail: `${over.length} of ${base.samples} calls came while ${limit} or more were open; at most ${most} were.`,
    offending: over
      .slice(0, shown)
      .map((i) => `at ${seconds(attempts.arrivedMs[i] ?? 0)} a call was one of ${attempts.open[i]}`),
    expected: `at most ${limit} calls at once, however many events wait`,
    lookAt:
      "what decides how many calls are started: the number of events at hand, or the number of free places",
  };
}

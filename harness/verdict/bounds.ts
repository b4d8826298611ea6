/** Judges of what a worker keeps while its work is slow: messages in flight, and memory. */
import type { Criterion } from "../lab.ts";
import { seconds } from "./delivery.ts";
import type { Evidence } from "./evidence.ts";
import { flowOf } from "./flow.ts";
import { lagOverTime } from "./timing.ts";
import type { Finding } from "./verdict.ts";

/** What a client library may hold beside the worker's own in-flight messages: one fetch. */
const fetchBytes = 2_000_000;
const minLooks = 20;
const megabyte = 1_000_000;

export const boundedInFlight: Criterion = {
  id: "bounded-in-flight",
  claim: "Events pulled and not finished never exceeded WORKER_MAX_IN_FLIGHT and one fetch of the client.",
  // Events that are told from bytes: a load that stutters changes how many bytes are fetched twice.
  timing: true,
  judge(evidence): Finding {
    const { messageBytes, isPulledCounted } = flowOf(evidence);
    const inFlight = inFlightOverTime(evidence);
    const own = evidence.parameter("workerMaxInFlight");
    const limit = own + Math.ceil(fetchBytes / messageBytes);
    const most = inFlight.reduce((top, one) => (one.events > top.events ? one : top), { atMs: 0, events: 0 });
    const base = {
      measured: Math.round(most.events),
      threshold: `<= ${limit}`,
      unit: "events",
      samples: inFlight.length,
    };
    const told = `At most ${Math.round(most.events)} events were pulled and not finished, at ${seconds(most.atMs)}; ${own} are the worker's, the rest are ${fetchBytes / megabyte} MB of one fetch.`;
    if (inFlight.length < minLooks) {
      return { ...base, measured: null, verdict: "unknown", detail: "What the worker pulled was not seen." };
    }
    if (most.events <= limit) return { ...base, verdict: "pass", detail: told };
    return {
      ...base,
      verdict: "fail",
      detail: told,
      inexcusable: isPulledCounted,
      offending: inFlight
        .filter(({ events }) => events > limit)
        .slice(0, 3)
        .map(({ atMs, events }) => `${Math.round(events)} events at ${seconds(atMs)}`),
      expected: "the backlog stays on the broker, which is made for it",
      lookAt: "what the worker keeps in memory between pulling and finishing: lists, queues, promises",
    };
  },
};

/** Needs the parameters "backlogBytes" and "rssGrowthBytes". */
export const boundedMemory: Criterion = {
  id: "bounded-memory",
  claim: "The worker's memory stays bounded while the backlog on the broker grows.",
  judge(evidence): Finding {
    const needed = evidence.parameter("backlogBytes");
    const limit = evidence.parameter("rssGrowthBytes");
    const { steps, messageBytes } = flowOf(evidence);
    const { fromMs: firstFromMs = 0, endMs: firstEndMs = 0 } = steps[0] ?? {};
    const rss = evidence.record.workers.flatMap(({ samples }) => samples);
    const before = rss
      .filter(({ atMs }) => atMs >= firstFromMs && atMs < firstEndMs)
      .map(({ rssBytes }) => rssBytes)
      .sort((a, b) => a - b);
    const after = rss.filter(({ atMs }) => atMs >= firstEndMs && atMs <= evidence.record.settled.atMs);
    const baseline = before[before.length >> 1];
    const highest = after.reduce((top, one) => Math.max(top, one.rssBytes), 0);
    const backlog =
      lagOverTime(evidence).reduce((top, one) => Math.max(top, one.lagMessages), 0) * messageBytes;
    const base = { threshold: `< ${limit / megabyte}`, unit: "MB of growth", samples: after.length };
    if (baseline === undefined || after.length === 0) {
      return { ...base, measured: null, verdict: "unknown", detail: "The worker's memory was not seen." };
    }
    const growth = highest - baseline;
    const measured = Math.round(growth / megabyte);
    const told = `Resident memory was ${mb(baseline)} in the first step and at most ${mb(highest)} after it, while up to ${mb(backlog)} waited on the broker`;
    if (growth >= limit) {
      return {
        ...base,
        measured,
        verdict: "fail",
        detail: `${told}.`,
        expected: "memory that does not depend on how much waits",
        lookAt: "what the worker keeps of messages it has no place for yet",
      };
    }
    if (backlog < needed) {
      return {
        ...base,
        measured,
        verdict: "unknown",
        detail: `${told}: less than the ${mb(needed)} that put it to the test.`,
      };
    }
    return { ...base, measured, verdict: "pass", detail: `${told}.` };
  },
};

/** Events pulled and not finished, at each look at the proxy during the load and the settling. */
export function inFlightOverTime(evidence: Evidence): { atMs: number; events: number }[] {
  const { pulled, finishedBetween } = flowOf(evidence);
  return pulled
    .filter(({ atMs }) => atMs >= 0 && atMs <= evidence.record.settled.atMs)
    .map(({ atMs, events }) => ({ atMs, events: events - finishedBetween(0, atMs) }));
}

const mb = (bytes: number) => `${Math.round(bytes / megabyte)} MB`;

/** Judges of the stages: who got what, in which order, at whose pace. */
import type { DrillCriterion, DrillEvidence } from "../../../harness/drill.ts";
import type { Finding } from "../../../harness/verdict/verdict.ts";
import type { Seen, SeenRound } from "./observe.ts";
import { keyOf, type Round, roundsOf } from "./rounds.ts";

type Criterion = DrillCriterion<Seen>;
export type StagesEvidence = DrillEvidence<Seen>;

const shown = 5;
const fairShare = 0.15;
/** So much longer than the consumers' own speed allows, for the calls between. */
const mayTake = 1.5;
/** Of a round's events: at its very end a slow consumer still holds some, which nobody can take from it. */
const judgedShare = 0.9;
const inexcusably = 2;

/** A round as it was planned and as it was played; undefined when it was not. */
export function played(
  evidence: StagesEvidence,
  name: string,
): { readonly round: Round; readonly seen: SeenRound } | undefined {
  const round = roundsOf(evidence.parameter("unit")).find((one) => one.name === name);
  const seen = evidence.seen.rounds.find((one) => one.name === name);
  return round === undefined || seen === undefined ? undefined : { round, seen };
}

export interface Work {
  readonly consumer: number;
  readonly event: number;
  readonly fromMs: number;
  readonly toMs: number;
}

/** In the order in which it was begun. */
export function workOf({ handled }: SeenRound): Work[] {
  return handled.event.map((event, i) => ({
    event,
    consumer: handled.consumer[i] ?? 0,
    fromMs: handled.fromMs[i] ?? 0,
    toMs: handled.toMs[i] ?? 0,
  }));
}

const notPlayed = (name: string, base: Omit<Finding, "verdict" | "detail">): Finding => ({
  ...base,
  verdict: "unknown",
  detail: `Round ${name} was not played to its end.`,
});

export const lossless: Criterion = {
  id: "lossless",
  claim: "Where each event is for one consumer, each was handled once, and the last round was reached.",
  judge(evidence): Finding {
    const offending: string[] = [];
    let samples = 0;
    for (const { name, dispatch, events } of roundsOf(evidence.parameter("unit"))) {
      const seen = evidence.seen.rounds.find((one) => one.name === name);
      if (seen === undefined || !seen.finished) offending.push(`round ${name} was not played to its end`);
      if (seen === undefined || dispatch === "broadcast") continue;
      const times = new Uint16Array(events);
      for (const event of seen.handled.event) {
        if (event >= 0 && event < events) times[event] = (times[event] ?? 0) + 1;
        else offending.push(`round ${name}: there is no event ${event}`);
      }
      samples += events;
      for (const [event, count] of times.entries()) {
        if (count !== 1) offending.push(`round ${name}: event ${event} was handled ${count} times`);
      }
    }
    const base = { measured: offending.length, threshold: "= 0", unit: "events lost or repeated", samples };
    if (offending.length === 0)
      return { ...base, verdict: "pass", detail: `${samples} events, each handled once.` };
    return {
      ...base,
      verdict: "fail",
      detail: `${offending.length} complaints in ${evidence.seen.rounds.length} rounds.`,
      offending: offending.slice(0, shown),
      expected: "every event that was fetched goes to one consumer, and the round ends when all are handled",
      lookAt:
        "what becomes of events for which there was no demand, and of those in hand when the producer ends",
    };
  },
};

/** Asked of the source and not yet handled, after each ask. */
export function outstanding({
  round,
  seen,
}: {
  readonly round: Round;
  readonly seen: SeenRound;
}): { atMs: number; events: number }[] {
  const work = workOf(seen);
  const consumers = round.workMs.map((_, consumer) =>
    work.filter((one) => one.consumer === consumer).map(({ toMs }) => toMs),
  );
  let asked = 0;
  return seen.asks.map(({ atMs, count }) => {
    asked += count;
    const done = consumers.map((times) => times.filter((toMs) => toMs <= atMs).length);
    // A broadcast event is done with when the last of them is.
    const finished =
      round.dispatch === "broadcast" ? Math.min(...done) : done.reduce((sum, one) => sum + one, 0);
    return { atMs, events: asked - finished };
  });
}

/** What may be outstanding: a broadcast goes at the pace of the slowest, so there it is what one may hold. */
export const boundOf = ({ dispatch, workMs }: Round, maxDemand: number): number =>
  dispatch === "broadcast" ? maxDemand : workMs.length * maxDemand;

export const demandBounded: Criterion = {
  id: "demand-bounded",
  claim:
    "Never was more asked of the source, and not yet handled, than the consumers may hold: MAX_DEMAND each.",
  judge(evidence): Finding {
    const maxDemand = evidence.parameter("maxDemand");
    const offending: string[] = [];
    let samples = 0;
    let worst = { share: 0, name: "", events: 0, bound: 0 };
    for (const { name } of evidence.seen.rounds) {
      const one = played(evidence, name);
      if (one === undefined) continue;
      const bound = boundOf(one.round, maxDemand);
      for (const { atMs, events } of outstanding(one)) {
        samples += 1;
        if (events / bound > worst.share) worst = { share: events / bound, name, events, bound };
        if (events > bound)
          offending.push(`round ${name}: ${events} at ${(atMs / 1_000).toFixed(2)} s, ${bound} may be`);
      }
    }
    const base = {
      measured: Math.round(worst.share * 100),
      threshold: "<= 100",
      unit: "% of what may be held",
      samples,
    };
    const detail = `At most ${worst.events} events of ${worst.bound} that may be were asked for and not handled (round ${worst.name}).`;
    if (samples === 0)
      return { ...base, measured: null, verdict: "unknown", detail: "Nothing was ever asked for." };
    if (offending.length === 0) return { ...base, verdict: "pass", detail };
    return {
      ...base,
      verdict: "fail",
      detail,
      offending: offending.slice(0, shown),
      expected: "demand that follows the work: asked again when a part of it is done",
      lookAt: "how much a consumer asks for, and who adds it up",
    };
  },
};

export const fairShares: Criterion = {
  id: "fair-share",
  claim: "Consumers that are equally fast get equally much, within 15 %.",
  timing: true,
  judge(evidence): Finding {
    const base = { measured: null, threshold: `<= ${fairShare * 100}`, unit: "% from a third", samples: 0 };
    const one = played(evidence, "three");
    if (one === undefined || !one.seen.finished) return notPlayed("three", base);
    const { round, seen } = one;
    const counts = round.workMs.map(
      (_, consumer) => seen.handled.consumer.filter((who) => who === consumer).length,
    );
    const fair = seen.handled.event.length / counts.length;
    const worst = Math.max(...counts.map((count) => Math.abs(count / fair - 1)));
    const finding = { ...base, measured: Math.round(worst * 1_000) / 10, samples: seen.handled.event.length };
    const detail = `Of ${seen.handled.event.length} events the consumers got ${counts.join(", ")}.`;
    if (worst <= fairShare) return { ...finding, verdict: "pass", detail };
    return {
      ...finding,
      verdict: "fail",
      detail,
      inexcusable: worst > 2 * inexcusably * fairShare,
      expected:
        "the consumer with the most demand, which is the one that has waited longest, gets the next events",
      lookAt: "who is served first when several wait",
    };
  },
};

export const slowHoldsUpNobody: Criterion = {
  id: "slow-holds-up-nobody",
  claim:
    "With a slow consumer among fast ones each gets what it can do: 90 % of the events are handled in at most 1.5 times the time that takes.",
  timing: true,
  judge(evidence): Finding {
    const base = { measured: null, threshold: `<= ${mayTake}`, unit: "times the time", samples: 0 };
    const one = played(evidence, "slow");
    if (one === undefined) return notPlayed("slow", base);
    const { round, seen } = one;
    const work = workOf(seen);
    const perMs = round.workMs.reduce((sum, workMs) => sum + 1 / workMs, 0);
    const wanted = Math.ceil(judgedShare * round.events);
    const idealMs = wanted / perMs;
    const ends = work.map(({ toMs }) => toMs).sort((a, b) => a - b);
    const doneMs = (ends[wanted - 1] ?? seen.endMs) - seen.startMs;
    const counts = round.workMs.map((_, consumer) => work.filter((who) => who.consumer === consumer).length);
    const measured = Math.round((doneMs / idealMs) * 100) / 100;
    const finding = { ...base, measured, samples: work.length };
    const detail = `Consumers of ${round.workMs.join(", ")} ms an event got ${counts.join(", ")}; ${wanted} events took ${Math.round(doneMs)} ms, and at full speed ${Math.round(idealMs)} ms.`;
    if (doneMs <= mayTake * idealMs) return { ...finding, verdict: "pass", detail };
    const aloneShare = shareTakenAlone(evidence);
    if (doneMs <= mayTake * aloneShare * idealMs) {
      return {
        ...finding,
        verdict: "unknown",
        detail: `${detail} One consumer alone, whom nobody holds up, took ${aloneShare.toFixed(2)} times its time too: the calls between cost too much to tell.`,
        lookAt: "Close other programs.",
      };
    }
    return {
      ...finding,
      verdict: "fail",
      detail,
      inexcusable: doneMs > inexcusably * mayTake * idealMs,
      expected: "fast consumers that never wait for a slow one",
      lookAt: "who decides whose turn it is: a fixed order, or demand",
    };
  },
};

/** Of the time that its work takes, what a consumer alone took: how much longer the calls between make it. */
function shareTakenAlone(evidence: StagesEvidence): number {
  const alone = played(evidence, "one");
  const workMs = alone?.round.workMs[0];
  if (alone === undefined || workMs === undefined) return 1;
  const { startMs, endMs } = alone.seen;
  return Math.max(1, (endMs - startMs) / (alone.round.events * workMs));
}

export const everyEventToEverySubscriber: Criterion = {
  id: "every-event-to-every-subscriber",
  claim: "A broadcast event is handled by every subscriber, once and in order.",
  judge(evidence): Finding {
    const base = {
      measured: null,
      threshold: "= 0",
      unit: "events missed, repeated or out of order",
      samples: 0,
    };
    const one = played(evidence, "broadcast");
    if (one === undefined || !one.seen.finished) return notPlayed("broadcast", base);
    const { round, seen } = one;
    const offending = round.workMs.flatMap((_, consumer) => {
      const got = workOf(seen)
        .filter((who) => who.consumer === consumer)
        .map(({ event }) => event);
      const wrong = Array.from({ length: Math.max(round.events, got.length) }, (_, i) => i).filter(
        (i) => got[i] !== i,
      );
      return wrong.map(
        (i) =>
          `consumer ${consumer}: in place ${i} came ${got[i] === undefined ? "nothing" : `event ${got[i]}`}`,
      );
    });
    const finding = { ...base, measured: offending.length, samples: seen.handled.event.length };
    if (offending.length === 0) {
      return {
        ...finding,
        verdict: "pass",
        detail: `${round.events} events, each handled by all ${round.workMs.length}, in order.`,
      };
    }
    return {
      ...finding,
      verdict: "fail",
      detail: `${offending.length} places in the subscribers' own sequences are wrong.`,
      offending: offending.slice(0, shown),
      expected: "as many events as the slowest subscriber asked for, to all of them",
      lookAt: "to whom an event goes when only some have demand",
    };
  },
};

export const orderPerPartition: Criterion = {
  id: "order-per-partition",
  claim: "Events with one key are handled by one consumer, one after the other, in order.",
  judge(evidence): Finding {
    const base = { measured: null, threshold: "= 0", unit: "events out of place", samples: 0 };
    const one = played(evidence, "partition");
    if (one === undefined || !one.seen.finished) return notPlayed("partition", base);
    const last = new Map<string, Work>();
    const offending: string[] = [];
    for (const work of workOf(one.seen)) {
      const key = keyOf(evidence.record.seed, work.event);
      const before = last.get(key);
      last.set(key, work);
      if (before === undefined) continue;
      if (before.consumer !== work.consumer) {
        offending.push(
          `${key}: event ${before.event} went to consumer ${before.consumer}, ${work.event} to ${work.consumer}`,
        );
      } else if (before.event >= work.event) {
        offending.push(`${key}: event ${work.event} was handled after ${before.event}`);
      }
    }
    const finding = { ...base, measured: offending.length, samples: one.seen.handled.event.length };
    if (offending.length === 0) {
      return {
        ...finding,
        verdict: "pass",
        detail: `${last.size} keys, each with one consumer, all in order.`,
      };
    }
    return {
      ...finding,
      verdict: "fail",
      detail: `${offending.length} events were handled by another consumer than the one of their key before, or before it.`,
      offending: offending.slice(0, shown),
      expected: "a key decides the consumer, also when that one has no room and another has",
      lookAt: "what decides where an event with a key goes",
    };
  },
};

export const oneAtATime: Criterion = {
  id: "one-at-a-time",
  claim: "A consumer works on one piece of work at a time, and in its order.",
  judge(evidence): Finding {
    let samples = 0;
    const offending: string[] = [];
    for (const { name } of evidence.seen.rounds) {
      const one = played(evidence, name);
      if (one === undefined) continue;
      const work = workOf(one.seen);
      for (const consumer of one.round.workMs.keys()) {
        let before: Work | undefined;
        for (const now of work.filter((who) => who.consumer === consumer)) {
          samples += 1;
          // Events of one piece of work have one beginning.
          if (before !== undefined && now.fromMs !== before.fromMs && now.fromMs < before.toMs) {
            offending.push(
              `round ${name}: consumer ${consumer} began event ${now.event} while it worked on ${before.event}`,
            );
          }
          if (before !== undefined && now.event < before.event) {
            offending.push(
              `round ${name}: consumer ${consumer} began event ${now.event} after ${before.event}`,
            );
          }
          before = now;
        }
      }
    }
    const base = {
      measured: offending.length,
      threshold: "= 0",
      unit: "events begun too early or too late",
      samples,
    };
    if (samples === 0) return { ...base, verdict: "unknown", detail: "Nothing was handled." };
    if (offending.length === 0)
      return {
        ...base,
        verdict: "pass",
        detail: `${samples} pieces of work, none beside another of its consumer.`,
      };
    return {
      ...base,
      verdict: "fail",
      detail: `${offending.length} of ${samples} began beside others of the same consumer, or out of order.`,
      offending: offending.slice(0, shown),
      expected: "the next chunk when the handler of the last one has come back",
      lookAt: "whether the consumer waits for its handler's promise",
    };
  },
};

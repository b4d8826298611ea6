/** Judges of time: lag after a spike, recovery after a kill, freshness of rows. */
import type { Criterion } from "../lab.ts";
import { quantile } from "../quantile.ts";
import type { Phase } from "../record/record.ts";
import { seconds } from "./delivery.ts";
import type { Evidence } from "./evidence.ts";
import { below } from "./flow.ts";
import { timerAllowanceMs } from "./host.ts";
import type { Finding } from "./verdict.ts";

/** Lag below this many milliseconds of the steady load is the granularity of the looks, not a backlog. */
const granularityMs = 250;
/** A worker whose lag is already a second of load before the spike has no baseline to return to. */
const maxBaselineMs = 1_000;
const minFreshSamples = 1_000;
/** A worker that does less than this share of the steady load would not keep up on a host four times as free. */
const hopelessShare = 0.25;

export interface LagPoint {
  readonly atMs: number;
  /** Messages acknowledged by the broker and not covered by a committed offset. */
  readonly lagMessages: number;
}

/** The group's lag at each look. */
export function lagOverTime(evidence: Evidence): LagPoint[] {
  const acked = evidence.record.ledger.ackedMs.filter((at) => at >= 0).sort((a, b) => a - b);
  let known = 0;
  return evidence.record.commitSamples.map(({ atMs, committed }) => {
    while (known < acked.length && (acked[known] ?? 0) <= atMs) known += 1;
    const done = committed.reduce((sum, offset) => sum + Math.max(0, offset), 0);
    return { atMs, lagMessages: Math.max(0, known - done) };
  });
}

/**
 * The messages that were neither stored nor committed, at each look: a worker may store at once and commit now and then,
 * and what it drops it commits. Without a commit clock it is the group's lag.
 */
export function backlogOverTime(evidence: Evidence): LagPoint[] {
  const acked = Float64Array.from(evidence.record.ledger.ackedMs.filter((at) => at >= 0)).sort();
  const stored = storedTimes(evidence);
  return lagOverTime(evidence).map(({ atMs, lagMessages }) => ({
    atMs,
    lagMessages: Math.min(lagMessages, Math.max(0, below(acked, atMs) - below(stored, atMs))),
  }));
}

/** When each acknowledged message was stored, in order of time; without those of which it is not known. */
function storedTimes(evidence: Evidence): Float64Array {
  const times: number[] = [];
  for (let i = 0; i < evidence.planned; i += 1) {
    const at = evidence.acknowledged(i) ? evidence.committedMs(i) : Number.NaN;
    if (!Number.isNaN(at)) times.push(at);
  }
  return Float64Array.from(times).sort();
}

/** The lag of the steady phase, and what counts as back at it. */
export function lagBaseline(
  evidence: Evidence,
  lag: readonly LagPoint[],
): { messages: number; limit: number; samples: number } {
  const steady = evidence.phase("steady");
  const points = lag.filter(
    ({ atMs }) => steady !== undefined && atMs >= steady.startMs && atMs < steady.endMs,
  );
  const messages = points.reduce((most, one) => Math.max(most, one.lagMessages), 0);
  const granularity = ((steady?.perSecond ?? 0) * granularityMs) / 1000;
  return { messages, limit: Math.max(messages, granularity), samples: points.length };
}

/** Needs the phases "steady" and "spike" and the parameter "keepsUpWithinMs". */
export const keepsUp: Criterion = {
  id: "keeps-up",
  claim: "After a spike at twice the rate the lag returns to its baseline in time.",
  timing: true,
  judge(evidence): Finding {
    const withinMs = evidence.parameter("keepsUpWithinMs") + timerAllowanceMs(evidence.record.host);
    const lag = backlogOverTime(evidence);
    const baseline = lagBaseline(evidence, lag);
    const steady = evidence.phase("steady");
    const spike = evidence.phase("spike");
    const base = { threshold: `<= ${withinMs}`, unit: "ms after the spike", samples: lag.length };
    if (steady === undefined || spike === undefined || baseline.samples < 5) {
      return {
        ...base,
        measured: null,
        verdict: "unknown",
        detail: "Too few looks at the lag before the spike.",
      };
    }
    const most = lag.filter(({ atMs }) => atMs >= spike.startMs && atMs < spike.endMs + withinMs);
    const highest = most.reduce((top, one) => Math.max(top, one.lagMessages), 0);
    const maxBaseline = (steady.perSecond * maxBaselineMs) / 1000;
    if (baseline.messages > maxBaseline) {
      return {
        ...base,
        measured: null,
        verdict: "fail",
        inexcusable: shareOfSteadyLoad(evidence, steady) < hopelessShare,
        detail: `There was no baseline: under the steady load the lag already reached ${baseline.messages} messages (at most ${maxBaseline}).`,
        expected: "a worker with room for twice the steady rate",
        lookAt: "how many round trips the worker makes per message",
      };
    }
    const after = lag.filter(({ atMs }) => atMs >= spike.endMs);
    const back = after.find(({ lagMessages }) => lagMessages <= baseline.limit);
    const measured = back === undefined ? null : Math.round(back.atMs - spike.endMs);
    const told = `Lag was up to ${baseline.messages} messages before the spike and ${highest} in it`;
    if (measured !== null && measured <= withinMs) {
      return {
        ...base,
        measured,
        verdict: "pass",
        detail: `${told}; at most ${Math.round(baseline.limit)} again ${measured} ms after it.`,
      };
    }
    const watchedMs = (after.at(-1)?.atMs ?? spike.endMs) - spike.endMs;
    if (back === undefined && watchedMs < withinMs) {
      return {
        ...base,
        measured,
        verdict: "unknown",
        detail: `${told}; looks ended ${Math.round(watchedMs)} ms after it.`,
      };
    }
    return {
      ...base,
      measured,
      verdict: "fail",
      detail: `${told}; ${back === undefined ? "it never came back" : `it took ${measured} ms to come back`} to ${Math.round(baseline.limit)}.`,
      expected: "spare capacity to work off the spike",
      lookAt: "how many rows one statement writes, and how many round trips a message costs",
    };
  },
};

/** Messages stored or committed while the steady phase lasted, as a share of those that were due in it. */
function shareOfSteadyLoad(evidence: Evidence, steady: Phase): number {
  const inPhase = evidence.record.commitSamples.filter(
    ({ atMs }) => atMs >= steady.startMs && atMs < steady.endMs,
  );
  const total = (sample: (typeof inPhase)[number] | undefined) =>
    sample?.committed.reduce((sum, offset) => sum + Math.max(0, offset), 0) ?? 0;
  const stored = storedTimes(evidence);
  const committed = total(inPhase.at(-1)) - total(inPhase[0]);
  const rows = below(stored, steady.endMs) - below(stored, steady.startMs);
  const due = ((steady.endMs - steady.startMs) / 1000) * steady.perSecond;
  return Math.max(committed, rows) / due;
}

/** Needs the parameters "sessionTimeoutMs" and "survivesKillWithinMs". */
export function survivesKill(tableName: string): Criterion {
  return {
    id: "survives-kill",
    claim: "After a SIGKILL rows flow again within the session timeout plus 4 s from the new worker's start.",
    timing: true,
    judge(evidence): Finding {
      const withinMs =
        evidence.parameter("sessionTimeoutMs") +
        evidence.parameter("survivesKillWithinMs") +
        timerAllowanceMs(evidence.record.host);
      const kills = evidence.faults("kill-worker");
      const { committedMs } = evidence.table(tableName);
      const base = { threshold: `<= ${withinMs}`, unit: "ms", samples: kills.length };
      if (kills.length === 0)
        return { ...base, measured: null, verdict: "unknown", detail: "No worker was killed." };
      if (committedMs.every(Number.isNaN)) return { ...base, ...noCommitClock };
      const times = kills.map(({ healMs }) => {
        let first = Number.POSITIVE_INFINITY;
        for (const [i, at] of committedMs.entries()) {
          // Only an event sent after the new worker started proves that it reads.
          if ((evidence.record.ledger.sentMs[i] ?? 0) > healMs && at < first) first = at;
        }
        return first - healMs;
      });
      const worst = Math.max(...times);
      const measured = Number.isFinite(worst) ? Math.round(worst) : null;
      if (measured !== null && measured <= withinMs) {
        return {
          ...base,
          measured,
          verdict: "pass",
          detail: `First new row ${measured} ms after the new worker started.`,
        };
      }
      return {
        ...base,
        measured,
        verdict: "fail",
        detail:
          measured === null
            ? "No event sent after the new worker started was ever stored."
            : `The first new row came ${measured} ms after the new worker started.`,
        expected: "partitions of the dead worker move when its session times out",
        lookAt: "whether the worker uses KAFKA_SESSION_TIMEOUT_MS, and what it does at its start",
      };
    },
  };
}

/** Needs the parameter "freshP99Ms". Latency counts from when the event was due, not from when it was sent. */
export function fresh(tableName: string): Criterion {
  return {
    id: "fresh",
    claim: "Outside fault windows, 99 of 100 events are stored within a second of when they were due.",
    timing: true,
    judge(evidence): Finding {
      const limitMs = evidence.parameter("freshP99Ms") + timerAllowanceMs(evidence.record.host);
      const { committedMs } = evidence.table(tableName);
      const base = { threshold: `< ${limitMs}`, unit: "ms (p99)" };
      if (committedMs.every(Number.isNaN)) return { ...base, samples: 0, ...noCommitClock };
      const latencies = freshLatencies(evidence, tableName, limitMs);
      const samples = latencies.length;
      if (samples < minFreshSamples) {
        return {
          ...base,
          measured: null,
          samples,
          verdict: "unknown",
          detail: `Only ${samples} events were due outside fault windows (at least ${minFreshSamples}).`,
        };
      }
      const p99 = quantile(latencies, 0.99);
      const p50 = quantile(latencies, 0.5);
      const measured = Number.isFinite(p99) ? Math.round(p99 * 10) / 10 : null;
      if (p99 < limitMs) {
        return {
          ...base,
          measured,
          samples,
          verdict: "pass",
          detail: `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms from due time to committed row.`,
        };
      }
      return {
        ...base,
        measured,
        samples,
        verdict: "fail",
        detail:
          measured === null ? "More than 1 of 100 events were never stored." : `p99 was ${seconds(p99)}.`,
        expected: `p99 under ${limitMs} ms`,
        lookAt: "how long a batch waits before it is written, and whether the worker keeps up at all",
      };
    },
  };
}

/** An event that was never stored counts as infinitely late. */
function freshLatencies(evidence: Evidence, tableName: string, limitMs: number): number[] {
  const table = evidence.table(tableName);
  const latencies: number[] = [];
  for (let i = 0; i < evidence.planned; i += 1) {
    const due = evidence.dueMs[i] ?? 0;
    if (!evidence.acknowledged(i) || evidence.home(i) !== table) continue;
    // What was due shortly before a fault may rightly still be on its way when it strikes.
    if (evidence.inFaultWindow(due) || evidence.inFaultWindow(due + limitMs)) continue;
    const at = table.committedMs[i] ?? Number.NaN;
    latencies.push(Number.isNaN(at) ? Number.POSITIVE_INFINITY : at - due);
  }
  return latencies;
}

const noCommitClock = {
  measured: null,
  verdict: "unknown",
  detail: "No commit times: nothing was stored, or the database does not keep them.",
  lookAt: "start Postgres with track_commit_timestamp=on",
} as const;

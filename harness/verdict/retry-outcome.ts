/** Judges of where retried events ended, and of what became of those that waited when something died. */
import type { Criterion } from "../lab.ts";
import type { Fault } from "../record/record.ts";
import type { AttributedRow } from "../record/tables.ts";
import { changedRows, describe, seconds } from "./delivery.ts";
import type { Evidence } from "./evidence.ts";
import { timerAllowanceMs } from "./host.ts";
import { type Chain, isRetryable, isTooShort, isUndisturbedChain, retriesOf, type Wait } from "./retries.ts";
import type { Finding } from "./verdict.ts";

const shown = 5;
const lateByMs = 150;

export interface OutcomeTables {
  readonly effects: string;
  readonly deadLetters: string;
  /** Columns of the dead letters: attempts as a JSON list of `{attempt, at, errorClass}`, and md5 of the value. */
  readonly historyColumn: string;
  readonly digestColumn: string;
  readonly digestOf: (value: Buffer) => string;
}

export function outcome(tables: OutcomeTables): Criterion {
  return {
    id: "outcome",
    claim:
      "Every event ended as an effect or as a dead letter, never as both; every effect is the event's, and every dead letter has its bytes and its attempts.",
    judge(evidence): Finding {
      const { policy } = retriesOf(evidence);
      const effects = evidence.table(tables.effects);
      const letters = evidence.table(tables.deadLetters);
      const letterOf = new Map(letters.rows.map((row) => [row.message, row]));
      const wrong: string[] = [];
      let dead = 0;
      let done = 0;
      for (let i = 0; i < evidence.planned; i += 1) {
        if (!evidence.acknowledged(i)) continue;
        const problem = problemOf(i);
        if ((effects.count[i] ?? 0) > 0) done += 1;
        if ((letters.count[i] ?? 0) > 0) dead += 1;
        if (problem !== undefined) wrong.push(`${describe(evidence, i)} ${problem}`);
      }
      function problemOf(message: number): string | undefined {
        const effect = effects.count[message] ?? 0;
        const letter = letters.count[message] ?? 0;
        const chain = retriesOf(evidence).chain(message);
        const accepted = chain?.calls.some(({ status }) => status === 200) === true;
        if (effect + letter > 1)
          return `has ${effect} rows in ${tables.effects} and ${letter} in ${tables.deadLetters}`;
        if (effect === 1)
          return accepted ? undefined : `is in ${tables.effects}, and the gateway never accepted it`;
        if (letter === 0) return isOver(chain, policy.maxAttempts) ? "ended nowhere" : undefined;
        if (accepted) return `is in ${tables.deadLetters}, and the gateway accepted it`;
        return letterProblem(letterOf.get(message), chain);
      }
      function letterProblem(row: AttributedRow | undefined, chain: Chain | undefined): string | undefined {
        const columns = evidence.lab.tables.find(({ name }) => name === tables.deadLetters)?.columns ?? [];
        const cell = (name: string) => row?.values[columns.findIndex((one) => one.name === name)] ?? null;
        const value = row === undefined ? null : evidence.message(row.message).value();
        if (value !== null && cell(tables.digestColumn) !== tables.digestOf(value)) {
          return "is a dead letter with other bytes than were sent";
        }
        const calls = chain?.calls.length ?? 0;
        // What a death made unknown may be missing in the history; a second delivery knows nothing of the first.
        const least = chain?.redelivered === true ? 1 : calls - (chain?.unsettled ?? 0);
        return historyProblem(cell(tables.historyColumn), least, calls);
      }
      wrong.push(...changedRows(evidence, tables.effects).map(({ text }) => text));
      const strangers = letters.foreign.length + effects.foreign.length;
      const base = {
        measured: wrong.length + strangers,
        threshold: "= 0",
        unit: "events with a wrong end",
        samples: done + dead,
      };
      if (base.measured > 0) {
        return {
          ...base,
          verdict: "fail",
          detail: `${wrong.length} events ended wrongly, ${strangers} rows are no event of this run; ${done} effects, ${dead} dead letters.`,
          offending: wrong.slice(0, shown),
          expected:
            "one row: an effect for what the gateway accepted, else a dead letter with its bytes and one entry an attempt",
          lookAt:
            "what is stored when the last attempt has failed, and what a second delivery of the event does",
        };
      }
      if (dead === 0 || done === 0) {
        return {
          ...base,
          verdict: "unknown",
          detail: `${done} effects and ${dead} dead letters: one kind was not put to the test.`,
        };
      }
      return {
        ...base,
        verdict: "pass",
        detail: `${done} effects and ${dead} dead letters, each with its bytes and its attempts; no event is in both.`,
      };
    },
  };
}

/** Whether nothing more was to come for it. What still waited when the run ended is `lossless`'s business. */
function isOver(chain: Chain | undefined, maxAttempts: number): boolean {
  const calls = chain?.calls ?? [];
  return calls.some(({ status }) => status === 200 || status === 422) || calls.length >= maxAttempts;
}

function historyProblem(text: string | null, least: number, most: number): string | undefined {
  let history: unknown;
  try {
    history = JSON.parse(text ?? "");
  } catch {
    return "is a dead letter without a history";
  }
  if (!Array.isArray(history)) return "is a dead letter whose history is no list";
  if (history.length < least || history.length > most) {
    return `is a dead letter with ${history.length} attempts in its history, and was tried ${most} times`;
  }
  let before = Number.NEGATIVE_INFINITY;
  for (const [i, { attempt, at, errorClass }] of history.entries()) {
    if (attempt !== i + 1)
      return `has an attempt ${JSON.stringify(attempt)} in its history where ${i + 1} was to be`;
    if (typeof errorClass !== "string" || errorClass === "") return `has no error class for attempt ${i + 1}`;
    const atMs = typeof at === "string" ? Date.parse(at) : Number.NaN;
    if (Number.isNaN(atMs)) return `has no time for attempt ${i + 1}`;
    // Times and not texts: some languages leave a fraction of zero away, and "05Z" is a later text than "05.240Z".
    if (atMs < before) return `has attempts that are not in order of time`;
    before = atMs;
  }
  return undefined;
}

/** An event that waited for its next attempt when something died. */
interface Waiting {
  readonly chain: Chain;
  /** The wait that the death fell into. */
  readonly attempt: number;
  readonly fromMs: number;
}

export interface Survival {
  readonly fault: Fault;
  readonly waiting: number;
  readonly lost: readonly Waiting[];
  readonly early: readonly Wait[];
  /** Due after the consequences were over, or long overdue then. */
  readonly late: readonly Wait[];
  /** Later waits of the same events that are shorter than their attempt's: the count began anew. */
  readonly recounted: readonly Wait[];
  /** First calls that failed while a store was away: their events could be kept nowhere but in Kafka. */
  readonly kept: { readonly events: number; readonly committed: readonly number[] };
}

/** What became of those that waited at each kill of the worker and each restart of a store. */
export function survivalOf(evidence: Evidence): Survival[] {
  const { chains, waits, policy } = retriesOf(evidence);
  const allowance = lateByMs + timerAllowanceMs(evidence.record.host);
  const byMessage = new Map<number, Wait[]>();
  for (const wait of waits) byMessage.set(wait.message, [...(byMessage.get(wait.message) ?? []), wait]);
  const faults = evidence.record.faults.filter(({ kind }) => kind === "kill-worker" || kind === "restart");
  return faults.map((fault) => {
    const waiting = chains.filter(isUndisturbedChain).flatMap((chain): Waiting[] => {
      const at = chain.calls.findLastIndex(({ endedMs }) => endedMs < fault.startMs);
      const call = chain.calls[at];
      if (call === undefined || !isRetryable(call) || at + 1 >= policy.maxAttempts) return [];
      const next = chain.calls[at + 1];
      if (next !== undefined && next.arrivedMs <= fault.startMs) return [];
      return [{ chain, attempt: at + 1, fromMs: call.endedMs }];
    });
    const crossing = waiting.flatMap(({ chain, attempt }) =>
      (byMessage.get(chain.message) ?? []).filter((wait) => wait.attempt === attempt),
    );
    const following = waiting.flatMap(({ chain, attempt }) =>
      (byMessage.get(chain.message) ?? []).filter((wait) => wait.attempt > attempt),
    );
    // Another fault may have come before its time.
    const clearMs = (wait: Wait) =>
      Math.max(
        ...evidence.record.faults.filter(({ startMs }) => startMs <= wait.toMs).map((one) => one.clearMs),
        wait.fromMs + wait.idealMs,
      );
    return {
      fault,
      waiting: waiting.length,
      lost: waiting.filter(({ chain, attempt }) => chain.calls.length <= attempt),
      early: crossing.filter(isTooShort),
      late: crossing.filter((wait) => wait.toMs > clearMs(wait) + allowance),
      recounted: following.filter(isTooShort),
      kept: keptBack(evidence, fault),
    };
  });
}

/** A store takes a moment to die. */
const dyingMs = 150;

/** Events whose first call failed while the store was away, and those of them that were committed meanwhile. */
function keptBack(evidence: Evidence, fault: Fault): Survival["kept"] {
  const { record, scenario } = evidence;
  const plan = scenario.faults.find((one) => one.kind === "restart" && fault.kind === one.kind);
  if (plan?.kind !== "restart") return { events: 0, committed: [] };
  const fromMs = fault.startMs + dyingMs;
  const untilMs = fault.startMs + plan.forMs;
  const last = record.commitSamples.findLast(({ atMs }) => atMs > fromMs && atMs <= untilMs);
  const failed = retriesOf(evidence).chains.filter(({ calls: [first], message }) => {
    if (first === undefined || !isRetryable(first) || !evidence.acknowledged(message)) return false;
    return first.endedMs > fromMs && first.endedMs < untilMs && first.endedMs < (last?.atMs ?? 0);
  });
  const { offset, partition } = record.ledger;
  return {
    events: failed.length,
    committed: failed
      .map(({ message }) => message)
      .filter((one) => (offset[one] ?? -1) < (last?.committed[partition[one] ?? 0] ?? -1)),
  };
}

/** Needs the parameter "minWaiting": fewer put nothing to the test. */
export const durable: Criterion = {
  id: "durable",
  claim:
    "Events that waited when the worker was killed, and when Redis was, kept their attempt count and their time.",
  judge(evidence): Finding {
    const survivals = survivalOf(evidence);
    const wanted = evidence.parameter("minWaiting");
    const least = survivals.reduce((most, { waiting }) => Math.min(most, waiting), Number.POSITIVE_INFINITY);
    const broken = (one: Survival) =>
      one.lost.length + one.early.length + one.recounted.length + one.kept.committed.length;
    const measured = survivals.reduce((sum, one) => sum + broken(one), 0);
    const late = survivals.reduce((sum, one) => sum + one.late.length, 0);
    const base = {
      measured,
      threshold: "= 0",
      unit: "events lost, moved earlier, counted anew or committed too early",
      samples: survivals.reduce((sum, one) => sum + one.waiting, 0),
    };
    const told = survivals
      .map(
        ({ fault, waiting, lost, early, recounted, late: after, kept }) =>
          `${fault.name} at ${seconds(fault.startMs)}: ${waiting} waited, ${lost.length} lost, ${early.length} earlier, ` +
          `${recounted.length} counted anew, ${after.length} later than ${seconds(fault.clearMs)} and its time` +
          (kept.events === 0
            ? ""
            : `; ${kept.events} events failed while it was away, ${kept.committed.length} of them were committed meanwhile`),
      )
      .join("; ");
    if (measured > 0) {
      return {
        ...base,
        verdict: "fail",
        detail: `${told}.`,
        offending: survivals.flatMap(({ lost, early, recounted, kept }) => [
          ...kept.committed
            .slice(0, shown)
            .map((one) => `${describe(evidence, one)} failed, could be put nowhere, and was committed`),
          ...lost
            .slice(0, shown)
            .map(
              ({ chain, attempt, fromMs }) =>
                `${describe(evidence, chain.message)} waited after attempt ${attempt} at ${seconds(fromMs)}, and was never tried again`,
            ),
          ...[...early, ...recounted]
            .slice(0, shown)
            .map(
              (wait) =>
                `${describe(evidence, wait.message)} waited ${wait.waitMs.toFixed(0)} ms after attempt ${wait.attempt}, and was to wait at least ${wait.leastMs.toFixed(0)}`,
            ),
        ]),
        expected:
          "a wait that is stored where no death of a process or a server can reach it, with its count",
        lookAt: "where a waiting event is between two attempts, and when its message was committed",
      };
    }
    const planned = evidence.scenario.faults.filter(
      ({ kind }) => kind === "kill-worker" || kind === "restart",
    );
    if (survivals.length < planned.length) {
      const why = evidence.record.stack.limits.join("; ");
      return {
        ...base,
        verdict: "unknown",
        detail: `${told}. Not all deaths could be brought about: ${why}.`,
      };
    }
    if (survivals.length === 0)
      return { ...base, measured: null, verdict: "unknown", detail: "Nothing was killed." };
    if (least < wanted) {
      return {
        ...base,
        verdict: "unknown",
        detail: `${told}. At least ${wanted} waiting events put it to the test.`,
      };
    }
    return {
      ...base,
      verdict: "pass",
      detail: `${told}.${late === 0 ? "" : " Late is not lost: see cadence."}`,
    };
  },
};

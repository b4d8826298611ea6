/**
 * Judges of idempotency: how often events were delivered, and that each has one effect all the same.
 *
 * An event's effect is its row in one of the effect tables. Rows are counted under the message that brought the event
 * first; its copies have no rows of their own.
 */
import type { Criterion } from "../lab.ts";
import { sentElsewhere } from "../load/messages.ts";
import type { Fault } from "../record/record.ts";
import { changedRows, describe, isUnread, seconds } from "./delivery.ts";
import type { Evidence, TableEvidence } from "./evidence.ts";
import type { Finding } from "./verdict.ts";

const shown = 5;
/** Rows of an event over the effect tables. `first`: the message that brought it first. */
export function effectsOf(tables: readonly TableEvidence[], first: number): number {
  return tables.reduce((sum, { count }) => sum + (count[first] ?? 0), 0);
}

/** Messages that are an event sent before, and were acknowledged. */
export function copiesSent(evidence: Evidence): number[] {
  return indexes(evidence).filter((i) => evidence.place(i).copyOf !== undefined && evidence.acknowledged(i));
}

/** Judges and charts ask for the same kills again and again. */
const redeliveries = new WeakMap<Evidence, Map<Fault, readonly number[]>>();

/**
 * For each kill, messages that the dead worker had been given and not committed, as far as rows and offsets tell: on
 * each partition those from the committed offset to the last one whose row was stored before the kill. Offsets are
 * those of the last look before the group changed: until then the workers that live commit what they had stored, and
 * nobody commits for the dead one.
 */
export function redeliveredBy(
  evidence: Evidence,
  kill: Fault,
  effectTables: readonly string[],
): readonly number[] {
  const known = redeliveries.get(evidence) ?? new Map<Fault, readonly number[]>();
  redeliveries.set(evidence, known);
  const found = known.get(kill) ?? findRedelivered(evidence, kill, effectTables);
  known.set(kill, found);
  return found;
}

function findRedelivered(evidence: Evidence, kill: Fault, effectTables: readonly string[]): number[] {
  const { ledger, commitSamples, topic } = evidence.record;
  const killedMs = kill.healMs;
  const untilMs = groupUnchangedUntil(evidence, kill);
  const sample = commitSamples.findLast(({ atMs }) => atMs <= untilMs);
  const committed = Array.from({ length: topic.partitions }, (_, p) =>
    Math.max(0, kill.committedOffsets?.[p] ?? 0, sample?.committed[p] ?? 0),
  );
  const lastStored = committed.map(() => -1);
  const tables = effectTables.map((name) => evidence.table(name));
  const elsewhere = elsewhereIn(evidence);
  for (let i = 0; i < evidence.planned; i += 1) {
    // Its row may come from a copy in another partition, and would say nothing about this one.
    if (elsewhere.has(i)) continue;
    const p = ledger.partition[i] ?? 0;
    const offset = ledger.offset[i] ?? -1;
    if (offset < (committed[p] ?? 0) || offset <= (lastStored[p] ?? -1)) continue;
    if (tables.some(({ committedMs }) => (committedMs[i] ?? Number.NaN) < killedMs)) lastStored[p] = offset;
  }
  return indexes(evidence).filter((i) => {
    const p = ledger.partition[i] ?? 0;
    const offset = ledger.offset[i] ?? -1;
    return offset >= (committed[p] ?? 0) && offset <= (lastStored[p] ?? -1);
  });
}

const elsewheres = new WeakMap<Evidence, ReadonlySet<number>>();

function elsewhereIn(evidence: Evidence): ReadonlySet<number> {
  const known = elsewheres.get(evidence) ?? sentElsewhere({ length: evidence.planned, at: evidence.place });
  elsewheres.set(evidence, known);
  return known;
}

/** The last look at the group that showed it as it was at the kill. */
function groupUnchangedUntil({ record }: Evidence, { startMs, healMs }: Fault): number {
  const looks = record.groupSamples ?? [];
  const at = looks.findLastIndex(({ atMs }) => atMs <= startMs);
  const before = looks[at]?.members.join();
  let untilMs = healMs;
  for (const { atMs, state, members } of looks.slice(at + 1)) {
    if (state !== "Stable" || members.join() !== before) break;
    untilMs = Math.max(untilMs, atMs);
  }
  return untilMs;
}

/**
 * Needs the parameters "minDuplicates" and "minKills".
 * @param effectTables where an event's effect may be
 */
export function duplicatesDelivered(effectTables: readonly string[]): Criterion {
  return {
    id: "duplicates-delivered",
    claim: "As many duplicates were delivered as planned, over as many kills: copies sent, and redeliveries.",
    judge(evidence): Finding {
      const copies = copiesSent(evidence);
      const kills = evidence.faults("kill-worker");
      const byKill = kills.map((kill) => redeliveredBy(evidence, kill, effectTables).length);
      const redelivered = byKill.reduce((sum, one) => sum + one, 0);
      const planned = evidence.parameter("minDuplicates");
      const minKills = evidence.parameter("minKills");
      const base = {
        measured: copies.length + redelivered,
        threshold: `>= ${planned}`,
        unit: "duplicates",
        samples: kills.length,
      };
      const replayed = evidence.record.replay?.messages ?? 0;
      const detail =
        `${copies.length} copies were sent (${kindsOf(evidence, copies)}) and about ${redelivered} messages delivered again ` +
        `after ${kills.length} kills${byKill.length === 0 ? "" : `: ${spread(byKill)} for each (${byKill.join(", ")})`}` +
        `${replayed === 0 ? "" : `; the replay delivered all ${replayed} once more`}.`;
      if (copies.length + redelivered < planned || kills.length < minKills) {
        return {
          ...base,
          verdict: "unknown",
          detail: `${detail} At least ${planned} duplicates over ${minKills} kills are needed to say anything.`,
          lookAt: "whether the load was sent to its end, and whether the worker stores anything",
        };
      }
      return { ...base, verdict: "pass", detail };
    },
  };
}

export function oneEffectPerKey(effectTables: readonly string[]): Criterion {
  return {
    id: "one-effect-per-key",
    claim:
      "No event has more than one effect, however often it was delivered, and its row says what it says.",
    judge(evidence): Finding {
      const tables = effectTables.map((name) => evidence.table(name));
      const copies = copiesSent(evidence).length;
      const first = originals(evidence);
      const doubled = first.filter((i) => effectsOf(tables, i) > 1);
      const effects = first.reduce((sum, i) => sum + effectsOf(tables, i), 0);
      const reused = reusedKeys(evidence);
      // Whose key came again for another payload, "conflict-flagged" judges.
      const changed = effectTables
        .flatMap((name) => changedRows(evidence, name))
        .filter(({ message }) => !reused.has(message));
      const base = {
        measured: doubled.length + changed.length,
        threshold: "= 0",
        unit: "events with two or more effects, or effects that are not the event's",
        samples: effects,
      };
      if (base.measured > 0) {
        return {
          ...base,
          verdict: "fail",
          detail: `${doubled.length} events have more than one effect: ${effects} effects of ${first.length} events; ${changed.length} rows are of another account or amount than their event.`,
          offending: [
            ...doubled
              .slice(0, shown)
              .map(
                (i) => `${describe(evidence, i)} has ${effectsOf(tables, i)} effects: ${rowsOf(tables, i)}`,
              ),
            ...changed.slice(0, shown).map(({ text }) => text),
          ],
          expected: "one row per event id over ledger and declined, whatever brings the event again",
          lookAt:
            "what the key names: the event, or the message that brings it; and whether the database enforces it",
        };
      }
      if (copies === 0 || effects === 0) {
        return {
          ...base,
          verdict: "unknown",
          detail: `${effects} effects and ${copies} copies: nothing was put to the test.`,
        };
      }
      return {
        ...base,
        verdict: "pass",
        detail: `${effects} effects, none of them twice, with ${copies} copies sent.`,
      };
    },
  };
}

/** Needs the parameter "minTwins". */
export function raceSafe(effectTables: readonly string[]): Criterion {
  return {
    id: "race-safe",
    claim: "An event that is sent to two partitions at the same moment has one effect.",
    judge(evidence): Finding {
      const { sentMs } = evidence.record.ledger;
      const twins = copiesSent(evidence).flatMap((i) => {
        const { copy, copyOf = -1 } = evidence.place(i);
        const together = copy?.elsewhere === true && sentMs[i] === sentMs[copyOf];
        return together &&
          evidence.acknowledged(copyOf) &&
          !isUnread(evidence, i) &&
          !isUnread(evidence, copyOf)
          ? [copyOf]
          : [];
      });
      const tables = effectTables.map((name) => evidence.table(name));
      const wrong = twins.filter((i) => effectsOf(tables, i) !== 1);
      const base = { measured: wrong.length, threshold: "= 0", unit: "pairs", samples: twins.length };
      if (wrong.length > 0) {
        return {
          ...base,
          verdict: "fail",
          detail: `Of ${twins.length} events sent to two partitions in one request ${wrong.length} have not exactly one effect.`,
          offending: wrong
            .slice(0, shown)
            .map((i) => `${describe(evidence, i)} has ${effectsOf(tables, i)} effects: ${rowsOf(tables, i)}`),
          expected:
            "one effect: of two transactions that insert the same key at once, one waits at the unique index for the other",
          lookAt:
            "whether anything is decided by a SELECT that another transaction can make at the same time",
        };
      }
      const needed = evidence.parameter("minTwins");
      if (twins.length < needed) {
        return {
          ...base,
          verdict: "unknown",
          detail: `${twins.length} pairs were sent and read; at least ${needed} are needed.`,
        };
      }
      return {
        ...base,
        verdict: "pass",
        detail: `${twins.length} events sent to two partitions in one request, one effect each.`,
      };
    },
  };
}

export function crashSafe(effectTables: readonly string[]): Criterion {
  return {
    id: "crash-safe",
    claim:
      "Events that were in flight when a worker was killed have exactly one effect: none is lost, none doubled.",
    judge(evidence): Finding {
      const kills = evidence.faults("kill-worker");
      const tables = effectTables.map((name) => evidence.table(name));
      const inFlight = new Map<number, Fault>();
      let redelivered = 0;
      for (const kill of kills) {
        redelivered += redeliveredBy(evidence, kill, effectTables).length;
        for (const i of inFlightAt(evidence, kill)) {
          const first = evidence.place(i).copyOf ?? i;
          if (evidence.acknowledged(first) && !isUnread(evidence, first)) inFlight.set(first, kill);
        }
      }
      const wrong = [...inFlight].filter(([i]) => effectsOf(tables, i) !== 1);
      const lost = wrong.filter(([i]) => effectsOf(tables, i) === 0).length;
      const base = {
        measured: wrong.length,
        threshold: "= 0",
        unit: "events lost or doubled",
        samples: inFlight.size,
      };
      if (wrong.length > 0) {
        return {
          ...base,
          verdict: "fail",
          detail:
            `Of ${inFlight.size} events sent and not committed at one of ${kills.length} kills, ${lost} have no effect ` +
            `and ${wrong.length - lost} have more than one.`,
          offending: wrong
            .slice(0, shown)
            .map(
              ([i, kill]) =>
                `${describe(evidence, i)} in flight at the kill at ${seconds(kill.startMs)} (${words[kill.meets ?? "write"]}), has ${effectsOf(tables, i)} effects${effectsOf(tables, i) === 0 ? "" : `: ${rowsOf(tables, i)}`}`,
            ),
          expected: "key and effect together or not at all, so that what is delivered again is done once",
          lookAt:
            lost > 0
              ? "what is stored before the effect, in a transaction of its own or in another store"
              : "where the keys are kept: what a process remembers dies with it",
        };
      }
      const missed = missedKind(kills);
      if (kills.length === 0 || redelivered === 0 || missed !== undefined) {
        return {
          ...base,
          verdict: "unknown",
          detail:
            missed ??
            `${kills.length} kills made ${redelivered} redeliveries, so that nothing was put to the test.`,
          lookAt: "run again with another seed",
        };
      }
      return {
        ...base,
        verdict: "pass",
        detail:
          `${inFlight.size} events were in flight at ${kills.length} kills (${moments(kills)}) and about ${redelivered} ` +
          "messages were delivered again; each event has one effect.",
      };
    },
  };
}

/** Messages sent before the kill and not covered by an offset that was committed then. */
function inFlightAt(evidence: Evidence, { startMs, committedOffsets }: Fault): number[] {
  const { ackedMs, offset, partition } = evidence.record.ledger;
  return indexes(evidence).filter(
    (i) =>
      evidence.acknowledged(i) &&
      (ackedMs[i] ?? 0) < startMs &&
      (offset[i] ?? 0) >= Math.max(0, committedOffsets?.[partition[i] ?? 0] ?? 0) &&
      evidence.place(i).copy?.conflicting !== true,
  );
}

/** Why a kind of kill never met what it was to meet; undefined when each kind did at least once. */
function missedKind(kills: readonly Fault[]): string | undefined {
  for (const kind of new Set(kills.flatMap(({ meets }) => meets ?? []))) {
    const these = kills.filter(({ meets }) => meets === kind);
    if (these.every(({ note }) => note !== undefined)) {
      return `None of ${these.length} kills that were to strike ${words[kind]} did: ${these[0]?.note}.`;
    }
  }
  return undefined;
}

function moments(kills: readonly Fault[]): string {
  return [...new Set(kills.map(({ meets }) => meets ?? "write"))]
    .map((kind) => {
      const hit = kills.filter(({ meets = "write", note }) => meets === kind && note === undefined);
      return `${hit.length} ${words[kind]}`;
    })
    .join(", ");
}

const words = {
  write: "between the database's commit and the offset's",
  transaction: "in an open transaction",
  anything: "at any moment",
  waiting: "while work waited",
};

/** @param conflictTable keyed by the message's place in Kafka */
export function conflictFlagged(effectTables: readonly string[], conflictTable: string): Criterion {
  return {
    id: "conflict-flagged",
    claim: "A key that is used again for another payload has no effect, and is kept as a conflict once.",
    judge(evidence): Finding {
      const conflicts = indexes(evidence).filter((i) => {
        const { copy, copyOf = -1 } = evidence.place(i);
        return (
          copy?.conflicting === true &&
          evidence.acknowledged(i) &&
          evidence.acknowledged(copyOf) &&
          !isUnread(evidence, i)
        );
      });
      const flagged = evidence.table(conflictTable);
      const asSent = new Set(flagged.rows.filter((row) => row.asSent).map((row) => row.message));
      const changed = effectTables.flatMap((name) => evidence.table(name).rows.filter((row) => !row.asSent));
      const changedEvents = new Set(changed.map(({ message }) => message));
      const wrong = conflicts.flatMap((i) => {
        const rows = flagged.count[i] ?? 0;
        const problems = [
          ...(rows === 1 && asSent.has(i)
            ? []
            : [
                rows === 0
                  ? `is not in ${conflictTable}`
                  : rows > 1
                    ? `is in ${conflictTable} ${rows} times`
                    : `is in ${conflictTable} with other content`,
              ]),
          ...(changedEvents.has(evidence.place(i).copyOf ?? -1) ? ["had an effect of its own"] : []),
        ];
        return problems.length === 0
          ? []
          : [`the reused key of ${describe(evidence, i)} ${problems.join(" and ")}`];
      });
      const innocent = flagged.foreign.length;
      const base = {
        measured: wrong.length + innocent,
        threshold: "= 0",
        unit: "conflicts not flagged, or wrongly",
        samples: conflicts.length,
      };
      if (wrong.length + innocent > 0) {
        return {
          ...base,
          verdict: "fail",
          detail: `Of ${conflicts.length} reused keys ${wrong.length} were not treated as conflicts; ${innocent} rows of ${conflictTable} are of no conflict.`,
          offending: [
            ...wrong.slice(0, shown),
            ...flagged.foreign
              .slice(0, shown)
              .map(
                (row) => `a row of ${conflictTable} for no conflict: ${row.values.slice(0, 4).join(", ")}`,
              ),
          ],
          expected:
            "the first payload's effect, and one row for each message that used its key for another one",
          lookAt: "whether a hash of the payload is kept with the key and compared",
        };
      }
      if (conflicts.length === 0) {
        return { ...base, verdict: "unknown", detail: "No key was used again for another payload." };
      }
      return {
        ...base,
        verdict: "pass",
        detail: `${conflicts.length} reused keys, each kept once in ${conflictTable} and without an effect.`,
      };
    },
  };
}

const indexes = (evidence: Evidence): number[] => Array.from({ length: evidence.planned }, (_, i) => i);

/** Messages whose event id was used again for another payload. */
function reusedKeys(evidence: Evidence): ReadonlySet<number> {
  return new Set(
    indexes(evidence).flatMap((i) => {
      const { copy, copyOf } = evidence.place(i);
      return copy?.conflicting === true && copyOf !== undefined ? [copyOf] : [];
    }),
  );
}

function originals(evidence: Evidence): number[] {
  return indexes(evidence).filter((i) => evidence.place(i).copyOf === undefined);
}

function kindsOf(evidence: Evidence, copies: readonly number[]): string {
  const counts = new Map<string, number>();
  for (const i of copies) {
    const name = evidence.place(i).copy?.name ?? "";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => `${count} ${name}`).join(", ");
}

function spread(numbers: readonly number[]): string {
  const mean = numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
  return `${Math.min(...numbers)} to ${Math.max(...numbers)}, on average ${mean.toFixed(0)}`;
}

function rowsOf(tables: readonly TableEvidence[], first: number): string {
  return tables
    .flatMap(({ name, rows }) =>
      rows
        .filter(({ message }) => message === first)
        .slice(0, 3)
        .map(
          ({ committedMs }) =>
            `${name} at ${committedMs === null ? "?" : `${(committedMs / 1000).toFixed(3)} s`}`,
        ),
    )
    .join(" and ");
}

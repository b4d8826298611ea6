/** Judges of where messages ended: none lost, none doubled, none changed, none committed too early. */
import type { Criterion } from "../lab.ts";
import type { AttributedRow } from "../record/tables.ts";
import type { Evidence } from "./evidence.ts";
import { unfitness } from "./host.ts";
import type { Finding } from "./verdict.ts";

const shown = 5;
/** Fewer looks than this between the first and the last message prove nothing about the moments between. */
const minLooks = 20;
/** Share of the acknowledged messages that must have been looked up while the worker was at work. */
const minChecked = 0.9;

/** Every message in its table; what the rows hold, other criteria judge. */
export const lossless = losslessIn([]);

/** The same for a lab without a criterion of its own for what the rows of this table hold. */
export const losslessAndIntact = (effectTable: string): Criterion => losslessIn([effectTable]);

function losslessIn(intact: readonly string[]): Criterion {
  return {
    id: "lossless",
    claim: `Every acknowledged message ended in exactly the table where it belongs${intact.length === 0 ? "" : ", as it was sent"}.`,
    judge(evidence) {
      const missing: number[] = [];
      const inTwo: number[] = [];
      let unread = 0;
      let acknowledged = 0;
      for (let i = 0; i < evidence.planned; i += 1) {
        if (!evidence.acknowledged(i)) continue;
        acknowledged += 1;
        const homes = evidence.rows(i).filter(({ count }) => count > 0).length;
        if (homes > 1 && evidence.place(i).copyOf === undefined) inTwo.push(i);
        if (homes > 0) continue;
        missing.push(i);
        if (isUnread(evidence, i)) unread += 1;
      }
      const foreign = evidence.lab.tables.flatMap(({ name }) =>
        evidence.table(name).foreign.map((row) => ({ name, row })),
      );
      const changed = intact.flatMap((name) => changedRows(evidence, name));
      const measured = missing.length + inTwo.length + foreign.length + changed.length;
      const base = {
        measured,
        threshold: "= 0",
        unit: "messages missing or unaccounted",
        samples: acknowledged,
      };
      if (acknowledged === 0) return { ...base, verdict: "unknown", detail: "No message was acknowledged." };
      const idle = untested(evidence);
      if (measured === 0 && idle !== undefined) return { ...base, verdict: "unknown", detail: idle };
      if (measured === 0) {
        return {
          ...base,
          verdict: "pass",
          detail: `All ${acknowledged} messages were found in their tables.`,
        };
      }
      // Only unread: the worker was too slow, and whether that is its fault the host decides.
      const unfit =
        foreign.length + inTwo.length + changed.length === 0 && missing.length === unread
          ? unfitness(evidence.record.host)
          : undefined;
      return {
        ...base,
        verdict: unfit === undefined ? "fail" : "unknown",
        detail:
          (unfit === undefined ? "" : `This cannot be held against the worker: ${unfit}. `) +
          `${missing.length} missing (${missing.length - unread} of them below the committed offset: lost for good; ` +
          `${unread} not yet committed when the run ended), ${foreign.length} rows that belong to no message of that table` +
          `${inTwo.length === 0 ? "" : `, ${inTwo.length} events in two tables of which one is right`}` +
          `${changed.length === 0 ? "" : `, ${changed.length} rows with other content than was sent`}.`,
        offending: [
          ...missing.slice(0, shown).map((i) => `${describe(evidence, i)} is in no table`),
          ...inTwo.slice(0, shown).map(
            (i) =>
              `${describe(evidence, i)} is in ${evidence
                .rows(i)
                .map(({ table }) => table.name)
                .join(" and ")}`,
          ),
          ...changed.slice(0, shown).map(({ text }) => text),
          ...foreign
            .slice(0, shown)
            .map(({ name, row }) => `a row of ${name} that was never sent there: ${brief(row)}`),
        ],
        expected: "one row for each event in its effect table, one for each malformed message in its table",
        lookAt:
          missing.length > unread
            ? "where the worker drops what it cannot handle, or commits an offset for something it did not store"
            : "whether the worker still runs and keeps up: the messages are on the broker, unread",
      };
    },
  };
}

/** Why a clean result proves nothing: a fault was left out, or struck while no rows flowed. */
function untested(evidence: Evidence): string | undefined {
  const [limit] = evidence.record.stack.limits;
  if (limit !== undefined) return `Not everything was broken that was to be: ${limit}.`;
  const idle = evidence.record.faults.find(({ flowing }) => flowing === false);
  return idle === undefined
    ? undefined
    : `The fault "${idle.name}" struck at ${seconds(idle.startMs)}, when no rows flowed, so it put nothing to the test.`;
}

/** Whether the message was still above the group's committed offset when the run ended. */
export function isUnread(evidence: Evidence, index: number): boolean {
  const { ledger, commitSamples } = evidence.record;
  const committed = commitSamples.at(-1)?.committed[ledger.partition[index] ?? 0] ?? -1;
  return (ledger.offset[index] ?? 0) >= committed;
}

/** @param tableName the effect table */
export function oneRowPerEvent(tableName: string): Criterion {
  return {
    id: "one-row-per-event",
    claim: "No event has two rows, though the kill made redeliveries.",
    judge(evidence) {
      const table = evidence.table(tableName);
      const redelivered = redeliveries(evidence, tableName);
      const doubled: number[] = [];
      let rows = 0;
      for (const [i, count] of table.count.entries()) {
        rows += count;
        if (count > 1) doubled.push(i);
      }
      const base = {
        measured: doubled.length,
        threshold: "= 0",
        unit: "events with two or more rows",
        samples: rows,
      };
      const told = `${redelivered.length} events were stored and not yet committed when the worker was killed, so they were delivered again`;
      if (doubled.length > 0) {
        return {
          ...base,
          verdict: "fail",
          detail: `${doubled.length} events have more than one row; ${told}.`,
          offending: doubled
            .slice(0, shown)
            .map(
              (i) =>
                `${describe(evidence, i)} has ${table.count[i]} rows, committed at ${times(table.rows, i)}`,
            ),
          expected: "one row per event id, however often the event is delivered",
          lookAt:
            "what makes the insert idempotent: a unique key on the event id, and what the worker does on a conflict",
        };
      }
      if (redelivered.length === 0) {
        return {
          ...base,
          verdict: "unknown",
          detail: "The kill caused no redelivery of a stored event, so duplicates were not put to the test.",
          lookAt: "run again with another seed",
        };
      }
      return { ...base, verdict: "pass", detail: `${rows} rows, none twice; ${told}.` };
    },
  };
}

/** Messages stored by a worker that was killed before it had committed their offsets. */
function redeliveries(evidence: Evidence, tableName: string): number[] {
  const { offset, partition } = evidence.record.ledger;
  const { committedMs } = evidence.table(tableName);
  return evidence
    .faults("kill-worker")
    .flatMap(({ healMs, committedOffsets = [] }) =>
      Array.from(committedMs.keys()).filter(
        (i) =>
          (committedMs[i] ?? Number.NaN) < healMs &&
          (offset[i] ?? -1) >= Math.max(0, committedOffsets[partition[i] ?? 0] ?? 0),
      ),
    );
}

/** @param tableName the effect table */
export function payloadIntact(tableName: string): Criterion {
  return {
    id: "payload-intact",
    claim: "Every column of every row equals what was sent.",
    judge(evidence) {
      const { rows } = evidence.table(tableName);
      const changed = changedRows(evidence, tableName);
      const base = {
        measured: changed.length,
        threshold: "= 0",
        unit: "rows that differ",
        samples: rows.length,
      };
      if (rows.length === 0)
        return { ...base, verdict: "unknown", detail: `No row was written to ${tableName}.` };
      if (changed.length === 0) {
        return {
          ...base,
          verdict: "pass",
          detail: `All columns of ${rows.length} rows are as they were sent.`,
        };
      }
      return {
        ...base,
        verdict: "fail",
        detail: `${changed.length} of ${rows.length} rows differ from what was sent.`,
        offending: changed.slice(0, shown).map(({ text }) => text),
        expected: "the value of the event, unchanged",
        lookAt: "how the worker parses the message and which types it passes to the database",
      };
    },
  };
}

export const commitBehindWrite: Criterion = {
  id: "commit-behind-write",
  claim: "At every sample, no committed offset covers a message that is in no table.",
  judge(evidence): Finding {
    const { commitSamples, ledger, settled } = evidence.record;
    const checked = commitSamples.reduce((sum, one) => sum + one.checked, 0);
    const looks = commitSamples.filter((one) => one.checked > 0).length;
    const early = commitSamples.flatMap(({ atMs, missing }) => missing.map((place) => ({ atMs, place })));
    const base = {
      measured: early.length,
      threshold: "= 0",
      unit: "messages committed before stored",
      samples: checked,
    };
    if (early.length > 0) {
      return {
        ...base,
        verdict: "fail",
        detail: `${early.length} messages were below a committed offset while they were in no table; a crash then would have lost them.`,
        offending: early
          .slice(0, shown)
          .map(
            ({ atMs, place: [partition, offset] }) =>
              `partition ${partition} offset ${offset} was committed at ${seconds(atMs)} and stored nowhere`,
          ),
        expected: "a row for every message below the committed offset",
        lookAt: "the order of the write and the commit, and automatic commits of the client library",
      };
    }
    // What was never committed cannot have been committed too early.
    const committed =
      commitSamples.at(-1)?.committed.reduce((sum, offset) => sum + Math.max(0, offset), 0) ?? 0;
    const acknowledged = ledger.offset.filter((offset) => offset >= 0).length;
    const due = settled.drained ? acknowledged : Math.max(1, committed);
    if (looks < minLooks || checked < due * minChecked) {
      return {
        ...base,
        verdict: "unknown",
        detail: `${looks} looks covered ${checked} of ${due} messages; at least ${minLooks} looks and ${minChecked * 100} % are needed to say so.`,
        lookAt: "whether the worker commits offsets to its group at all",
      };
    }
    const idle = untested(evidence);
    if (idle !== undefined) return { ...base, verdict: "unknown", detail: idle };
    return {
      ...base,
      verdict: "pass",
      detail: `${looks} looks; each of ${checked} messages was stored before it was committed.`,
    };
  },
};

/** A message in words: its place, and its event id or what is wrong with it. */
export function describe(evidence: Evidence, index: number): string {
  const { partition, event, malformation, offset } = evidence.message(index);
  const what = event === undefined ? `malformed message (${malformation})` : `event ${event.eventId}`;
  return `${what} at partition ${partition} offset ${offset}, due at ${seconds(evidence.dueMs[index] ?? 0)},`;
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** Rows that are one message's by their key, and in some other column not as it says. */
export function changedRows(
  evidence: Evidence,
  tableName: string,
): { readonly message: number; readonly text: string }[] {
  return evidence
    .table(tableName)
    .rows.filter((row) => !row.asSent && row.message >= 0)
    .map((row) => ({ message: row.message, text: firstDifference(evidence, tableName, row) }));
}

function firstDifference(evidence: Evidence, tableName: string, row: AttributedRow): string {
  const table = evidence.lab.tables.find(({ name }) => name === tableName);
  const message = evidence.message(row.message);
  const expected = table?.expected(message) ?? [];
  const at = row.values.findIndex((value, i) => value !== expected[i]);
  const column = table?.columns[at]?.name ?? "?";
  return `${describe(evidence, row.message)} has ${column} = ${clip(row.values[at])} instead of ${clip(expected[at])}`;
}

function times(rows: readonly AttributedRow[], message: number): string {
  return rows
    .filter((row) => row.message === message)
    .slice(0, 3)
    .map(({ committedMs }) => (committedMs === null ? "?" : seconds(committedMs)))
    .join(" and ");
}

function brief(row: AttributedRow): string {
  return row.values.slice(0, 4).map(clip).join(", ");
}

function clip(value: string | null | undefined): string {
  const text = value === null || value === undefined ? "nothing" : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

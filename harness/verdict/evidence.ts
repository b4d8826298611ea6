/**
 * A record made easy to ask: the messages that were sent, where each ended, and when. Pure; everything
 * here is derived from the record and the lab, and computed when first asked for.
 */
import type { Lab, Scenario } from "../lab.ts";
import { type PlannedMessage, planMessages, type SentMessage } from "../load/messages.ts";
import { dueTimes, schedule } from "../load/schedule.ts";
import type { Fault, Phase, RunRecord } from "../record/record.ts";
import { type AttributedRow, decodeTable, homesOf } from "../record/tables.ts";
import { scenarioOf } from "../scenario.ts";

/** Where messages ended, in one table. */
export interface TableEvidence {
  readonly name: string;
  readonly rows: readonly AttributedRow[];
  /** Rows by message index. */
  readonly count: Uint16Array;
  /** Earliest commit time by message index, ms since the load began; NaN without a row or a commit clock. */
  readonly committedMs: Float64Array;
  /** Rows that belong to no message sent, or to one that does not belong in this table. */
  readonly foreign: readonly AttributedRow[];
}

export interface Evidence {
  readonly record: RunRecord;
  readonly lab: Lab;
  /** What this run, or this arm, was asked to do. */
  readonly scenario: Omit<Scenario, "arms">;
  /** A companion run of the same seed; undefined when the record has none of this name. */
  arm(name: string): Evidence | undefined;
  /** Messages planned. */
  readonly planned: number;
  readonly dueMs: Float64Array;
  /** Place and kind of a message; cheap. */
  place(index: number): PlannedMessage;
  /** A message with its content. */
  message(index: number): SentMessage;
  /** Whether the broker acknowledged it. */
  acknowledged(index: number): boolean;
  /** Throws a RangeError for a name the lab does not have. */
  table(name: string): TableEvidence;
  /** The table in which this message ended; of one that is in none, the first in which it may end. */
  home(index: number): TableEvidence;
  /** Its rows, or its event's, in each table where it may end: one row in one of them is right. */
  rows(index: number): readonly { readonly table: TableEvidence; readonly count: number }[];
  /** Earliest commit of the message's row in its home table; NaN when there is none. */
  committedMs(index: number): number;
  phase(name: string): Phase | undefined;
  faults(kind: string): readonly Fault[];
  /** Whether this moment lies in the window of some fault, from its start until its consequences must be over. */
  inFaultWindow(atMs: number): boolean;
  /** A scenario number from the record, such as "sessionTimeoutMs"; throws when the record lacks it. */
  parameter(name: string): number;
}

/** @throws Error when the lab has changed since the run, so that its messages are not those of the record */
export function readEvidence(record: RunRecord, lab: Lab): Evidence {
  return evidenceOf(record, lab, scenarioOf(lab, record.profile, record.kills));
}

function evidenceOf(record: RunRecord, lab: Lab, scenario: Scenario): Evidence {
  const { load } = scenario;
  const plan = planMessages(record.seed, load, record.topic.partitions);
  const { ledger } = record;
  if (plan.length !== ledger.planned) {
    throw new Error(
      `the record holds ${ledger.planned} messages and the lab's ${record.profile} profile plans ${plan.length}: ` +
        "the lab has changed since this run, so its verdict cannot be computed again",
    );
  }
  const message = (index: number): SentMessage => ({
    ...plan.at(index),
    topic: record.topic.name,
    offset: ledger.offset[index] ?? -1,
    event: plan.event(index),
    value: () => plan.value(index),
    trace: plan.trace(index),
  });
  const atOrigin = originIndex(ledger);
  const tables = new Map<string, TableEvidence>();
  const table = (name: string): TableEvidence => {
    const known = tables.get(name);
    if (known !== undefined) return known;
    const labTable = lab.tables.find((one) => one.name === name);
    if (labTable === undefined) throw new RangeError(`lab ${lab.name} has no table ${name}`);
    const recorded = record.tables.find((one) => one.name === name);
    const rows =
      recorded === undefined
        ? []
        : decodeTable(recorded, labTable, {
            length: plan.length,
            at: message,
            eventId: plan.eventId,
            atOrigin,
          });
    const evidence = tally(name, rows, plan.length);
    tables.set(name, evidence);
    return evidence;
  };
  const homes = (index: number) => {
    return homesOf(lab.tables, plan.at(index)).map(({ table: at, owner }) => {
      const found = table(lab.tables[at]?.name ?? "");
      return { table: found, owner, count: found.count[owner] ?? 0 };
    });
  };
  const home = (index: number) => {
    const all = homes(index);
    const found = all.find(({ count }) => count > 0) ?? all[0];
    if (found === undefined) throw new RangeError(`lab ${lab.name} has no table for message ${index}`);
    return found;
  };
  const arms = new Map<string, Evidence>();
  return {
    record,
    lab,
    scenario,
    arm(name) {
      const known = arms.get(name);
      if (known !== undefined) return known;
      const recorded = record.arms?.find((one) => one.name === name);
      const planned = scenario.arms?.find((one) => one.name === name);
      if (recorded === undefined || planned === undefined) return undefined;
      const evidence = evidenceOf(recorded.record, lab, planned.scenario);
      arms.set(name, evidence);
      return evidence;
    },
    planned: plan.length,
    dueMs: dueTimes(schedule(load.phases)),
    place: plan.at,
    message,
    acknowledged: (index) => (ledger.offset[index] ?? -1) >= 0,
    table,
    home: (index) => home(index).table,
    rows: homes,
    committedMs: (index) => {
      const { table: found, owner } = home(index);
      return found.committedMs[owner] ?? Number.NaN;
    },
    phase: (name) => record.phases.find((one) => one.name === name),
    faults: (kind) => record.faults.filter((one) => one.kind === kind),
    inFaultWindow: (atMs) => record.faults.some((one) => atMs >= one.startMs && atMs <= one.clearMs),
    parameter(name) {
      const value = record.parameters[name];
      if (typeof value !== "number") throw new RangeError(`the record has no number "${name}"`);
      return value;
    },
  };
}

function originIndex({
  partition,
  offset,
}: RunRecord["ledger"]): (p: number, o: number) => number | undefined {
  let byOrigin: Map<string, number> | undefined;
  return (p, o) => {
    byOrigin ??= new Map(offset.map((one, i) => [`${partition[i]}:${one}`, i]));
    return byOrigin.get(`${p}:${o}`);
  };
}

function tally(name: string, rows: readonly AttributedRow[], messages: number): TableEvidence {
  const count = new Uint16Array(messages);
  const committedMs = new Float64Array(messages).fill(Number.NaN);
  const foreign: AttributedRow[] = [];
  for (const row of rows) {
    if (row.message < 0) {
      foreign.push(row);
      continue;
    }
    count[row.message] = (count[row.message] ?? 0) + 1;
    const at = row.committedMs ?? Number.NaN;
    const earliest = committedMs[row.message] ?? Number.NaN;
    if (Number.isNaN(earliest) || at < earliest) committedMs[row.message] = at;
  }
  return { name, rows, count, committedMs, foreign };
}

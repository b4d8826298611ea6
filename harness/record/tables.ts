/**
 * Rows of a table, written relative to what was sent: a row that equals what message `i` must become is
 * the number `i`; any other row is kept whole. 100,000 rows become one column of numbers, and nothing is
 * lost: `decodeTable(encodeTable(rows))` gives the rows back.
 */
import type { LabTable } from "../lab.ts";
import type { SentMessage } from "../load/messages.ts";
import type { TableRecord } from "./record.ts";

export interface Row {
  /** As text, by column. */
  readonly values: readonly (string | null)[];
  readonly committedMs: number | null;
}

/** A row and the message it came from, told by the table's key columns; -1 for none that was sent. */
export interface AttributedRow extends Row {
  readonly message: number;
  /** Whether every column is as the message says. */
  readonly asSent: boolean;
}

export interface Messages {
  readonly length: number;
  at(index: number): SentMessage;
}

/** Text no key column contains. */
const separator = "\u001f";
export const joinKey = (parts: readonly (string | null)[]): string => parts.join(separator);

/** From a row's key to the index of the message that must become it. */
export function keyIndex(table: LabTable, messages: Messages): Map<string, number> {
  const index = new Map<string, number>();
  for (let i = 0; i < messages.length; i += 1) {
    const message = messages.at(i);
    if (table.belongs(message)) index.set(joinKey(table.key.of(message)), i);
  }
  return index;
}

export function keyOf(table: LabTable, values: readonly (string | null)[]): string {
  return joinKey(
    table.key.columns.map((name) => values[table.columns.findIndex((one) => one.name === name)] ?? null),
  );
}

export function encodeTable(
  table: LabTable,
  rows: readonly Row[],
  messages: Messages,
  index: ReadonlyMap<string, number>,
): TableRecord {
  const asSent: number[] = [];
  const asSentCommittedMs: (number | null)[] = [];
  const others: TableRecord["others"] = [];
  for (const { values, committedMs } of rows) {
    const message = index.get(keyOf(table, values));
    if (message !== undefined && equal(values, table.expected(messages.at(message)))) {
      asSent.push(message);
      asSentCommittedMs.push(committedMs);
    } else {
      others.push({ values: [...values], committedMs });
    }
  }
  return {
    name: table.name,
    columns: table.columns.map(({ name }) => name),
    asSent,
    asSentCommittedMs,
    others,
  };
}

/** The rows again, with the message each came from; rows as sent come first. */
export function decodeTable(record: TableRecord, table: LabTable, messages: Messages): AttributedRow[] {
  const rows: AttributedRow[] = record.asSent.map((message, i) => ({
    message,
    asSent: true,
    committedMs: record.asSentCommittedMs[i] ?? null,
    // Made only when asked for: most rows are never looked at.
    get values() {
      return table.expected(messages.at(message));
    },
  }));
  if (record.others.length > 0) {
    const index = keyIndex(table, messages);
    for (const other of record.others) {
      rows.push({ ...other, asSent: false, message: index.get(keyOf(table, other.values)) ?? -1 });
    }
  }
  return rows;
}

function equal(a: readonly (string | null)[], b: readonly (string | null)[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

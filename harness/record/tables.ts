/**
 * Rows of a table, written relative to what was sent: a row that equals what message `i` must become is
 * the number `i`; any other row is kept whole. 100,000 rows become one column of numbers, and nothing is
 * lost: `decodeTable(encodeTable(rows))` gives the rows back.
 */
import type { LabTable } from "../lab.ts";
import type { PlannedMessage, SentMessage } from "../load/messages.ts";
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
  /** The event's id alone; undefined for a malformed message. */
  eventId(index: number): string | undefined;
  /** Index of the message the broker put there; undefined when it is none of ours. */
  atOrigin(partition: number, offset: number): number | undefined;
}

/** Text no key column contains. */
const separator = "\u001f";

/** Tells which message a row came from. */
export interface Locator {
  /** Index of the message that must become the row with this key; undefined for none. */
  find(key: string): number | undefined;
  /** The key of the row this message must become. */
  keyOf(message: number): string;
  /** The key of a row as it was read, all columns. */
  keyOfRow(values: readonly (string | null)[]): string;
}

/**
 * The tables (by their place in the list) in which a message may end, and the message under whose index its rows are
 * found there: itself, or for a copy in a table keyed by event, the event's first message.
 */
export function homesOf(
  tables: readonly LabTable[],
  message: PlannedMessage,
): { readonly table: number; readonly owner: number }[] {
  const homes: { table: number; owner: number }[] = [];
  for (const [table, { belongs, key }] of tables.entries()) {
    if (!belongs(message)) continue;
    homes.push({ table, owner: key.by === "event" ? (message.copyOf ?? message.index) : message.index });
  }
  return homes;
}

/** Indexes all messages at once: make it before the load, not in it. */
export function createLocator(table: LabTable, messages: Messages): Locator {
  const columns = table.key.columns.map((name) => table.columns.findIndex((one) => one.name === name));
  const keyOfRow = (values: readonly (string | null)[]) =>
    columns.map((at) => values[at] ?? "").join(separator);
  if (table.key.by === "origin") {
    return {
      find(key) {
        const [topic, partition, offset] = key.split(separator);
        const index = messages.atOrigin(Number(partition), Number(offset));
        if (index === undefined) return undefined;
        const message = messages.at(index);
        return message.topic === topic && table.belongs(message) ? index : undefined;
      },
      keyOf(index) {
        const { topic, partition, offset } = messages.at(index);
        return [topic, partition, offset].join(separator);
      },
      keyOfRow,
    };
  }
  const byEvent = indexEvents(messages);
  return {
    find: (key) => byEvent.get(key),
    keyOf: (index) => messages.eventId(index) ?? "",
    keyOfRow,
  };
}

function indexEvents(messages: Messages): Map<string, number> {
  const index = new Map<string, number>();
  for (let i = 0; i < messages.length; i += 1) {
    const eventId = messages.eventId(i);
    // Rows of an event are those of the message that brought it first.
    if (eventId !== undefined && !index.has(eventId)) index.set(eventId, i);
  }
  return index;
}

export function encodeTable(
  table: LabTable,
  rows: readonly Row[],
  messages: Messages,
  locator: Locator = createLocator(table, messages),
): TableRecord {
  const asSent: number[] = [];
  const asSentCommittedMs: (number | null)[] = [];
  const others: TableRecord["others"] = [];
  for (const { values, committedMs } of rows) {
    const message = locator.find(locator.keyOfRow(values));
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
    const locator = createLocator(table, messages);
    for (const other of record.others) {
      rows.push({ ...other, asSent: false, message: locator.find(locator.keyOfRow(other.values)) ?? -1 });
    }
  }
  return rows;
}

function equal(a: readonly (string | null)[], b: readonly (string | null)[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/** The tables as they are when all is over. */
import type { TableRecord } from "../record/record.ts";
import { encodeTable, type Locator, type Messages, type Row } from "../record/tables.ts";
import type { CommitProbe } from "./commits.ts";
import type { TableReader } from "./tables.ts";

/** @param zeroEpochMs start of the load by the database's clock */
export async function readTables(
  readers: readonly TableReader[],
  locators: readonly Locator[],
  messages: Messages,
  probe: CommitProbe,
  zeroEpochMs: number,
): Promise<TableRecord[]> {
  const tables: TableRecord[] = [];
  for (const [i, reader] of readers.entries()) {
    const locator = locators[i];
    if (locator === undefined) continue;
    const rows = withFirstCommits(await reader.readAll(zeroEpochMs), locator, probe, zeroEpochMs);
    tables.push(encodeTable(reader.table, rows, messages, locator));
  }
  return tables;
}

/** A row that was changed later keeps the time at which it was first seen. */
function withFirstCommits(
  rows: readonly Row[],
  locator: Locator,
  probe: CommitProbe,
  zeroEpochMs: number,
): Row[] {
  const messages = rows.map((row) => locator.find(locator.keyOfRow(row.values)));
  const count = new Map<number | undefined, number>();
  for (const message of messages) count.set(message, (count.get(message) ?? 0) + 1);
  return rows.map((row, i) => {
    const message = messages[i];
    // Of several rows of one message, each keeps its own time.
    if ((count.get(message) ?? 0) > 1) return row;
    const seenMs = (probe.committedEpochMs[message ?? -1] ?? Number.NaN) - zeroEpochMs;
    return row.committedMs !== null && seenMs < row.committedMs
      ? { ...row, committedMs: Math.round(seenMs * 10) / 10 }
      : row;
  });
}

/** At the end of a run the whole topic is read once more, by workers of a second group. */
import type { Admin } from "kafkajs";
import { committedOffsets } from "./probe/commits.ts";
import type { ReplayRecord, TableRecord } from "./record/record.ts";
import type { Crew } from "./subject/crew.ts";
import { until } from "./until.ts";

export interface ReplayOptions {
  /** None of its workers runs any more. */
  readonly crew: Crew;
  readonly workers: number;
  readonly admin: Admin;
  readonly topic: string;
  /** Of the second group. */
  readonly groupId: string;
  /** Of each partition. */
  readonly endOffsets: readonly number[];
  readonly withinMs: number;
  readonly readTables: () => Promise<TableRecord[]>;
  readonly now: () => number;
  readonly signal: AbortSignal;
}

/** Starts the workers, waits until their group has committed all, ends them, and reads the tables. */
export async function replayTopic(options: ReplayOptions): Promise<ReplayRecord> {
  const { crew, admin, topic, groupId, endOffsets, now, signal } = options;
  const startMs = now();
  await Promise.all(Array.from({ length: options.workers }, () => crew.start({ KAFKA_GROUP_ID: groupId })));
  const drained = await until(
    "the second group to commit the whole topic",
    async () => {
      const committed = await committedOffsets(admin, groupId, topic, endOffsets.length);
      return committed.every((offset, partition) => offset >= (endOffsets[partition] ?? 0));
    },
    { timeoutMs: options.withinMs, everyMs: 100, signal },
  ).catch(() => false);
  const endMs = now();
  await crew.terminateAll();
  const messages = endOffsets.reduce((sum, end) => sum + end, 0);
  return { startMs, endMs, drained, messages, tables: await options.readTables() };
}

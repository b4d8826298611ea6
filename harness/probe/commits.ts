/**
 * Committed offsets against rows. Each look reads the group's offsets first and the tables after it: a
 * message below a committed offset that is in no table then was acknowledged before it was stored, and
 * whatever happens later, a crash at that moment would have lost it.
 */
import type { Admin } from "kafkajs";
import type { LiveLedger } from "../load/load.ts";
import type { CommitSample } from "../record/record.ts";
import type { Locator } from "../record/tables.ts";
import type { SeenRow, TableReader } from "./tables.ts";

const everyMs = 100;
/** Messages looked up by key when it is asked whether all are stored. */
const maxLookUps = 200;

export interface CommitProbe {
  /** What was seen so far; grows. */
  readonly samples: CommitSample[];
  /** Earliest commit time seen for each message, epoch ms; NaN while none was seen. */
  readonly committedEpochMs: Float64Array;
  /** Looks that failed because a service did not answer. */
  blindLooks: number;
  /** The latest commit time seen on any row, epoch ms; 0 before the first. */
  newestCommitEpochMs(): number;
  /** Messages whose rows were committed after this moment (epoch ms), as far as looks have seen. */
  storedSince(epochMs: number): number[];
  /** Looks now, in addition to the regular looks. */
  look(): Promise<CommitSample | undefined>;
  /** Whether every acknowledged message is in a table by now. */
  allStored(): Promise<boolean>;
  stop(): Promise<void>;
}

export interface CommitProbeOptions {
  readonly admin: Admin;
  readonly groupId: string;
  readonly topic: string;
  readonly partitions: number;
  readonly ledger: LiveLedger;
  readonly readers: readonly TableReader[];
  /** For each reader. */
  readonly locators: readonly Locator[];
  /** In which readers' tables a message may end, and whose rows stand for it there. */
  readonly homesOf: (message: number) => readonly { readonly table: number; readonly owner: number }[];
  /** Now, in ms since the load began. */
  readonly now: () => number;
}

export function startCommitProbe(options: CommitProbeOptions): CommitProbe {
  const { admin, groupId, topic, ledger } = options;
  /** By partition: every offset below it was found in a table, or reported missing. */
  const verified = new Array<number>(options.partitions).fill(0);
  const probe: CommitProbe = {
    samples: [],
    committedEpochMs: new Float64Array(ledger.planned).fill(Number.NaN),
    blindLooks: 0,
    newestCommitEpochMs: () => newest,
    storedSince: (epochMs) => [...probe.committedEpochMs.keys()].filter((i) => since(i) > epochMs),
    look: () => inTurn(look),
    allStored: () => inTurn(allStored),
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await last;
    },
  };

  // Infinity: stored at a time unknown.
  const since = (message: number): number => {
    const at = probe.committedEpochMs[message] ?? Number.NaN;
    return at === Number.POSITIVE_INFINITY ? Number.NaN : at;
  };
  let newest = 0;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let last: Promise<unknown> = Promise.resolve();
  /** Looks do not overlap: each starts where the one before it ended. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = last.then(work);
    last = mine.catch(() => undefined);
    return mine;
  }

  function note(seen: readonly SeenRow[], locator: Locator | undefined): void {
    for (const { key, committedEpochMs } of seen) {
      const message = locator?.find(key);
      if (message === undefined) continue;
      const earlier = probe.committedEpochMs[message] ?? Number.NaN;
      // Without a commit clock the row is known to be there, at a time unknown.
      const at = committedEpochMs ?? Number.POSITIVE_INFINITY;
      if (committedEpochMs !== null) newest = Math.max(newest, committedEpochMs);
      if (Number.isNaN(earlier) || at < earlier) probe.committedEpochMs[message] = at;
    }
  }
  const isStored = (message: number) =>
    options.homesOf(message).some(({ owner }) => !Number.isNaN(probe.committedEpochMs[owner] ?? Number.NaN));

  async function look(): Promise<CommitSample | undefined> {
    try {
      const committed = await committedOffsets(admin, groupId, topic, options.partitions);
      const atMs = Math.round(options.now() * 10) / 10;
      for (const [i, reader] of options.readers.entries()) {
        note(await reader.tail(), options.locators[i]);
      }
      const sample: CommitSample = { atMs, committed, ...(await check(committed)) };
      probe.samples.push(sample);
      return sample;
    } catch {
      probe.blindLooks += 1;
      return undefined;
    }
  }

  /** Looks up what lies below the committed offsets and was not looked up before. */
  async function check(committed: readonly number[]): Promise<Pick<CommitSample, "checked" | "missing">> {
    let checked = 0;
    const doubtful: number[] = [];
    const upTo = verified.map((from, partition) => {
      const known = ledger.byOffset[partition] ?? [];
      const to = Math.max(from, Math.min(committed[partition] ?? -1, known.length));
      for (let offset = from; offset < to; offset += 1) {
        const message = known[offset] ?? -1;
        if (message < 0) continue;
        checked += 1;
        if (!isStored(message)) doubtful.push(message);
      }
      return to;
    });
    const missing = await lookUp(doubtful);
    for (const [partition, to] of upTo.entries()) verified[partition] = to;
    return { checked, missing: missing.map(placeOf) };
  }

  /** Those of these messages that are in no table at this moment. */
  async function lookUp(messages: readonly number[]): Promise<number[]> {
    for (const [i, reader] of options.readers.entries()) {
      const here = messages.filter(
        (message) => !isStored(message) && options.homesOf(message).some(({ table }) => table === i),
      );
      if (here.length === 0) continue;
      const locator = options.locators[i];
      note(await reader.lookUp(here.map((message) => locator?.keyOf(message) ?? "")), locator);
    }
    return messages.filter((message) => !isStored(message));
  }

  async function allStored(): Promise<boolean> {
    const open = ledger.byOffset.flat().filter((message) => message >= 0 && !isStored(message));
    // As long as many are missing, the regular looks are enough.
    return open.length <= maxLookUps && (await lookUp(open)).length === 0;
  }

  const placeOf = (message: number): [number, number] => [
    ledger.partition[message] ?? -1,
    ledger.offset[message] ?? -1,
  ];

  function again(): void {
    if (stopped) return;
    const began = performance.now();
    inTurn(look).finally(() => {
      if (!stopped) timer = setTimeout(again, Math.max(5, everyMs - (performance.now() - began)));
    });
  }
  again();
  return probe;
}

/** Committed offset by partition; -1 where the group has committed none. */
export async function committedOffsets(
  admin: Admin,
  groupId: string,
  topic: string,
  partitions: number,
): Promise<number[]> {
  const committed = new Array<number>(partitions).fill(-1);
  for (const { partitions: fetched } of await admin.fetchOffsets({ groupId, topics: [topic] })) {
    for (const { partition, offset } of fetched) committed[partition] = Number(offset);
  }
  return committed;
}

/** End offset of each partition: how many messages the broker holds. */
export async function endOffsets(admin: Admin, topic: string, partitions: number): Promise<number[]> {
  const ends = new Array<number>(partitions).fill(0);
  for (const { partition, high } of await admin.fetchTopicOffsets(topic)) ends[partition] = Number(high);
  return ends;
}

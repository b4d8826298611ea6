/** A run with copies, kills, budgets and a replay in which everything went right, made without services. */
import type { Lab, LabTable, Scenario } from "../lab.ts";
import { planMessages, type SentMessage } from "../load/messages.ts";
import { dueTimes, schedule } from "../load/schedule.ts";
import type { Fault, RunRecord, TableRecord } from "../record/record.ts";
import { budgetRespected } from "./budgets.ts";
import { lossless } from "./delivery.ts";
import { conflictFlagged, crashSafe, duplicatesDelivered, oneEffectPerKey, raceSafe } from "./effects.ts";
import { replayHarmless } from "./replay.ts";
import { healthyRecord } from "./testing.ts";

const effectTable = (name: string): LabTable => ({
  name,
  columns: [
    { name: "event_id", sql: "event_id" },
    { name: "amount_cents", sql: "amount_cents" },
  ],
  belongs: ({ copy }) => copy?.conflicting !== true,
  expected: ({ event }) => [event?.eventId ?? null, String(event?.amountCents)],
  key: { by: "event", columns: ["event_id"] },
});

const conflicts: LabTable = {
  name: "conflicts",
  columns: [
    { name: "topic", sql: "topic" },
    { name: "partition", sql: "partition" },
    { name: "offset", sql: '"offset"' },
  ],
  belongs: ({ copy }) => copy?.conflicting === true,
  expected: ({ topic, partition, offset }) => [topic, String(partition), String(offset)],
  key: { by: "origin", columns: ["topic", "partition", "offset"] },
};

const scenario: Scenario = {
  workers: 2,
  load: {
    accounts: 6,
    paddingLength: 8,
    malformedOneIn: 0,
    phases: [{ name: "kills", forMs: 4_000, perSecond: 500 }],
    copies: [
      { name: "at once", oneIn: 10, afterMs: [0, 0] },
      { name: "twin", oneIn: 10, afterMs: [0, 0], elsewhere: true },
      { name: "later", oneIn: 10, afterMs: [200, 800] },
      { name: "other", oneIn: 40, afterMs: [500, 900], conflicting: true },
    ],
  },
  faults: [],
  worker: { sessionTimeoutMs: 500, concurrency: 1, maxInFlight: 100 },
  settleMs: 1_000,
  replay: { withinMs: 1_000 },
};

const tables = ["ledger", "declined"];
export const effectsLab: Lab = {
  name: "test",
  title: "a lab for the judge's own tests",
  question: "Does the judge find what is wrong?",
  home: import.meta.url,
  partitions: 4,
  profiles: { quick: scenario, full: scenario },
  tables: [effectTable("ledger"), effectTable("declined"), conflicts],
  criteria: [
    lossless,
    duplicatesDelivered(tables),
    oneEffectPerKey(tables),
    budgetRespected("accounts", "declined"),
    raceSafe(tables),
    crashSafe(tables),
    conflictFlagged(tables, "conflicts"),
    replayHarmless("accounts"),
  ],
  charts: [],
};

export const effectsPlan = planMessages(1, scenario.load, effectsLab.partitions);
const due = dueTimes(schedule(scenario.load.phases));
const dueAt = (i: number): number => due[i] ?? 0;
const storeMs = 8;
const commitMs = 20;
/** What was sent this long before a kill was not committed any more when the worker died. */
const uncommittedMs = 80;
const killsMs = [1_500, 2_500];
const endMs = 4_000;
export const replayMs = 5_000;
/** The first account's is used up soon. */
const budgets = [2_000_000n, ...Array.from({ length: 5 }, () => 9_000_000_000_000_000n)];

let made: RunRecord | undefined;

/** Kills at 1.5 and 2.5 s, a replay at 5 s. A fresh copy at each call. */
export function healthyEffects(): RunRecord {
  made ??= makeRecord();
  return structuredClone(made);
}

function makeRecord(): RunRecord {
  const { partition, offset, next } = placed();
  const committedAt = (now: number): number[] => {
    const held = killsMs.find((kill) => now >= kill - uncommittedMs && now < kill + 450);
    const until = (held === undefined ? now : held - uncommittedMs) - commitMs;
    const offsets = new Array<number>(effectsLab.partitions).fill(0);
    for (let i = 0; i < effectsPlan.length && dueAt(i) <= until; i += 1) {
      offsets[partition[i] ?? 0] = (offset[i] ?? 0) + 1;
    }
    return offsets;
  };
  const indexes = [...partition.keys()];
  const { ledger, declined } = decided(indexes);
  const sent = (index: number): SentMessage => ({
    ...effectsPlan.at(index),
    topic: "t",
    offset: offset[index] ?? -1,
    event: effectsPlan.event(index),
    value: () => effectsPlan.value(index),
  });
  const table = (name: string, asSent: readonly number[]): TableRecord => ({
    name,
    columns: effectsLab.tables.find((one) => one.name === name)?.columns.map((one) => one.name) ?? [],
    asSent: [...asSent],
    asSentCommittedMs: asSent.map((i) => dueAt(i) + storeMs),
    others: [],
  });
  const flagged = indexes.filter((i) => conflicts.belongs(sent(i)));
  const recorded = [table("ledger", ledger), table("declined", declined), table("conflicts", flagged)];
  const samples: NonNullable<RunRecord["watches"]>[number]["samples"] = [];
  for (let now = -100; now <= replayMs + 500; now += 100)
    samples.push({ atMs: now, rows: balancesOf(ledger, now) });
  const base = healthyRecord();
  return {
    ...base,
    parameters: { sessionTimeoutMs: 500, minDuplicates: 500, minKills: 2, minTwins: 50 },
    topic: { name: "t", partitions: effectsLab.partitions },
    phases: [{ name: "kills", startMs: 0, endMs, perSecond: 500 }],
    faults: killsMs.map(
      (atMs, i): Fault => ({
        name: "kill",
        kind: "kill-worker",
        startMs: atMs,
        healMs: atMs + 5,
        clearMs: atMs + 900,
        committedOffsets: committedAt(atMs),
        flowing: true,
        worker: `w${i + 1}`,
        meets: i === 0 ? "write" : "transaction",
      }),
    ),
    ledger: {
      planned: effectsPlan.length,
      stoppedMs: null,
      partition,
      offset,
      sentMs: indexes.map((i) => sentAt(i)),
      ackedMs: indexes.map((i) => sentAt(i) + 1),
      errors: [],
      endOffsets: next,
    },
    tables: recorded,
    commitSamples: Array.from({ length: 48 }, (_, i) => {
      const atMs = 50 + i * 100;
      return { atMs, committed: committedAt(atMs), checked: 1, missing: [] };
    }),
    groupSamples: Array.from({ length: 24 }, (_, i) => ({
      atMs: i * 200,
      state: "Stable",
      // A dead worker is a member until its session has timed out.
      members: [`m${killsMs.filter((kill) => i * 200 > kill + 450).length}`, "m"],
    })),
    watches: [{ name: "accounts", columns: ["account", "budget", "spent", "booked"], samples }],
    replay: {
      startMs: replayMs,
      endMs: replayMs + 400,
      drained: true,
      messages: effectsPlan.length,
      tables: structuredClone(recorded),
    },
    settled: { atMs: endMs + 200, drained: true },
  };
}

/** Copies that belong together with their original are sent with it. */
function sentAt(i: number): number {
  const { copy, copyOf = i } = effectsPlan.at(i);
  return copy?.afterMs[1] === 0 ? dueAt(copyOf) : dueAt(i);
}

function placed(): { partition: number[]; offset: number[]; next: number[] } {
  const next = new Array<number>(effectsLab.partitions).fill(0);
  const partition: number[] = [];
  const offset: number[] = [];
  for (let i = 0; i < effectsPlan.length; i += 1) {
    const p = effectsPlan.at(i).partition;
    partition.push(p);
    offset.push(next[p] ?? 0);
    next[p] = (next[p] ?? 0) + 1;
  }
  return { partition, offset, next };
}

const accountOf = (i: number): number => Number(effectsPlan.at(i).accountId.slice("acct-".length));
const amountOf = (i: number): bigint => BigInt(effectsPlan.event(i)?.amountCents ?? 0);

function decided(indexes: readonly number[]): { ledger: number[]; declined: number[] } {
  const room = [...budgets];
  const ledger: number[] = [];
  const declined: number[] = [];
  for (const i of indexes) {
    if (effectsPlan.at(i).copyOf !== undefined) continue;
    const left = (room[accountOf(i)] ?? 0n) - amountOf(i);
    if (left >= 0n) room[accountOf(i)] = left;
    (left >= 0n ? ledger : declined).push(i);
  }
  return { ledger, declined };
}

function balancesOf(ledger: readonly number[], now: number): string[][] {
  const spent = budgets.map(() => 0n);
  for (const i of ledger)
    if (dueAt(i) + storeMs <= now) spent[accountOf(i)] = (spent[accountOf(i)] ?? 0n) + amountOf(i);
  return budgets.map((budget, i) => [`acct-000${i}`, String(budget), String(spent[i]), String(spent[i])]);
}

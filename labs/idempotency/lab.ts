/** idempotency: every event has one effect, through duplicates, races, kills and a replay; and no budget is exceeded. */
import { digestOf, digestSql } from "../../harness/digest.ts";
import type { CopyKind, Lab, LabTable, Scenario, WatchedQuery } from "../../harness/lab.ts";
import { budgetRespected } from "../../harness/verdict/budgets.ts";
import { lossless } from "../../harness/verdict/delivery.ts";
import {
  conflictFlagged,
  crashSafe,
  duplicatesDelivered,
  oneEffectPerKey,
  raceSafe,
} from "../../harness/verdict/effects.ts";
import { replayHarmless } from "../../harness/verdict/replay.ts";
import { booksChart, budgetsChart, deliveriesChart, effectsChart, killsChart } from "./charts.ts";

/** What an event becomes: money spent, or a payment declined because the budget has no room. Order decides which. */
const decided = (name: string): LabTable => ({
  name,
  columns: [
    { name: "event_id", sql: "event_id" },
    { name: "account_id", sql: "account_id" },
    { name: "amount_cents", sql: "amount_cents" },
  ],
  belongs: ({ copy }) => copy?.conflicting !== true,
  expected: ({ event }) =>
    event === undefined ? [] : [event.eventId, event.accountId, String(event.amountCents)],
  key: { by: "event", columns: ["event_id"] },
});

/** A message that uses an event id again for another payload. */
const conflicts: LabTable = {
  name: "key_conflicts",
  columns: [
    { name: "topic", sql: "topic" },
    { name: "partition", sql: "partition" },
    { name: "offset", sql: `"offset"` },
    { name: "event_id", sql: "event_id" },
    { name: "value", sql: digestSql("value") },
  ],
  belongs: ({ copy }) => copy?.conflicting === true,
  expected: (message) => [
    message.topic,
    String(message.partition),
    String(message.offset),
    message.event?.eventId ?? null,
    digestOf(message.value()),
  ],
  key: { by: "origin", columns: ["topic", "partition", "offset"] },
};

/** One statement is one snapshot: in each of them every account must balance. */
const accounts: WatchedQuery = {
  name: "accounts",
  columns: ["account_id", "budget_cents", "spent_cents", "booked_cents"],
  sql: `
    SELECT account_id, budget_cents, spent_cents, coalesce(booked_cents, 0) AS booked_cents
    FROM accounts LEFT JOIN (
      SELECT account_id, sum(amount_cents) AS booked_cents FROM ledger GROUP BY account_id
    ) AS booked USING (account_id)
    ORDER BY account_id`,
  everyMs: 100,
};

/** @param farMs how long after its original the latest copy comes */
const copies = (farMs: number): readonly CopyKind[] => [
  // Many, because two workers must come to the same event within the few milliseconds of a transaction.
  { name: "on two partitions at once", oneIn: 4, afterMs: [0, 0], elsewhere: true },
  { name: "at once", oneIn: 10, afterMs: [0, 0] },
  { name: "seconds apart", oneIn: 10, afterMs: [1_000, 3_000] },
  { name: "far apart", oneIn: 10, afterMs: [farMs / 4, farMs] },
  // In the same partition, so that the first use of a key is the first for every worker.
  { name: "with another payload", oneIn: 40, afterMs: [2_000, 5_000], conflicting: true },
];
const messages = { accounts: 24, paddingLength: 32, malformedOneIn: 0 };
// A session so short that twenty kills fit into a minute: after each one the group is whole when it has timed out.
const worker = { sessionTimeoutMs: 1_500, concurrency: 2, maxInFlight: 300 };
const meets = ["write", "transaction", "anything"] as const;
const recoveryMs = 4_000;

const full: Scenario = {
  workers: 2,
  load: {
    ...messages,
    copies: copies(30_000),
    phases: [
      { name: "warm-up", forMs: 1_500, perSecond: 400 },
      { name: "kills", forMs: 40_000, perSecond: 735 },
      { name: "calm", forMs: 1_500, perSecond: 735 },
    ],
  },
  faults: [{ kind: "kill-workers", fromMs: 2_000, toMs: 41_500, count: 20, recoveryMs, meets }],
  worker: { ...worker, sessionTimeoutMs: 1_000 },
  settleMs: 15_000,
  replay: { withinMs: 30_000 },
  limits: { minDuplicates: 10_000, minKills: 20, minTwins: 2_000 },
  arms: [
    {
      // The same events in the same order as in the first 5 s above, and a worker that does what it is told each time.
      name: "unprotected",
      subject: "unprotected",
      scenario: {
        workers: 2,
        load: {
          ...messages,
          copies: copies(30_000),
          phases: [
            { name: "warm-up", forMs: 1_500, perSecond: 400 },
            { name: "kills", forMs: 3_500, perSecond: 735 },
          ],
        },
        faults: [{ kind: "kill-workers", fromMs: 2_000, toMs: 4_600, count: 2, recoveryMs, meets }],
        worker: { ...worker, sessionTimeoutMs: 1_000 },
        settleMs: 10_000,
      },
    },
  ],
};

const quick: Scenario = {
  workers: 2,
  load: {
    ...messages,
    copies: copies(7_000),
    phases: [
      { name: "warm-up", forMs: 500, perSecond: 300 },
      { name: "kills", forMs: 9_300, perSecond: 400 },
      { name: "calm", forMs: 1_000, perSecond: 400 },
    ],
  },
  faults: [{ kind: "kill-workers", fromMs: 800, toMs: 9_500, count: 3, recoveryMs, meets }],
  worker,
  settleMs: 8_000,
  replay: { withinMs: 15_000 },
  limits: { minDuplicates: 1_000, minKills: 3, minTwins: 200 },
};

const proof: Scenario = {
  ...quick,
  load: {
    ...messages,
    copies: copies(4_000),
    phases: [
      { name: "warm-up", forMs: 500, perSecond: 300 },
      { name: "kills", forMs: 5_200, perSecond: 500 },
    ],
  },
  faults: [{ kind: "kill-workers", fromMs: 600, toMs: 5_600, count: 2, recoveryMs, meets }],
  settleMs: 5_000,
  limits: { minDuplicates: 400, minKills: 2, minTwins: 60 },
};

const effectTables = ["ledger", "declined"];

/** Short: what is done twice without a kill is done twice at once. */
const proofInCalm: Scenario = {
  ...proof,
  load: {
    ...messages,
    copies: copies(1_200),
    phases: [{ name: "calm", forMs: 1_800, perSecond: 500 }],
  },
  faults: [],
};

const lab: Lab = {
  name: "idempotency",
  title: "duplicates ignored, one effect, budgets respected",
  question:
    "How does a worker spend money exactly once, when the same payment comes several times, on two partitions at once, and after every crash again?",
  lesson: 4,
  home: import.meta.url,
  partitions: 4,
  profiles: { quick, full },
  proof,
  proofInCalm,
  tables: [decided("ledger"), decided("declined"), conflicts],
  watches: [accounts],
  criteria: [
    lossless,
    duplicatesDelivered(effectTables),
    oneEffectPerKey(effectTables),
    budgetRespected("accounts", "declined"),
    raceSafe(effectTables),
    crashSafe(effectTables),
    conflictFlagged(effectTables, "key_conflicts"),
    replayHarmless("accounts"),
  ],
  charts: [effectsChart, deliveriesChart, killsChart, budgetsChart, booksChart],
};
export default lab;

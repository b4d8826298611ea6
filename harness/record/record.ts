/**
 * The record of a run: all that was observed, in one JSON file, and nothing concluded from it.
 *
 * Times are milliseconds since the load began (`startedAt`), rounded to 0.1 ms; what happened before
 * it is negative. Verdicts, charts and pages are pure functions of this value.
 */
import { z } from "zod";

/**
 * Raised when the shape changes, or what a lab makes of it: the plan of a load, the form of a column. A reader refuses
 * what it does not know.
 *
 * 2: `edge` begins with a warm-up; kept values are read as length and MD5.
 */
export const recordVersion = 2;

const ms = z.number();
const count = z.number().int().nonnegative();
const serviceName = z.enum(["kafka", "postgres", "redis"]);

const quantiles = z.object({ p50: z.number(), p99: z.number(), max: z.number(), samples: count });

/** How fit the machine was to measure on. */
const host = z.object({
  platform: z.string(),
  arch: z.string(),
  cpuModel: z.string(),
  cpus: count,
  memoryBytes: count,
  node: z.string(),
  /** Before the load: how late a 10 ms timer fires, and which share of one CPU a busy loop is given. */
  calibration: z.object({ timerLatenessMs: quantiles, cpuShare: z.number() }),
  /** During the load. `foreignCpuShare`: share of the whole machine used by programs that are not of this run, or stolen by the hypervisor; null where it cannot be told. */
  duringRun: z.object({
    eventLoopDelayMs: quantiles,
    foreignCpuShare: z.number().nullable(),
    /** Wall clock against monotonic clock over the run. */
    clockDriftMs: z.number(),
  }),
});

const phase = z.object({ name: z.string(), startMs: ms, endMs: ms, perSecond: z.number() });

/** One thing broken on purpose. Measurements between `startMs` and `clearMs` are inside its window. */
const fault = z.object({
  name: z.string(),
  kind: z.string(),
  startMs: ms,
  /** When the cause was removed: the network healed, the new worker started. */
  healMs: ms,
  /** Until when its consequences are expected; a stated allowance, not a measurement. */
  clearMs: ms,
  /** Filled for a killed worker: group offsets, by partition, after it died and before the next one started. */
  committedOffsets: z.array(z.number()).optional(),
  /** Whether rows were being stored when it struck; what strikes a worker at rest puts nothing to the test. */
  flowing: z.boolean().optional(),
  /** Filled for a killed worker: its id, and what the kill was to meet. */
  worker: z.string().optional(),
  meets: z.enum(["write", "transaction", "anything", "waiting"]).optional(),
  note: z.string().optional(),
});

/** Every planned message in order; a column each, so that 100,000 messages stay a few megabytes. */
const ledger = z.object({
  /** Messages the plan holds; each column has this many entries. */
  planned: count,
  partition: z.array(z.number()),
  /** Broker offset; -1 when the broker never acknowledged it. */
  offset: z.array(z.number()),
  /** When it was handed to the client, and when the broker's acknowledgement came (-1: never). */
  sentMs: z.array(z.number()),
  ackedMs: z.array(z.number()),
  /** When the harness ended the load before its time, because the worker had ended by itself; null otherwise. */
  stoppedMs: ms.nullable(),
  /** Errors of sends, first few. */
  errors: z.array(z.string()),
  /** End offset of each partition after the load, read from the broker. */
  endOffsets: z.array(z.number()),
});

/**
 * Rows of a table, relative to the ledger: a row that equals, column by column, what message `i` must
 * become is stored as `i`; any other row is stored whole. Lossless (see rows.ts).
 */
const table = z.object({
  name: z.string(),
  columns: z.array(z.string()),
  /** Message index of each row that is exactly as sent. */
  asSent: z.array(z.number()),
  /** Commit time of each of those rows, by the database's clock; null when the database does not keep it. */
  asSentCommittedMs: z.array(z.number().nullable()),
  others: z.array(z.object({ values: z.array(z.string().nullable()), committedMs: z.number().nullable() })),
});

/** One look at the group's offsets, then at the tables. */
const commitSample = z.object({
  /** When the offsets had been read. */
  atMs: ms,
  /** Committed offset by partition; -1 when the group has none. */
  committed: z.array(z.number()),
  /** Messages below a committed offset that were looked up in the tables for the first time. */
  checked: count,
  /** Those of them that were in no table, as [partition, offset]. */
  missing: z.array(z.tuple([z.number(), z.number()])),
});

const workerProcess = z.object({
  id: z.string(),
  pid: count,
  startMs: ms,
  /** Group stable with every partition assigned; null when that never came. */
  readyMs: ms.nullable(),
  exit: z
    .object({
      atMs: ms,
      code: z.number().nullable(),
      signal: z.string().nullable(),
      /** Whether the harness ended it. */
      planned: z.boolean(),
      /** It was told to end by SIGTERM. */
      told: z.boolean().optional(),
      /** The end of its output, when it was not. */
      tail: z.string(),
    })
    .nullable(),
  /** Resident memory and CPU time used so far, sampled. */
  samples: z.array(z.object({ atMs: ms, rssBytes: count, cpuMs: z.number() })),
});

/** What reached the downstream service, in labs that have one. */
export const gatewaySchema = z.object({
  /** From `startMs` on a call took `workMs`. */
  steps: z.array(z.object({ startMs: ms, workMs: z.number() })),
  /** What a call cost beyond the gateway's work, before the load: same host, as many calls at once as the worker makes. */
  callOverhead: z.object({ meanMs: z.number(), p50Ms: z.number(), p99Ms: z.number(), samples: count }),
  /** What calls of the harness's own cost beyond the gateway's work, beside the load; a column each. */
  reference: z.object({ atMs: z.array(ms), overheadMs: z.array(z.number()) }).optional(),
  /** Calls in the order in which they came; a column each. */
  attempts: z.object({
    /** Index of the message; -1 for an event id that was never sent. */
    message: z.array(z.number()),
    arrivedMs: z.array(z.number()),
    /** null when the caller went away before the answer. */
    answeredMs: z.array(z.number().nullable()),
    /** When the caller went away before the answer; null for a call that was answered or is still open. */
    leftMs: z.array(z.number().nullable()).optional(),
    /** How much earlier than noted it may have been answered or left: the gateway was held up. Mostly 0. */
    endLateMs: z.array(z.number()).optional(),
    /** 0 without an answer. */
    status: z.array(z.number()),
    /** Calls that were open when this one came, itself included. */
    open: z.array(z.number()),
  }),
  /** Event ids that were never sent, first few. */
  strangers: z.array(z.string()),
});

/** One look at the consumer group. */
const groupSample = z.object({
  atMs: ms,
  /** As the broker names it: Stable, PreparingRebalance and so on. */
  state: z.string(),
  /** Ids that the broker gave its members; whoever joins anew gets a new one. */
  members: z.array(z.string()),
});

/** One thing an operator did: a command, or a statement on the database. */
const operationStep = z.object({
  name: z.string(),
  startMs: ms,
  endMs: ms,
  /** Arguments of the operator's command; null for a statement. */
  args: z.array(z.string()).nullable(),
  sql: z.string().nullable(),
  /** null when it was killed or could not be started. */
  code: z.number().nullable(),
  killed: z.boolean(),
  stdout: z.string(),
  /** Its end. */
  stderr: z.string(),
  sqlState: z.string().nullable(),
  /** Whether what the step waits for came; null when it waits for nothing. */
  awaited: z.boolean().nullable(),
  /** Rows of the looks taken after it, cells as text. */
  looks: z.record(z.string(), z.array(z.array(z.string().nullable()))),
});
/** Answers to one watched query, cells as text. */
const watched = z.object({
  name: z.string(),
  columns: z.array(z.string()),
  samples: z.array(z.object({ atMs: ms, rows: z.array(z.array(z.string().nullable())) })),
});

/** A second group that read the whole topic after the load. */
const replay = z.object({
  startMs: ms,
  endMs: ms,
  /** Whether it came to the end of the topic in time. */
  drained: z.boolean(),
  /** Messages the topic held. */
  messages: count,
  /** As they were after it; the record's own tables are as they were before. */
  tables: z.array(table),
});
const alert = z.object({ atMs: ms, body: z.unknown() });

const runSchema = z.object({
  version: z.literal(recordVersion),
  lab: z.string(),
  subject: z.object({ name: z.string(), command: z.array(z.string()) }),
  profile: z.enum(["quick", "full"]),
  /** When another number of kills was asked for than the profile has. */
  kills: count.optional(),
  seed: z.number().int(),
  /** Epoch milliseconds of the start of the load. */
  startedAt: z.number(),
  finishedMs: ms,
  /** The command that repeats the run. */
  command: z.string(),
  stack: z.object({
    kind: z.enum(["native", "containers", "external"]),
    why: z.string(),
    versions: z.record(serviceName, z.string()),
    /** What the stack could not do, in words; criteria that need it are unknown. */
    limits: z.array(z.string()),
  }),
  /** Numbers the run was made with, for people and for thresholds: session timeout, concurrency and so on. */
  parameters: z.record(z.string(), z.union([z.string(), z.number()])),
  host,
  topic: z.object({ name: z.string(), partitions: count }),
  phases: z.array(phase),
  faults: z.array(fault),
  ledger,
  tables: z.array(table),
  commitSamples: z.array(commitSample),
  /** What went through each proxy so far. */
  linkSamples: z.array(
    z.object({
      atMs: ms,
      service: serviceName,
      toServiceBytes: count,
      toWorkerBytes: count,
      /** Events of the topic that workers were handed, each once; of Kafka, where it can be told. */
      fetchedEvents: count.optional(),
    }),
  ),
  workers: z.array(workerProcess),
  gateway: gatewaySchema.optional(),
  groupSamples: z.array(groupSample).optional(),
  /** In labs with an operator; the tables above were read before the first step. */
  operation: z.array(operationStep).optional(),
  /** What was posted to ALERT_URL. */
  alerts: z.array(alert).optional(),
  watches: z.array(watched).optional(),
  replay: replay.optional(),
  /** When the settle phase ended, and whether everything was committed by then. */
  settled: z.object({ atMs: ms, drained: z.boolean() }),
});

export const recordSchema = runSchema.extend({
  /** Companion runs of the same seed, in the order of the scenario. */
  arms: z.array(z.object({ name: z.string(), record: runSchema })).optional(),
});

/** The record of a drill: the same frame, and what its own watchers saw. */
export const drillRecordSchema = runSchema
  .pick({
    version: true,
    lab: true,
    subject: true,
    profile: true,
    seed: true,
    startedAt: true,
    finishedMs: true,
    command: true,
    parameters: true,
    host: true,
    phases: true,
    faults: true,
    workers: true,
    settled: true,
  })
  .extend({
    stack: runSchema.shape.stack.extend({
      kind: z.literal("none"),
      versions: z.record(z.string(), z.string()),
    }),
    drill: z.unknown(),
  });

export type RunRecord = z.infer<typeof recordSchema>;
export type DrillRecord = z.infer<typeof drillRecordSchema>;
export type AnyRecord = RunRecord | DrillRecord;

export const isDrillRecord = (record: AnyRecord): record is DrillRecord => "drill" in record;
export type Phase = z.infer<typeof phase>;
export type Fault = z.infer<typeof fault>;
export type Ledger = z.infer<typeof ledger>;
export type TableRecord = z.infer<typeof table>;
export type CommitSample = z.infer<typeof commitSample>;
export type GatewayRecord = z.infer<typeof gatewaySchema>;
export type GroupSample = z.infer<typeof groupSample>;
export type OperationStep = z.infer<typeof operationStep>;
export type AlertRecord = z.infer<typeof alert>;
export type WatchRecord = z.infer<typeof watched>;
export type ReplayRecord = z.infer<typeof replay>;
export type WorkerRecord = z.infer<typeof workerProcess>;
export type HostRecord = z.infer<typeof host>;

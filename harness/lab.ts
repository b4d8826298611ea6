/** A lab as one value: scenario, tables, criteria, charts. Adding a lab is one folder with one of these. */
import type { Malformation, PlannedMessage, SentMessage } from "./load/messages.ts";
import type { Operation } from "./operate/operation.ts";
import type { Chart } from "./report/chart.ts";
import type { ServiceName } from "./stack/stack.ts";
import type { Evidence } from "./verdict/evidence.ts";
import type { Finding } from "./verdict/verdict.ts";

export type Profile = "quick" | "full";

/** A stretch of constant offered load. Phases follow one another without a gap. */
export interface LoadPhase {
  readonly name: string;
  readonly forMs: number;
  readonly perSecond: number;
  /** Healthy events alone: for code and servers that have only just begun. */
  readonly healthy?: true;
}

export interface Load {
  readonly phases: readonly LoadPhase[];
  /** Different keys; each is one account, and keeps its order. */
  readonly accounts: number;
  /** Length in characters of each event's padding. */
  readonly paddingLength: number;
  /** One message in this many is malformed, at a seeded place; 0 for none. */
  readonly malformedOneIn: number;
  /** What takes turns among the malformed ones; default: all kinds but `invalid`, 1 MB in one of 40. */
  readonly malformations?: readonly Malformation[];
  /** Well-formed events that the gateway does not accept at first. */
  readonly trouble?: readonly Trouble[];
  /** Whether each message carries the header `trace`, with bytes of its own. */
  readonly traced?: boolean;
  /** Events that come more than once. */
  readonly copies?: readonly CopyKind[];
}

/** A message that is an event sent before. */
export interface CopyKind {
  readonly name: string;
  /** One message in this many is such a copy. */
  readonly oneIn: number;
  /** How long after the original, drawn evenly, ms. [0, 0]: in the same request as the original. */
  readonly afterMs: readonly [least: number, most: number];
  /** Whether it goes to another partition than the original. */
  readonly elsewhere?: boolean;
  /** Whether it has another amount: the same event id, used for something else. */
  readonly conflicting?: boolean;
}

/** Events that the gateway answers with `status` in their first `times` attempts; one in `oneIn` is one. */
export interface Trouble {
  readonly name: string;
  readonly oneIn: number;
  /** 0: it does not answer at all, and the caller must give up by itself. */
  readonly status: 0 | 422 | 503;
  /** Infinity: always. */
  readonly times: number;
}

/** Something to break, and when: milliseconds since the load began. */
export type FaultPlan =
  | {
      readonly kind: "kill-worker";
      readonly atMs: number;
      /** Allowance until the group works again, in addition to the session timeout. */
      readonly recoveryMs: number;
      /** Default "write". "waiting" strikes at its time, whether or not rows flow. */
      readonly meets?: KillMeets;
    }
  | {
      /** Kills spread over a stretch of the load, one in each equal part of it, at a moment drawn from the seed. */
      readonly kind: "kill-workers";
      readonly fromMs: number;
      readonly toMs: number;
      readonly count: number;
      readonly recoveryMs: number;
      /** They take turns. */
      readonly meets: readonly KillMeets[];
    }
  | {
      readonly kind: "cut";
      readonly atMs: number;
      readonly service: ServiceName;
      readonly forMs: number;
      readonly recoveryMs: number;
    }
  | {
      /** SIGKILL of a server, and its start on the same data `forMs` later; at its time, whether or not rows flow. */
      readonly kind: "restart";
      readonly atMs: number;
      readonly service: ServiceName;
      readonly forMs: number;
      readonly recoveryMs: number;
    };

/**
 * What a kill is to meet. `write`: a batch that is stored and not yet committed to Kafka. `transaction`: rows written
 * in a transaction that is still open. `anything`: whatever a worker at work does just then. `waiting`: work that waits
 * for a later time.
 */
export type KillMeets = "write" | "transaction" | "anything" | "waiting";

/** What workers are told by environment; see the worker contract. */
export interface WorkerSettings {
  readonly sessionTimeoutMs: number;
  readonly concurrency: number;
  readonly maxInFlight: number;
  /** The retry policy, `RETRY_*`; without it the worker is not told of any. */
  readonly retry?: RetrySettings;
}

/** The wait after attempt n is min(cap, base x factor^(n-1)), less a random share of up to `jitter`. */
export interface RetrySettings {
  /** Attempts in all, the first included. */
  readonly maxAttempts: number;
  readonly baseMs: number;
  readonly factor: number;
  readonly capMs: number;
  /** 0 to 1. */
  readonly jitter: number;
}

/** The downstream service that workers call once an event, where a lab has one. */
export interface GatewayPlan {
  /** How long a call takes, in ms: one for each phase of the load; the last holds until the run ends. */
  readonly workMs: readonly number[];
  /** A time in which every call is answered with 503. */
  readonly brownOut?: BrownOut;
  /**
   * Whether the overhead of a call is measured beside the load too, by at most forty calls a second of the harness's
   * own: for criteria of how fast a worker can be. Default: before the load only.
   */
  readonly reference?: boolean;
}

/** Since the load began. */
export interface BrownOut {
  readonly startMs: number;
  readonly endMs: number;
  /** After its end the share of calls that still fail falls from all to none, in a straight line. Default 0. */
  readonly easesMs?: number;
}

export interface Scenario {
  readonly load: Load;
  readonly gateway?: GatewayPlan;
  readonly faults: readonly FaultPlan[];
  readonly worker: WorkerSettings;
  /** Workers in the group. Default 1. */
  readonly workers?: number;
  /** What an operator does after the load, while the worker runs. */
  readonly operation?: Operation;
  /** How long the backlog may take to drain after the load. */
  readonly settleMs: number;
  /**
   * When all is worked off. `committed` (default): the group's offsets are at the end of the topic. `stored`: besides,
   * every acknowledged message is in a table, for workers that take a message off the topic before it has ended.
   */
  readonly settledWhen?: "committed" | "stored";
  /** At the end the whole topic is read once more, by a second group. */
  readonly replay?: { readonly withinMs: number };
  /** Numbers only the lab's own criteria use; they are copied into the record. */
  readonly limits?: Readonly<Record<string, number>>;
  /** Runs of the same seed that follow this one, for criteria and charts that compare; see `Evidence.arm`. */
  readonly arms?: readonly Arm[];
}

/** A companion of the main run, on a fresh place. */
export interface Arm {
  readonly name: string;
  /** A subject of the lab to run instead of the one under test, such as a pitfall. */
  readonly subject?: string;
  /** It may run beside the arm before it: no time that is measured in it is judged. */
  readonly besideLast?: true;
  readonly scenario: Omit<Scenario, "arms">;
}

/** A table the worker writes, and what a message must become in it. */
export interface LabTable {
  readonly name: string;
  /** Columns read back, as SQL expressions that give text. */
  readonly columns: readonly { readonly name: string; readonly sql: string }[];
  /**
   * Whether this message may end in this table. One that may end in several must end in one of them: which one, the
   * run decides, and the lab's own criteria judge.
   */
  readonly belongs: (message: PlannedMessage) => boolean;
  /** The row a message that belongs here must become, as text by column. */
  readonly expected: (message: SentMessage) => readonly (string | null)[];
  /**
   * How a row tells the message it came from: by one column with the event id, or by three columns with
   * topic, partition and offset, in this order.
   */
  readonly key: { readonly by: "event" | "origin"; readonly columns: readonly string[] };
}

/** A query that is asked again and again during the run; each answer is one snapshot of the database. */
export interface WatchedQuery {
  readonly name: string;
  readonly columns: readonly string[];
  /** Gives one row for each thing watched, in a fixed order, and the columns above. */
  readonly sql: string;
  /** At most; a query that takes long is asked less often. */
  readonly everyMs: number;
}

/** What may follow a run's load. */
export type RunPart = "arms" | "operation" | "replay";

export interface Criterion {
  readonly id: string;
  readonly claim: string;
  /** What it judges besides the load: without it the criterion is unknown. */
  readonly needs?: readonly RunPart[];
  /** True when the number depends on how fast host and broker were: a failure is then unknown where they were unfit. */
  readonly timing?: boolean;
  /** Pure: evidence in, finding out. */
  readonly judge: (evidence: Evidence) => Finding;
}

export interface Lab {
  readonly name: string;
  /** What the lab proves, in one line. */
  readonly title: string;
  /** The question a learner starts from. */
  readonly question: string;
  /** Its place in the curriculum: `npm start` keeps this order. Labs without one come last. */
  readonly lesson?: number;
  /** `import.meta.url` of lab.ts: subjects and schema.sql are beside it. */
  readonly home: string;
  readonly partitions: number;
  readonly profiles: Readonly<Record<Profile, Scenario>>;
  /**
   * The shortest scenario in which a mistake still fails its criterion, with so few events that two labs can share the
   * machine: what `npm test` runs pitfalls with, without the parts that the criterion does not need. Default: the quick
   * profile.
   */
  readonly proof?: Scenario;
  /** A shorter one, without faults, for mistakes that show without any. Default: `proof`. */
  readonly proofInCalm?: Scenario;
  /** The same for mistakes that show by time or volume only; needs the machine to itself. Default: `proof`. */
  readonly proofUnderLoad?: Scenario;
  readonly tables: readonly LabTable[];
  readonly watches?: readonly WatchedQuery[];
  readonly criteria: readonly Criterion[];
  readonly charts: readonly ((evidence: Evidence) => Chart)[];
}

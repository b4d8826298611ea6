/**
 * A drill: a lab that needs no services. The subject is an ordinary process again, judged by what it does; but the
 * drill itself says what it is given and how it is watched, and keeps what was seen in its own shape.
 */
import type { z } from "zod";
import type { Lab, Profile } from "./lab.ts";
import type { DrillRecord, Fault, Phase } from "./record/record.ts";
import type { Chart } from "./report/chart.ts";
import type { WorkerProcess } from "./subject/worker.ts";
import type { Finding } from "./verdict/verdict.ts";

/** `Seen`: what was observed, as the record keeps it. */
export interface Drill<Seen = unknown> {
  readonly kind: "drill";
  readonly name: string;
  /** What it proves, in one line. */
  readonly title: string;
  /** The question a learner starts from. */
  readonly question: string;
  /** Its place in the curriculum: `npm start` keeps this order. Labs without one come last. */
  readonly lesson?: number;
  /** `import.meta.url` of lab.ts: subjects are beside it. */
  readonly home: string;
  /** Numbers that a run is made with, copied into the record. */
  readonly profiles: Readonly<Record<Profile, Readonly<Record<string, number>>>>;
  /** Fewer or shorter rounds in which every mistake still shows; default `quick`. */
  readonly proof?: Readonly<Record<string, number>>;
  /** The same for mistakes that show by time or volume only; needs the machine to itself. Default: `proof`. */
  readonly proofUnderLoad?: Readonly<Record<string, number>>;
  /** Reads `Seen` from a record. */
  readonly seen: z.ZodType<Seen>;
  /** Puts the subject to the test, and concludes nothing. What it started it ends, whatever happens. */
  observe(run: DrillRun): Promise<Observation<Seen>>;
  readonly criteria: readonly DrillCriterion<Seen>[];
  charts(evidence: DrillEvidence<Seen>): readonly Chart[];
}

export type AnyLab = Lab | Drill;

export const isDrill = (lab: AnyLab): lab is Drill => "kind" in lab;

/** What `observe` works with. */
export interface DrillRun {
  readonly seed: number;
  /** A number of the profile; throws a RangeError for a name it does not have. */
  parameter(name: string): number;
  /** Starts the subject with these variables beside the harness's own. Rejects when it cannot be started. */
  start(environment: Readonly<Record<string, string>>): Promise<WorkerProcess>;
  /**
   * Waits until the subject does its work, and notes since when it does.
   * @param what completes "waited for ..."
   * @throws CannotRun with the end of its output when that does not come within 15 s
   */
  untilReady(what: string, probe: () => Promise<boolean> | boolean): Promise<void>;
  /** SIGKILL to the subject; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM to the subject, and SIGKILL after 10 s; resolves when it is gone. */
  terminate(): Promise<void>;
  /**
   * The load begins in so many ms (default 0): all times count from then. Call it once.
   * @param phases for people, who are told how far it is; default: none
   */
  begin(inMs?: number, phases?: readonly Phase[]): void;
  /** Milliseconds since `begin`; negative before it. */
  now(): number;
  /** Epoch milliseconds of `begin`. */
  readonly startedAt: number;
  /** Aborted when the harness is being stopped, or the subject ended by itself. */
  readonly signal: AbortSignal;
  /** For people: how far it is. */
  say(event: string): void;
}

export interface Observation<Seen> {
  readonly seen: Seen;
  readonly phases: readonly Phase[];
  readonly faults?: readonly Fault[];
}

/** What judges and charts read. */
export interface DrillEvidence<Seen> {
  readonly record: DrillRecord;
  readonly seen: Seen;
  /** Throws a RangeError when the record lacks it. */
  parameter(name: string): number;
}

export interface DrillCriterion<Seen> {
  readonly id: string;
  readonly claim: string;
  /** As in `Criterion`. */
  readonly timing?: boolean;
  /** Pure. */
  judge(evidence: DrillEvidence<Seen>): Finding;
}

/** A number by its name; throws a RangeError when there is none. */
export function numberOf(parameters: Readonly<Record<string, unknown>>, name: string): number {
  const value = parameters[name];
  if (typeof value !== "number") throw new RangeError(`there is no number "${name}"`);
  return value;
}

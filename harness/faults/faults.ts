/** Breaks what the scenario says, when it says so, and notes what was done. */
import type pg from "pg";
import type { FaultPlan } from "../lab.ts";
import type { CommitProbe } from "../probe/commits.ts";
import type { Fault } from "../record/record.ts";
import type { Stack } from "../stack/stack.ts";
import type { Crew } from "../subject/crew.ts";
import { pauseFor, until } from "../until.ts";
import { killWorker, planKills } from "./kills.ts";

/** A newest row older than this means that none flow; looks come every 100 ms. */
const flowingWithinMs = 500;
/** The contract's time for a recovery, in addition to the session timeout. */
const recoveryMs = 4_000;

export interface FaultContext {
  readonly stack: Stack;
  readonly crew: Crew;
  readonly probe: CommitProbe;
  /** When the load ends: a kill that is late for it would put nothing to the test, and is left out. */
  readonly loadMs: number;
  /** Of the run: draws the moments of kills. */
  readonly seed: number;
  /** The probe's connection to the worker's database, and the tables whose rows are effects. */
  readonly database: pg.Client;
  readonly tables: readonly string[];
  /** How many workers there are at once, and how many partitions they share. */
  readonly workers: number;
  readonly partitions: number;
  /** Undefined for an event that was sent to another partition as well: its row does not tell by which it came. */
  readonly partitionOf: (message: number) => number | undefined;
  /** The group's members when it is stable with all its workers; else undefined. */
  readonly readyMembers: () => Promise<readonly string[] | undefined>;
  readonly sessionTimeoutMs: number;
  /** Now, in ms since the load began. */
  readonly now: () => number;
  /** The group's offsets by partition, read now. */
  readonly committed: () => Promise<number[]>;
  readonly signal: AbortSignal;
  readonly onFault: (line: string) => void;
}

/** Why a plan cannot be carried out on this stack; empty when all can. */
export function limitsOf(plans: readonly FaultPlan[], stack: Stack): string[] {
  const limits = plans.flatMap((plan) => {
    if (plan.kind === "restart") return stack.cannot("restart", plan.service) ?? [];
    if (plan.kind === "cut") return stack.cannot("cut", plan.service) ?? [];
    const meets = plan.kind === "kill-workers" ? plan.meets : [plan.meets ?? "write"];
    return [
      meets.includes("write") ? stack.cannot("stall", "kafka") : undefined,
      meets.includes("transaction") ? stack.cannot("stall", "postgres") : undefined,
    ].filter((limit) => limit !== undefined);
  });
  return [...new Set(limits)];
}

/**
 * Runs the plans one after the other, each at its time.
 * @param done gets each fault when it is over, so that those are known which came before the end of a run cut short
 */
export async function breakThings(
  plans: readonly FaultPlan[],
  context: FaultContext,
  done: Fault[],
): Promise<void> {
  let members: readonly string[] = [];
  for (const plan of planKills(plans, context.seed).sort((a, b) => a.atMs - b.atMs)) {
    await pauseFor(plan.atMs - context.now(), context.signal);
    if (plan.kind === "restart") {
      if (context.stack.cannot("restart", plan.service) === undefined)
        done.push(await restart(plan, context));
      continue;
    }
    if (plan.kind === "kill-worker" && plan.meets === "waiting") {
      done.push(await killWorker(plan, context));
      continue;
    }
    if (context.workers > 1) members = await wholeCrew(members, context);
    const flowing = await rowsFlow(done.at(-1)?.healMs ?? 0, context);
    // On a slow machine the last kill of a row meets what is still to be worked off. Without that it would prove nothing.
    if (plan.kind === "kill-worker" && !flowing && context.now() > context.loadMs) continue;
    if (plan.kind === "kill-worker") done.push({ ...(await killWorker(plan, context)), flowing });
    else if (context.stack.cannot("cut", plan.service) === undefined) {
      done.push({ ...(await cut(plan, context)), flowing });
    }
  }
}

/**
 * Of several workers one that joins has no part in the work yet, and one that died is a member until its session has
 * timed out: waits until the group is whole again, or as long as that may take.
 * @param before members at the fault before
 * @returns the members
 */
async function wholeCrew(
  before: readonly string[],
  { readyMembers, sessionTimeoutMs, signal }: FaultContext,
): Promise<readonly string[]> {
  try {
    return await until(
      "the whole group",
      async () => {
        const members = await readyMembers();
        return members?.some((id) => !before.includes(id)) === true && members;
      },
      { timeoutMs: sessionTimeoutMs + recoveryMs, everyMs: 50, signal },
    );
  } catch {
    signal.throwIfAborted();
    return before;
  }
}

/**
 * Waits until rows flow again after the fault before: what strikes a worker at rest puts nothing to the test.
 * Says whether they did before the time for a recovery was over.
 */
async function rowsFlow(sinceMs: number, context: FaultContext): Promise<boolean> {
  const { probe, now, signal } = context;
  try {
    await until(
      "rows to flow",
      () => {
        const ageMs = Date.now() - probe.newestCommitEpochMs();
        return ageMs < flowingWithinMs && now() - ageMs > sinceMs;
      },
      { timeoutMs: context.sessionTimeoutMs + recoveryMs, everyMs: 20, signal },
    );
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

/** A server that dies and comes back with what it had on its disk. */
async function restart(
  plan: Extract<FaultPlan, { kind: "restart" }>,
  { stack, now, signal, onFault }: FaultContext,
): Promise<Fault> {
  const startMs = round(now());
  onFault(`SIGKILL of ${plan.service}, back in ${plan.forMs / 1000} s`);
  await stack.kill(plan.service);
  try {
    await pauseFor(plan.forMs, signal);
  } finally {
    await stack.restart(plan.service);
  }
  const healMs = round(now());
  return {
    name: `restart of ${plan.service}`,
    kind: plan.kind,
    startMs,
    healMs,
    clearMs: healMs + plan.recoveryMs,
  };
}

async function cut(plan: Extract<FaultPlan, { kind: "cut" }>, context: FaultContext): Promise<Fault> {
  const link = context.stack.link(plan.service);
  const startMs = round(context.now());
  context.onFault(`cut of ${plan.service} for ${plan.forMs / 1000} s`);
  link?.cut();
  try {
    await pauseFor(plan.forMs, context.signal);
  } finally {
    link?.heal();
  }
  const healMs = round(context.now());
  return { name: `cut ${plan.service}`, kind: plan.kind, startMs, healMs, clearMs: healMs + plan.recoveryMs };
}

const round = (ms: number) => Math.round(ms * 10) / 10;

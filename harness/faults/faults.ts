/** Breaks what the scenario says, when it says so, and notes what was done. */
import type { FaultPlan } from "../lab.ts";
import type { CommitProbe } from "../probe/commits.ts";
import type { Fault } from "../record/record.ts";
import type { Stack } from "../stack/stack.ts";
import type { Crew } from "../subject/crew.ts";
import { pauseFor, until } from "../until.ts";

/** A newest row older than this means that none flow; looks come every 100 ms. */
const flowingWithinMs = 500;
/** The contract's time for a recovery, in addition to the session timeout. */
const recoveryMs = 4_000;

export interface FaultContext {
  readonly stack: Stack;
  readonly crew: Crew;
  readonly probe: CommitProbe;
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
    return plan.meets === "waiting" ? [] : (stack.cannot("stall", "kafka") ?? []);
  });
  return [...new Set(limits)];
}

/** Runs the plans one after the other, each at its time; resolves with what was done. */
export async function breakThings(plans: readonly FaultPlan[], context: FaultContext): Promise<Fault[]> {
  const done: Fault[] = [];
  for (const plan of [...plans].sort((a, b) => a.atMs - b.atMs)) {
    await pauseFor(plan.atMs - context.now(), context.signal);
    if (plan.kind === "restart") {
      if (context.stack.cannot("restart", plan.service) === undefined)
        done.push(await restart(plan, context));
      continue;
    }
    if (plan.kind === "kill-worker" && plan.meets === "waiting") {
      done.push(await replaceWorker(plan, round(context.now()), context));
      continue;
    }
    const flowing = await rowsFlow(done.at(-1)?.healMs ?? 0, context);
    if (plan.kind === "kill-worker") done.push({ ...(await killWorker(plan, context)), flowing });
    else if (context.stack.cannot("cut", plan.service) === undefined) {
      done.push({ ...(await cut(plan, context)), flowing });
    }
  }
  return done;
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

/**
 * SIGKILL at the worst moment a network allows: the way to Kafka is held, the worker stores a batch whose
 * commit cannot arrive, and dies. What it stored is then delivered again, so that duplicates are put to the
 * test in every run and not only when the kill happened to fall between write and commit.
 */
async function killWorker(
  plan: Extract<FaultPlan, { kind: "kill-worker" }>,
  context: FaultContext,
): Promise<Fault> {
  const { stack, probe, now } = context;
  const link = stack.link("kafka");
  const startMs = round(now());
  link?.stall("toService");
  const stalledAt = Date.now();
  const stored = await until(
    "a row that was stored behind a held commit",
    async () => {
      await probe.look();
      return probe.newestCommitEpochMs() > stalledAt;
    },
    { timeoutMs: 1_000, everyMs: 10, signal: context.signal },
  ).catch((error: unknown) => {
    context.signal.throwIfAborted();
    return error instanceof Error ? error.message : String(error);
  });
  const fault = await replaceWorker(plan, startMs, context);
  return stored === true
    ? fault
    : { ...fault, note: `no row was seen behind a held commit before the kill: ${stored}` };
}

async function replaceWorker(
  plan: Extract<FaultPlan, { kind: "kill-worker" }>,
  startMs: number,
  context: FaultContext,
): Promise<Fault> {
  const { crew, now } = context;
  context.onFault("SIGKILL of the worker");
  await crew.killOldest();
  context.stack.link("kafka")?.sever();
  const committedOffsets = await context.committed();
  const successor = await crew.start();
  const healMs = round(now() - (Date.now() - successor.startedAt));
  return {
    name: "kill",
    kind: plan.kind,
    startMs,
    healMs,
    clearMs: healMs + context.sessionTimeoutMs + plan.recoveryMs,
    committedOffsets,
  };
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

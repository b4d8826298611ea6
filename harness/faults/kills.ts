/**
 * SIGKILL of a worker at a moment that puts something to the test, seen and arranged from outside: by holding its way
 * to a service, and by looking at the database meanwhile.
 */
import type pg from "pg";
import type { FaultPlan, KillMeets } from "../lab.ts";
import { integer, randomFor } from "../load/random.ts";
import type { Fault } from "../record/record.ts";
import { pauseFor, until } from "../until.ts";
import type { FaultContext } from "./faults.ts";

export type KillPlan = Extract<FaultPlan, { kind: "kill-worker" }>;

/** What stored rows behind a held commit may take to be seen. */
const storedWithinMs = 1_000;
const transactionWithinMs = 1_500;
/** A transaction that is held is still open after this long; one whose commit slipped through is not. */
const heldForMs = 15;
/** After the first hold behind which nothing was stored. */
const holdsMore = 2;

/** Single kills in place of rows of kills, at moments drawn from the seed: one in the first half of each equal part. */
export function planKills(
  plans: readonly FaultPlan[],
  seed: number,
): Exclude<FaultPlan, { kind: "kill-workers" }>[] {
  return plans.flatMap((plan, at) => {
    if (plan.kind !== "kill-workers") return [plan];
    const { fromMs, toMs, count, recoveryMs, meets } = plan;
    const random = randomFor(seed ^ 0x632be59b, at);
    const partMs = (toMs - fromMs) / count;
    return Array.from(
      { length: count },
      (_, i): KillPlan => ({
        kind: "kill-worker",
        atMs: Math.round(fromMs + i * partMs) + integer(random, 0, Math.floor(partMs / 2)),
        recoveryMs,
        meets: meets[i % meets.length] ?? "anything",
      }),
    );
  });
}

export async function killWorker(plan: KillPlan, context: FaultContext): Promise<Fault> {
  const { crew, now } = context;
  const meets = plan.meets ?? "write";
  const startMs = round(now());
  const { victim, note, release } = await arrange[meets](context);
  context.onFault(`SIGKILL of ${context.workers === 1 ? "the worker" : `a worker (${meets})`}`);
  let killed: Awaited<ReturnType<typeof crew.kill>>;
  let committedOffsets: number[];
  try {
    killed = await crew.kill(victim);
    committedOffsets = await context.committed();
  } finally {
    // Whatever failed: the next run on these servers must find the way open.
    release();
  }
  context.signal.throwIfAborted();
  const successor = await crew.start();
  const healMs = round(now() - (Date.now() - successor.startedAt));
  return {
    name: "kill",
    kind: plan.kind,
    startMs,
    healMs,
    clearMs: healMs + context.sessionTimeoutMs + plan.recoveryMs,
    committedOffsets,
    meets,
    ...(killed === undefined ? {} : { worker: killed.id }),
    ...(note === undefined ? {} : { note }),
  };
}

interface Arranged {
  /** Id of the worker to kill; undefined: the oldest. */
  readonly victim?: string | undefined;
  /** Why the moment was not what it was to be. */
  readonly note?: string;
  /** Lets those go on that live. */
  readonly release: () => void;
}

const arrange: Record<KillMeets, (context: FaultContext) => Promise<Arranged>> = {
  write: holdCommitsAgain,
  transaction: holdTransaction,
  anything: async ({ stack }) => ({ release: () => stack.link("kafka")?.releaseLiving() }),
  waiting: async ({ stack }) => ({ release: () => stack.link("kafka")?.sever() }),
};

/**
 * The worst moment a network allows: the way to Kafka is held, the worker stores a batch whose commit cannot arrive,
 * and dies. What it stored is then delivered again, so that duplicates are put to the test in every run and not only
 * when the kill happened to fall between write and commit. Of several workers each must have stored something: it has,
 * when rows came from more partitions than the others can hold.
 */
async function holdCommits(context: FaultContext): Promise<Arranged> {
  const { stack, probe, partitions, workers } = context;
  const link = stack.link("kafka");
  link?.stall("toService");
  const stalledAt = Date.now();
  const ofOthers = workers === 1 ? 0 : partitions - Math.floor(partitions / workers);
  // As long as a heartbeat may be late without harm to those that are to live.
  const withinMs = workers === 1 ? storedWithinMs : context.sessionTimeoutMs / 4;
  const release = (): void => link?.releaseLiving();
  try {
    await until(
      "a row that was stored behind a held commit",
      async () => {
        await probe.look();
        const from = probe.storedSince(stalledAt).map(context.partitionOf);
        return new Set(from.filter((partition) => partition !== undefined)).size > ofOthers;
      },
      { timeoutMs: withinMs, everyMs: 10, signal: context.signal },
    );
    return { release };
  } catch (error) {
    if (context.signal.aborted) release();
    context.signal.throwIfAborted();
    if (workers > 1 && probe.newestCommitEpochMs() > stalledAt) return { release };
    const why = error instanceof Error ? error.message : String(error);
    return { release, note: `no row was seen behind a held commit before the kill: ${why}` };
  }
}

/**
 * The way is held between two fetches now and then: then nothing comes to be stored. It is let go and held again, with
 * time for the heartbeats of those that are to live.
 */
async function holdCommitsAgain(context: FaultContext): Promise<Arranged> {
  for (let left = context.workers > 1 ? holdsMore : 0; ; left -= 1) {
    const arranged = await holdCommits(context);
    if (arranged.note === undefined || left === 0) return arranged;
    context.stack.link("kafka")?.release();
    await pauseFor(context.sessionTimeoutMs / 4, context.signal);
  }
}

/**
 * A worker has written to one of the lab's tables and not yet committed: its lock on the table shows it. The way to
 * Postgres is held at once; a transaction that is still open a moment later stays so, and its worker dies in it.
 */
async function holdTransaction(context: FaultContext): Promise<Arranged> {
  const { stack, signal } = context;
  const link = stack.link("postgres");
  const release = (): void => link?.releaseLiving();
  try {
    const victim = await until(
      "a worker to be between a write and its commit",
      async () => {
        if ((await openWriters(context)).length === 0) return undefined;
        link?.stall("toService");
        await new Promise((resolve) => setTimeout(resolve, heldForMs));
        const [writer] = await openWriters(context);
        if (writer === undefined) link?.release();
        return writer;
      },
      { timeoutMs: transactionWithinMs, everyMs: 0, signal },
    );
    return { victim, release };
  } catch (error) {
    release();
    signal.throwIfAborted();
    const why = error instanceof Error ? error.message : String(error);
    return { release, note: `no transaction was in flight at the kill: ${why}` };
  }
}

/** Ids of workers, as far as their connections tell them, with rows written and not committed. */
async function openWriters({ database, tables }: FaultContext): Promise<string[]> {
  const { rows } = await (database as pg.Client).query<{ id: string }>({
    name: "open writers",
    text: `
      SELECT DISTINCT activity.application_name AS id
      FROM pg_locks JOIN pg_class ON pg_class.oid = pg_locks.relation JOIN pg_stat_activity AS activity USING (pid)
      WHERE activity.datname = current_database() AND pg_locks.mode = 'RowExclusiveLock'
        AND pg_class.relname = ANY($1::text[])`,
    values: [tables],
  });
  return rows.map(({ id }) => id);
}

const round = (ms: number) => Math.round(ms * 10) / 10;

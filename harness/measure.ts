/** The measured part of a run: load, faults, settle, what operators do, final read, and the record of it all. */
import { breakThings, limitsOf } from "./faults/faults.ts";
import type { CalibratedGateway } from "./gateway/attach.ts";
import type { Scenario } from "./lab.ts";
import { messagesOf, type RunningLoad, toRecord } from "./load/load.ts";
import { planMessages, sentElsewhere } from "./load/messages.ts";
import { randomFor } from "./load/random.ts";
import { schedule } from "./load/schedule.ts";
import { operate } from "./operate/operation.ts";
import type { Webhook } from "./operate/webhook.ts";
import type { Place } from "./place.ts";
import { type CommitProbe, committedOffsets, endOffsets, startCommitProbe } from "./probe/commits.ts";
import type { Fetches } from "./probe/fetches.ts";
import { readTables } from "./probe/final-read.ts";
import { readyMembers, startGroupProbe } from "./probe/group.ts";
import { describeHost } from "./probe/host.ts";
import { databaseClockSkewMs, keepsCommitTimes, tableReader } from "./probe/tables.ts";
import { startWatches } from "./probe/watches.ts";
import { type Fault, type RunRecord, recordVersion } from "./record/record.ts";
import { createLocator, homesOf } from "./record/tables.ts";
import { replayTopic } from "./replay.ts";
import type { Calibration, RunOptions } from "./run-options.ts";
import type { Crew } from "./subject/crew.ts";
import type { WorkerBook } from "./subject/remember.ts";
import { until, untilAborted } from "./until.ts";
import { startWatch } from "./watch.ts";

/** Between the order to start and the first message: time for the order to arrive. */
const leadMs = 150;

/** A run whose worker is ready and whose load waits for the word. */
export interface Measuring extends RunOptions {
  readonly place: Place;
  readonly crew: Crew;
  readonly load: RunningLoad;
  readonly gateway: CalibratedGateway | undefined;
  readonly fetches: Fetches | undefined;
  readonly webhook: Webhook;
  readonly book: WorkerBook;
  /** What a process of that name is told. */
  readonly environment: (workerId: string) => Record<string, string>;
  /** Aborted when a worker ended by itself: there is nothing more to wait for. */
  readonly lost: AbortSignal;
  /** Aborted when the harness is being stopped. */
  readonly signal: AbortSignal;
  readonly calibration: Calibration;
}

export async function measure(run: Measuring): Promise<RunRecord> {
  const { lab, scenario, place, crew, load, stack, onProgress } = run;
  const { workers = 1 } = scenario;
  const phases = schedule(scenario.load.phases);
  const loadMs = phases.at(-1)?.endMs ?? 0;
  const plan = planMessages(run.seed, scenario.load, lab.partitions);
  const messages = messagesOf(plan, place.topic, load.ledger);
  const elsewhere = sentElsewhere(plan);
  const locators = lab.tables.map((table) => createLocator(table, messages));
  const commitTimes = await keepsCommitTimes(place.database);
  const clockSkewMs = await databaseClockSkewMs(place.database);

  const startedAt = Date.now() + leadMs;
  const now = () => Date.now() - startedAt;
  load.start(startedAt);
  run.gateway?.start(startedAt);
  const readers = lab.tables.map((table) => tableReader(place.database, table, commitTimes));
  const probe = startCommitProbe({
    admin: place.admin,
    groupId: place.groupId,
    topic: place.topic,
    partitions: lab.partitions,
    ledger: load.ledger,
    readers,
    locators,
    homesOf: (message) => homesOf(lab.tables, plan.at(message)),
    now,
  });
  const watch = startWatch({
    stack,
    crew,
    ledger: load.ledger,
    probe,
    fetches: run.fetches,
    phases,
    now,
    onProgress,
  });
  const group = startGroupProbe(place.admin, place.groupId, now);
  const endProbes = async (): Promise<RunRecord["host"]["duringRun"]> => {
    await Promise.all([probe.stop(), group.stop()]);
    load.stop();
    return await watch.end();
  };
  const watches = await startWatches(lab.watches ?? [], place.databaseUrl, now).catch(
    async (error: unknown) => {
      await endProbes();
      throw error;
    },
  );
  const stop = AbortSignal.any([run.signal, run.lost]);
  const faults: Fault[] = [];
  let drained = false;
  let settledMs = 0;
  let stoppedMs: number | null = null;
  let tables: RunRecord["tables"] | undefined;
  let ends: number[] | undefined;
  let operation: RunRecord["operation"];
  let replay: RunRecord["replay"];
  let watched: RunRecord["watches"];
  let duringRun: RunRecord["host"]["duringRun"];
  const tablesNow = () => readTables(readers, locators, messages, probe, startedAt + clockSkewMs);
  try {
    const broken = breakThings(
      scenario.faults,
      {
        stack,
        crew,
        probe,
        loadMs,
        seed: run.seed,
        database: place.database,
        tables: lab.tables.map(({ name }) => name),
        workers,
        partitions: lab.partitions,
        partitionOf: (message) => (elsewhere.has(message) ? undefined : load.ledger.partition[message]),
        readyMembers: () => readyMembers(place.admin, place.groupId, place.topic, lab.partitions, workers),
        sessionTimeoutMs: scenario.worker.sessionTimeoutMs,
        now,
        committed: () => committedOffsets(place.admin, place.groupId, place.topic, lab.partitions),
        signal: stop,
        onFault: (event) => onProgress({ step: "load", event }),
      },
      faults,
    );
    await untilAborted(stop, Promise.all([load.finished, broken]));
    run.signal.throwIfAborted();
    if (run.lost.aborted && now() < loadMs) stoppedMs = now();
    load.stop();
    // What is in flight is answered within the client's own timeout: the ledger must not miss it.
    await load.finished.catch(() => undefined);
    if (!run.lost.aborted) drained = await settle(run, probe, stop);
    settledMs = now();
    watch.quiet();
    await group.stop();
    if (scenario.operation !== undefined && !run.lost.aborted) {
      // What operators do changes topic and tables: what the load led to is read before.
      await probe.look();
      ends = await endOffsets(place.admin, place.topic, lab.partitions);
      tables = await tablesNow();
      operation = await operate({
        operation: scenario.operation,
        command: run.subject.operator ?? [process.execPath, "--import", "tsx", scenario.operation.tool],
        cwd: run.cwd,
        env: run.environment("operator"),
        database: place.database,
        workerDatabaseUrl: place.workerDatabaseUrl,
        random: randomFor(run.seed, 0x0d1c),
        now,
        signal: stop,
        onProgress: (event) => onProgress({ step: "load", event }),
        enter: run.book.enter,
      });
    }
    onProgress({ step: "read" });
    await crew.terminateAll();
    // What the first group has not done would be new to the second.
    if (scenario.replay !== undefined && drained && !run.lost.aborted) {
      await probe.look();
      ends ??= await endOffsets(place.admin, place.topic, lab.partitions);
      tables ??= await tablesNow();
      onProgress({ step: "load", event: "the whole topic again, by a second group" });
      replay = await replayTopic({
        crew,
        workers,
        admin: place.admin,
        topic: place.topic,
        groupId: place.replayGroupId,
        endOffsets: ends,
        withinMs: scenario.replay.withinMs,
        readTables: tablesNow,
        now,
        signal: stop,
      });
    }
  } finally {
    watched = await watches.end();
    duringRun = await endProbes();
  }
  await probe.look();
  const host = { ...describeHost(), calibration: run.calibration, duringRun };
  ends ??= await endOffsets(place.admin, place.topic, lab.partitions);
  tables ??= await tablesNow();
  return {
    version: recordVersion,
    lab: lab.name,
    subject: { name: run.subject.name, command: [...run.subject.command] },
    profile: run.profile,
    ...(run.kills === undefined ? {} : { kills: run.kills }),
    seed: run.seed,
    startedAt,
    finishedMs: now(),
    command: run.command,
    stack: {
      kind: stack.kind,
      why: stack.why,
      versions: stack.versions,
      limits: limitsOf(scenario.faults, stack),
    },
    parameters: {
      sessionTimeoutMs: scenario.worker.sessionTimeoutMs,
      workerConcurrency: scenario.worker.concurrency,
      workerMaxInFlight: scenario.worker.maxInFlight,
      workers,
      accounts: scenario.load.accounts,
      malformedOneIn: scenario.load.malformedOneIn,
      ...retryParameters(scenario),
      databaseClockSkewMs: clockSkewMs,
      ...scenario.limits,
    },
    host,
    topic: { name: place.topic, partitions: lab.partitions },
    phases: phases.map(({ name, startMs, endMs, perSecond }) => ({ name, startMs, endMs, perSecond })),
    faults,
    ledger: toRecord(load.ledger, ends, stoppedMs),
    tables,
    commitSamples: probe.samples,
    linkSamples: watch.links,
    workers: crew.toRecord(startedAt, group.samples),
    groupSamples: group.samples,
    ...(run.gateway === undefined ? {} : { gateway: await run.gateway.record(messages) }),
    ...(operation === undefined ? {} : { operation, alerts: run.webhook.alerts(startedAt) }),
    ...(lab.watches === undefined ? {} : { watches: watched }),
    ...(replay === undefined ? {} : { replay }),
    settled: { atMs: settledMs, drained },
  };
}

/** Until everything that was acknowledged is worked off, or the time is up. */
async function settle(run: Measuring, probe: CommitProbe, signal: AbortSignal): Promise<boolean> {
  const ends = await endOffsets(run.place.admin, run.place.topic, run.lab.partitions);
  try {
    await until(
      "the backlog to be worked off",
      async () => {
        const sample = probe.samples.at(-1);
        const isCommitted =
          sample?.committed.every((offset, partition) => offset >= (ends[partition] ?? 0)) === true;
        return isCommitted && (run.scenario.settledWhen !== "stored" || (await probe.allStored()));
      },
      { timeoutMs: run.scenario.settleMs, signal },
    );
    return true;
  } catch {
    run.signal.throwIfAborted();
    return false;
  }
}

function retryParameters({ worker: { retry } }: Scenario): Record<string, number> {
  if (retry === undefined) return {};
  const { maxAttempts, baseMs, factor, capMs, jitter } = retry;
  return {
    retryMaxAttempts: maxAttempts,
    retryBaseMs: baseMs,
    retryFactor: factor,
    retryCapMs: capMs,
    retryJitter: jitter,
  };
}

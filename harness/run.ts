/**
 * From a lab and a subject to a record: place, worker, load, faults, settle, final read. It observes and
 * concludes nothing.
 */
import { mkdirSync } from "node:fs";
import { CannotRun, Interrupted } from "./cannot-run.ts";
import { breakThings, limitsOf } from "./faults/faults.ts";
import { type AttachedGateway, attachGateway, type CalibratedGateway } from "./gateway/attach.ts";
import type { Lab, Profile, Scenario } from "./lab.ts";
import { messagesOf, prepareLoad, type RunningLoad, toRecord } from "./load/load.ts";
import { planMessages } from "./load/messages.ts";
import { randomFor } from "./load/random.ts";
import { schedule } from "./load/schedule.ts";
import { operate } from "./operate/operation.ts";
import { openWebhook, type Webhook } from "./operate/webhook.ts";
import { createPlace, type Place } from "./place.ts";
import { type CommitProbe, committedOffsets, endOffsets, startCommitProbe } from "./probe/commits.ts";
import { readTables } from "./probe/final-read.ts";
import { readyMembers, startGroupProbe } from "./probe/group.ts";
import { calibrate, describeHost } from "./probe/host.ts";
import { databaseClockSkewMs, keepsCommitTimes, tableReader } from "./probe/tables.ts";
import { startWatches } from "./probe/watches.ts";
import { type Fault, type RunRecord, recordVersion } from "./record/record.ts";
import { createLocator, homesOf } from "./record/tables.ts";
import { replayTopic } from "./replay.ts";
import { stopAtExit } from "./stack/shutdown.ts";
import type { Stack } from "./stack/stack.ts";
import { workerEnvironment } from "./subject/contract.ts";
import { type Crew, createCrew } from "./subject/crew.ts";
import { openWorkerBook, type WorkerBook } from "./subject/remember.ts";
import type { Subject } from "./subject/resolve.ts";
import { until, untilAborted } from "./until.ts";
import { type Progress, startWatch } from "./watch.ts";

const readyWithinMs = 30_000;
/** Between the order to start and the first message: time for the order to arrive. */
const leadMs = 150;

type Calibration = RunRecord["host"]["calibration"];

export interface RunOptions {
  readonly lab: Lab;
  readonly subject: Subject;
  readonly profile: Profile;
  /** The profile's own scenario, or that of one of its arms. */
  readonly scenario: Scenario;
  /** When another number of kills was asked for than the profile has. */
  readonly kills?: number | undefined;
  readonly seed: number;
  /** How fit the machine is, when that was measured a moment ago. */
  readonly calibration?: Calibration;
  readonly stack: Stack;
  /** The run's own folder; made here. */
  readonly folder: string;
  /** The command that repeats the run. */
  readonly command: string;
  readonly cwd: string;
  readonly onProgress: (progress: Progress) => void;
}

/**
 * @throws CannotRun when the worker never became ready
 * @throws Interrupted when the harness is being stopped; nothing is left running then either
 */
export async function run(options: RunOptions): Promise<RunRecord> {
  const { lab, scenario, stack, onProgress } = options;
  mkdirSync(options.folder, { recursive: true });
  onProgress({ step: "place" });
  const place = await createPlace(stack, lab, runIdOf(options));
  const lost = new AbortController();
  const interrupted = new AbortController();
  const signal = interrupted.signal;
  const book = await openWorkerBook((event) => onProgress({ step: "place", event }));
  const webhook = await openWebhook();
  const crew = createCrew({
    book,
    command: options.subject.command,
    cwd: options.cwd,
    folder: options.folder,
    environment: (workerId) => environmentOf(place, stack, scenario, gateway, webhook, workerId),
    onUnplannedExit: () => lost.abort(new Error("the worker ended by itself")),
  });
  const over = new AbortController();
  let preparing: Promise<RunningLoad> | undefined;
  let gateway: AttachedGateway | undefined;
  const work = async (): Promise<RunRecord> => {
    try {
      const calibration = options.calibration ?? (await calibrate());
      signal.throwIfAborted();
      onProgress({ step: "worker" });
      const order = {
        brokers: stack.direct.kafkaBrokers,
        topic: place.topic,
        warmUpTopic: place.warmUpTopic,
        partitions: lab.partitions,
        seed: options.seed,
        load: scenario.load,
      };
      preparing = prepareLoad(order, over.signal, () => onProgress({ step: "warm-up" }));
      // Awaited below; it may fail while the gateway starts.
      preparing.catch(() => undefined);
      gateway = await attachGateway(scenario, options.seed, lab.partitions, over.signal);
      signal.throwIfAborted();
      const { workers = 1 } = scenario;
      await Promise.all(Array.from({ length: workers }, () => crew.start()));
      const [load] = await Promise.all([
        preparing,
        awaitReady(crew, place, lab, workers, signal, lost.signal),
      ]);
      return await measure({
        ...options,
        place,
        crew,
        load,
        gateway: await gateway?.calibrated(),
        webhook,
        book,
        lost: lost.signal,
        signal,
        calibration,
      });
    } finally {
      over.abort();
      webhook.close();
      await Promise.all([crew.killAll(), preparing?.then((load) => load.close()).catch(() => undefined)]);
      await Promise.all([place.remove(), book.close()]);
    }
  };
  const working = work();
  const forget = stopAtExit({
    name: "the run",
    stop: async () => {
      interrupted.abort(new Interrupted());
      await working.catch(() => undefined);
    },
    stopNow: () => {
      crew.killNow();
      over.abort();
    },
  });
  return working.finally(forget);
}

async function awaitReady(
  crew: Crew,
  place: Place,
  lab: Lab,
  workers: number,
  signal: AbortSignal,
  /** Aborted when the worker ended by itself. */
  lost: AbortSignal,
): Promise<void> {
  try {
    await until(
      "the worker's group to be stable with every partition assigned",
      () => readyMembers(place.admin, place.groupId, place.topic, lab.partitions, workers),
      { timeoutMs: readyWithinMs, everyMs: 50, signal: AbortSignal.any([signal, lost]) },
    );
  } catch (error) {
    signal.throwIfAborted();
    crew.assertAlive();
    const tail = crew.running()[0]?.tail() ?? "";
    throw new CannotRun(error instanceof Error ? error.message : String(error), [
      "a worker is ready when it has joined the group KAFKA_GROUP_ID on KAFKA_TOPIC",
      ...(tail === "" ? [] : [`its last output:\n${tail}`]),
    ]);
  }
  crew.assertAlive();
  crew.markReady();
}

interface Measuring extends RunOptions {
  readonly place: Place;
  readonly crew: Crew;
  readonly load: RunningLoad;
  readonly gateway: CalibratedGateway | undefined;
  readonly webhook: Webhook;
  readonly book: WorkerBook;
  /** Aborted when a worker ended by itself: there is nothing more to wait for. */
  readonly lost: AbortSignal;
  /** Aborted when the harness is being stopped. */
  readonly signal: AbortSignal;
  readonly calibration: Calibration;
}

async function measure(run: Measuring): Promise<RunRecord> {
  const { lab, scenario, place, crew, load, stack, onProgress } = run;
  const { workers = 1 } = scenario;
  const phases = schedule(scenario.load.phases);
  const loadMs = phases.at(-1)?.endMs ?? 0;
  const plan = planMessages(run.seed, scenario.load, lab.partitions);
  const messages = messagesOf(plan, place.topic, load.ledger);
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
  const watch = startWatch({ stack, crew, ledger: load.ledger, probe, phases, now, onProgress });
  const group = startGroupProbe(place.admin, place.groupId, now);
  const watches = await startWatches(lab.watches ?? [], place.databaseUrl, now);
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
        partitionOf: (message) => load.ledger.partition[message] ?? -1,
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
        env: environmentOf(place, stack, scenario, run.gateway, run.webhook, "operator"),
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
        groupId: place.groupId,
        endOffsets: ends,
        withinMs: scenario.replay.withinMs,
        readTables: tablesNow,
        now,
        signal: stop,
      });
    }
  } finally {
    watched = await watches.end();
    await Promise.all([probe.stop(), group.stop()]);
    load.stop();
  }
  await probe.look();
  const host = { ...describeHost(), calibration: run.calibration, duringRun: await watch.end() };
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

function environmentOf(
  place: Place,
  stack: Stack,
  scenario: Scenario,
  gateway: Pick<AttachedGateway, "url"> | undefined,
  webhook: Webhook,
  workerId: string,
): Record<string, string> {
  return workerEnvironment(
    {
      workerId,
      kafkaBrokers: stack.worker.kafkaBrokers,
      topic: place.topic,
      groupId: place.groupId,
      databaseUrl:
        (scenario.workers ?? 1) === 1 ? place.workerDatabaseUrl : named(place.workerDatabaseUrl, workerId),
      redisUrl: stack.worker.redisUrl,
      redisPrefix: place.redisPrefix,
      alertUrl: webhook.url,
      ...(gateway === undefined ? {} : { gatewayUrl: gateway.url }),
    },
    scenario.worker,
  );
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

/** The database tells connections of several workers apart by this name, which every client takes from the URL. */
function named(databaseUrl: string, workerId: string): string {
  const url = new URL(databaseUrl);
  url.searchParams.set("application_name", workerId);
  return url.href;
}

/** Names of this run on shared services: its seed, and its moment so that the same seed can run again. */
function runIdOf({ seed }: RunOptions): string {
  return `${Date.now().toString(36)}-${seed.toString(36)}`;
}

/**
 * From a lab and a subject to a record: place, worker, load, faults, settle, final read. It observes and
 * concludes nothing.
 */
import { mkdirSync } from "node:fs";
import type pg from "pg";
import { CannotRun, Interrupted } from "./cannot-run.ts";
import { breakThings, limitsOf } from "./faults/faults.ts";
import { type AttachedGateway, attachGateway } from "./gateway/attach.ts";
import type { Lab, Profile, Scenario } from "./lab.ts";
import { type LiveLedger, prepareLoad, type RunningLoad, toRecord } from "./load/load.ts";
import { type Plan, planMessages, type SentMessage } from "./load/messages.ts";
import { schedule } from "./load/schedule.ts";
import { createPlace, type Place } from "./place.ts";
import { type CommitProbe, committedOffsets, startCommitProbe } from "./probe/commits.ts";
import { isGroupReady, startGroupProbe } from "./probe/group.ts";
import { calibrate, describeHost, watchHost } from "./probe/host.ts";
import { descendantsOf, processTable } from "./probe/processes.ts";
import { keepsCommitTimes, tableReader } from "./probe/tables.ts";
import { type Fault, type RunRecord, recordVersion } from "./record/record.ts";
import { createLocator, encodeTable, type Locator, type Messages, type Row } from "./record/tables.ts";
import { stopAtExit } from "./stack/shutdown.ts";
import { type ServiceName, type Stack, serviceNames } from "./stack/stack.ts";
import { workerEnvironment } from "./subject/contract.ts";
import { type Crew, createCrew } from "./subject/crew.ts";
import type { Subject } from "./subject/resolve.ts";
import { pauseFor, until } from "./until.ts";

const readyWithinMs = 30_000;
const sampleEveryMs = 250;
/** Between the order to start and the first message: time for the order to arrive. */
const leadMs = 150;

/** Where a run is, for people. Rates and counts are so far. */
export interface Progress {
  readonly step: "place" | "worker" | "load" | "settle" | "read";
  readonly atMs?: number;
  readonly ofMs?: number;
  readonly phase?: string;
  readonly sent?: number;
  readonly committed?: number;
  readonly event?: string;
}

export interface RunOptions {
  readonly lab: Lab;
  readonly subject: Subject;
  readonly profile: Profile;
  readonly seed: number;
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
  const { lab, stack, onProgress } = options;
  mkdirSync(options.folder, { recursive: true });
  const scenario = lab.profiles[options.profile];
  onProgress({ step: "place" });
  const place = await createPlace(stack, lab, runIdOf(options));
  const lost = new AbortController();
  const interrupted = new AbortController();
  const signal = interrupted.signal;
  const crew = createCrew({
    command: options.subject.command,
    cwd: options.cwd,
    folder: options.folder,
    environment: (workerId) => environmentOf(place, stack, scenario, gateway, workerId),
    onUnplannedExit: () => lost.abort(new Error("the worker ended by itself")),
  });
  const over = new AbortController();
  let preparing: Promise<RunningLoad> | undefined;
  let gateway: AttachedGateway | undefined;
  const work = async (): Promise<RunRecord> => {
    try {
      const calibration = await calibrate();
      gateway = await attachGateway(scenario, options.seed, lab.partitions, over.signal);
      signal.throwIfAborted();
      onProgress({ step: "worker" });
      await crew.start();
      const order = {
        brokers: stack.direct.kafkaBrokers,
        topic: place.topic,
        warmUpTopic: place.warmUpTopic,
        partitions: lab.partitions,
        seed: options.seed,
        load: scenario.load,
      };
      preparing = prepareLoad(order, over.signal);
      const [load] = await Promise.all([preparing, awaitReady(crew, place, lab, signal)]);
      return await measure({
        ...options,
        scenario,
        place,
        crew,
        load,
        gateway,
        lost: lost.signal,
        signal,
        calibration,
      });
    } finally {
      over.abort();
      await Promise.all([crew.killAll(), preparing?.then((load) => load.close()).catch(() => undefined)]);
      await place.remove();
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

async function awaitReady(crew: Crew, place: Place, lab: Lab, signal: AbortSignal): Promise<void> {
  try {
    await until(
      "the worker's group to be stable with every partition assigned",
      () => {
        crew.assertAlive();
        return isGroupReady(place.admin, place.groupId, place.topic, lab.partitions);
      },
      { timeoutMs: readyWithinMs, everyMs: 50, signal },
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
  readonly scenario: Scenario;
  readonly place: Place;
  readonly crew: Crew;
  readonly load: RunningLoad;
  readonly gateway: AttachedGateway | undefined;
  /** Aborted when a worker ended by itself: there is nothing more to wait for. */
  readonly lost: AbortSignal;
  /** Aborted when the harness is being stopped. */
  readonly signal: AbortSignal;
  readonly calibration: RunRecord["host"]["calibration"];
}

async function measure(run: Measuring): Promise<RunRecord> {
  const { lab, scenario, place, crew, load, stack, onProgress } = run;
  const phases = schedule(scenario.load.phases);
  const loadMs = phases.at(-1)?.endMs ?? 0;
  const messages = messagesOf(
    planMessages(run.seed, scenario.load, lab.partitions),
    place.topic,
    load.ledger,
  );
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
    tableOf: (message) => lab.tables.findIndex((table) => table.belongs(messages.at(message))),
    now,
  });
  const watch = startWatch(run, probe, now, loadMs);
  const group = startGroupProbe(place.admin, place.groupId, now);
  const stop = AbortSignal.any([run.signal, run.lost]);
  let faults: Fault[] = [];
  let drained = false;
  let settledMs = 0;
  let stoppedMs: number | null = null;
  try {
    const broken = breakThings(scenario.faults, {
      stack,
      crew,
      probe,
      sessionTimeoutMs: scenario.worker.sessionTimeoutMs,
      now,
      committed: () => committedOffsets(place.admin, place.groupId, place.topic, lab.partitions),
      signal: stop,
      onFault: (event) => onProgress({ step: "load", event }),
    }).then((done) => {
      faults = done;
    });
    await untilAborted(stop, Promise.all([load.finished, broken]));
    run.signal.throwIfAborted();
    if (run.lost.aborted && now() < loadMs) stoppedMs = now();
    load.stop();
    if (!run.lost.aborted) drained = await settle(run, probe, stop);
    settledMs = now();
    watch.quiet();
    await group.stop();
    onProgress({ step: "read" });
    await crew.terminateAll();
  } finally {
    await Promise.all([probe.stop(), group.stop()]);
    load.stop();
  }
  await probe.look();
  const host = { ...describeHost(), calibration: run.calibration, duringRun: await watch.end() };
  const endOffsets = await endOffsetsOf(place, lab);
  const ledger = toRecord(load.ledger, endOffsets, stoppedMs);
  const tables: RunRecord["tables"] = [];
  const zero = startedAt + clockSkewMs;
  for (const [i, reader] of readers.entries()) {
    const locator = locators[i];
    if (locator === undefined) continue;
    const rows = withFirstCommits(await reader.readAll(zero), locator, probe, zero);
    tables.push(encodeTable(reader.table, rows, messages, locator));
  }
  return {
    version: recordVersion,
    lab: lab.name,
    subject: { name: run.subject.name, command: [...run.subject.command] },
    profile: run.profile,
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
      accounts: scenario.load.accounts,
      malformedOneIn: scenario.load.malformedOneIn,
      databaseClockSkewMs: clockSkewMs,
      ...scenario.limits,
    },
    host,
    topic: { name: place.topic, partitions: lab.partitions },
    phases: phases.map(({ name, startMs, endMs, perSecond }) => ({ name, startMs, endMs, perSecond })),
    faults,
    ledger,
    tables,
    commitSamples: probe.samples,
    linkSamples: watch.links,
    workers: crew.toRecord(startedAt),
    groupSamples: group.samples,
    ...(run.gateway === undefined ? {} : { gateway: await run.gateway.record(messages) }),
    settled: { atMs: settledMs, drained },
  };
}

/** Samples processes and proxies, and tells how far the run is. */
function startWatch(run: Measuring, probe: CommitProbe, now: () => number, loadMs: number) {
  const links: RunRecord["linkSamples"] = [];
  const owned = new Set<number>();
  // The servers of an external or containerised stack are not our children: what they use cannot be told from the rest.
  let isQuiet = false;
  const canTell = run.stack.processIds().length > 0;
  const host = watchHost((pid) => owned.has(pid));
  const look = async (): Promise<void> => {
    const table = await processTable();
    for (const pid of descendantsOf(table, [process.pid, ...run.stack.processIds()])) owned.add(pid);
    host.sample(table);
    run.crew.sample(table);
    const atMs = now();
    for (const service of serviceNames) note(service, atMs);
    const phase = run.scenario.load.phases[phaseAt(run, atMs)]?.name;
    const committed =
      probe.samples.at(-1)?.committed.reduce((sum, offset) => sum + Math.max(0, offset), 0) ?? 0;
    if (isQuiet) return;
    if (
      run.crew.hasUnready() &&
      (await isGroupReady(run.place.admin, run.place.groupId, run.place.topic, run.lab.partitions))
    ) {
      run.crew.markReady();
    }
    run.onProgress({
      step: atMs < loadMs ? "load" : "settle",
      atMs: Math.max(0, atMs),
      ofMs: loadMs,
      sent: run.load.ledger.acknowledged,
      committed,
      ...(phase === undefined ? {} : { phase }),
    });
  };
  const note = (service: ServiceName, atMs: number): void => {
    const bytes = run.stack.link(service)?.bytes();
    if (bytes !== undefined) {
      links.push({ atMs, service, toServiceBytes: bytes.toService, toWorkerBytes: bytes.toWorker });
    }
  };
  let last = look();
  const timer = setInterval(() => {
    last = last.then(look, look);
  }, sampleEveryMs);
  return {
    links,
    /** Tells nothing more. */
    quiet() {
      isQuiet = true;
    },
    async end() {
      clearInterval(timer);
      await last.catch(() => undefined);
      const duringRun = host.end(await processTable());
      return canTell ? duringRun : { ...duringRun, foreignCpuShare: null };
    },
  };
}

function phaseAt(run: Measuring, atMs: number): number {
  return schedule(run.scenario.load.phases).findIndex(
    ({ startMs, endMs }) => atMs >= startMs && atMs < endMs,
  );
}

/** Until everything that was acknowledged is committed, or the time is up. */
async function settle(run: Measuring, probe: CommitProbe, signal: AbortSignal): Promise<boolean> {
  const ends = await endOffsetsOf(run.place, run.lab);
  try {
    await until(
      "the backlog to be committed",
      async () => {
        const sample = probe.samples.at(-1);
        return sample?.committed.every((offset, partition) => offset >= (ends[partition] ?? 0)) === true;
      },
      { timeoutMs: run.scenario.settleMs, signal },
    );
    return true;
  } catch {
    run.signal.throwIfAborted();
    return false;
  }
}

/** Waits for `work`; returns early, without an error, when `signal` is aborted. */
async function untilAborted(signal: AbortSignal, work: Promise<unknown>): Promise<void> {
  const ended = new AbortController();
  const aborted = pauseFor(2 ** 30, AbortSignal.any([signal, ended.signal])).catch(() => undefined);
  try {
    await Promise.race([
      work.catch((error: unknown) => {
        if (!signal.aborted) throw error;
      }),
      aborted,
    ]);
  } finally {
    ended.abort();
  }
}

/** A row that was changed later keeps the time at which it was first seen. */
function withFirstCommits(
  rows: readonly Row[],
  locator: Locator,
  probe: CommitProbe,
  zeroEpochMs: number,
): Row[] {
  const messages = rows.map((row) => locator.find(locator.keyOfRow(row.values)));
  const count = new Map<number | undefined, number>();
  for (const message of messages) count.set(message, (count.get(message) ?? 0) + 1);
  return rows.map((row, i) => {
    const message = messages[i];
    // Of several rows of one message, each keeps its own time.
    if ((count.get(message) ?? 0) > 1) return row;
    const seenMs = (probe.committedEpochMs[message ?? -1] ?? Number.NaN) - zeroEpochMs;
    return row.committedMs !== null && seenMs < row.committedMs
      ? { ...row, committedMs: Math.round(seenMs * 10) / 10 }
      : row;
  });
}

function messagesOf(plan: Plan, topic: string, ledger: LiveLedger): Messages {
  return {
    length: plan.length,
    at: (index): SentMessage => ({
      ...plan.at(index),
      topic,
      offset: ledger.offset[index] ?? -1,
      event: plan.event(index),
      value: () => plan.value(index),
    }),
    eventId: plan.eventId,
    atOrigin(partition, offset) {
      const index = ledger.byOffset[partition]?.[offset] ?? -1;
      return index < 0 ? undefined : index;
    },
  };
}

async function endOffsetsOf(place: Place, lab: Lab): Promise<number[]> {
  const ends = new Array<number>(lab.partitions).fill(0);
  for (const { partition, high } of await place.admin.fetchTopicOffsets(place.topic))
    ends[partition] = Number(high);
  return ends;
}

/** How far the database's clock is ahead of ours: the best of five looks, error at most half a round trip. */
async function databaseClockSkewMs(client: pg.Client): Promise<number> {
  let best = { roundTripMs: Number.POSITIVE_INFINITY, skewMs: 0 };
  for (let i = 0; i < 5; i += 1) {
    const before = Date.now();
    const { rows } = await client.query<{ at: number }>(
      "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS at",
    );
    const after = Date.now();
    if (after - before < best.roundTripMs) {
      best = { roundTripMs: after - before, skewMs: (rows[0]?.at ?? after) - (before + after) / 2 };
    }
  }
  // Within the resolution of our own clock there is no skew to speak of.
  return Math.abs(best.skewMs) <= best.roundTripMs + 2 ? 0 : Math.round(best.skewMs);
}

function environmentOf(
  place: Place,
  stack: Stack,
  scenario: Scenario,
  gateway: AttachedGateway | undefined,
  workerId: string,
): Record<string, string> {
  return workerEnvironment(
    {
      workerId,
      kafkaBrokers: stack.worker.kafkaBrokers,
      topic: place.topic,
      groupId: place.groupId,
      databaseUrl: place.workerDatabaseUrl,
      redisUrl: stack.worker.redisUrl,
      redisPrefix: place.redisPrefix,
      ...(gateway === undefined ? {} : { gatewayUrl: gateway.url }),
    },
    scenario.worker,
  );
}

/** Names of this run on shared services: its seed, and its moment so that the same seed can run again. */
function runIdOf({ seed }: RunOptions): string {
  return `${Date.now().toString(36)}-${seed.toString(36)}`;
}

/** From a drill and a subject to a record: the subject's process, what the drill sees of it, and the host meanwhile. */
import { mkdirSync } from "node:fs";
import { CannotRun, Interrupted } from "./cannot-run.ts";
import { type Drill, type DrillRun, numberOf, type Observation } from "./drill.ts";
import type { Profile } from "./lab.ts";
import { calibrate, describeHost, watchHost } from "./probe/host.ts";
import { descendantsOf, type ProcessUsage, processTable } from "./probe/processes.ts";
import { type DrillRecord, type Phase, recordVersion } from "./record/record.ts";
import { messageOf } from "./stack/readiness.ts";
import { stopAtExit } from "./stack/shutdown.ts";
import { type Crew, createCrew } from "./subject/crew.ts";
import { openWorkerBook } from "./subject/remember.ts";
import type { Subject } from "./subject/resolve.ts";
import { until } from "./until.ts";
import type { Progress } from "./watch.ts";

const sampleEveryMs = 100;
const readyWithinMs = 15_000;

export interface DrillOptions {
  readonly drill: Drill;
  readonly subject: Subject;
  readonly profile: Profile;
  /** The profile's own numbers, or those of the proof. */
  readonly parameters: Readonly<Record<string, number>>;
  readonly seed: number;
  /** The run's own folder; made here. */
  readonly folder: string;
  /** The command that repeats the run. */
  readonly command: string;
  readonly cwd: string;
  readonly onProgress: (progress: Progress) => void;
}

/**
 * @throws CannotRun when the subject never did its work
 * @throws Interrupted when the harness is being stopped; nothing is left running then either
 */
export async function runDrill(options: DrillOptions): Promise<DrillRecord> {
  const { onProgress } = options;
  mkdirSync(options.folder, { recursive: true });
  onProgress({ step: "worker" });
  const lost = new AbortController();
  const interrupted = new AbortController();
  const book = await openWorkerBook((event) => onProgress({ step: "worker", event }));
  let environment: Readonly<Record<string, string>> = {};
  const crew = createCrew({
    book,
    command: options.subject.command,
    cwd: options.cwd,
    folder: options.folder,
    environment: (workerId) => ({ WORKER_ID: workerId, ...environment }),
    onUnplannedExit: () => lost.abort(new Error("the worker ended by itself")),
  });
  const work = async (): Promise<DrillRecord> => {
    try {
      return await observe(options, crew, AbortSignal.any([interrupted.signal, lost.signal]), (given) => {
        environment = given;
      });
    } catch (error) {
      interrupted.signal.throwIfAborted();
      // What a dead worker said explains more than what was awaited of it.
      if (lost.signal.aborted) crew.assertAlive();
      throw error;
    } finally {
      await crew.killAll();
      await book.close();
    }
  };
  const working = work();
  const forget = stopAtExit({
    name: "the run",
    stop: async () => {
      interrupted.abort(new Interrupted());
      await working.catch(() => undefined);
    },
    stopNow: () => crew.killNow(),
  });
  return working.finally(forget);
}

async function observe(
  options: DrillOptions,
  crew: Crew,
  signal: AbortSignal,
  setEnvironment: (given: Readonly<Record<string, string>>) => void,
): Promise<DrillRecord> {
  const { drill, subject, parameters, onProgress } = options;
  const calibration = await calibrate();
  let startedAt = Date.now();
  let planned: readonly Phase[] = [];
  const tell = (): void => {
    const atMs = Date.now() - startedAt;
    const phase = planned.find(({ startMs, endMs }) => atMs >= startMs && atMs < endMs);
    if (phase === undefined) return;
    onProgress({ step: "load", atMs, ofMs: planned.at(-1)?.endMs ?? 0, phase: phase.name });
  };
  const host = watchHost();
  const oursIn = (table: readonly ProcessUsage[]) => descendantsOf(table, [process.pid]);
  const look = async (): Promise<void> => {
    const table = await processTable();
    host.sample(table, oursIn(table));
    crew.sample(table);
    tell();
  };
  let last = look();
  const timer = setInterval(() => {
    last = last.then(look, look);
  }, sampleEveryMs);
  const run: DrillRun = {
    seed: options.seed,
    parameter: (name) => numberOf(parameters, name),
    start(environment) {
      setEnvironment(environment);
      return crew.start();
    },
    async untilReady(what, probe) {
      try {
        await until(what, probe, { timeoutMs: readyWithinMs, everyMs: 20, signal });
      } catch (error) {
        signal.throwIfAborted();
        const tail = crew.running()[0]?.tail() ?? "";
        throw new CannotRun(messageOf(error), tail === "" ? [] : [`its last output:\n${tail}`]);
      }
      crew.markReady();
    },
    async kill() {
      await crew.kill();
    },
    terminate: () => crew.terminateAll(),
    begin(inMs = 0, phases = []) {
      startedAt = Date.now() + inMs;
      planned = phases;
    },
    now: () => Date.now() - startedAt,
    get startedAt() {
      return startedAt;
    },
    signal,
    say: (event) => onProgress({ step: "load", event }),
  };
  let observation: Observation<unknown>;
  try {
    observation = await drill.observe(run);
    planned = [];
    onProgress({ step: "read" });
    await crew.terminateAll();
  } finally {
    clearInterval(timer);
    await last.catch(() => undefined);
  }
  const { seen, phases, faults = [] } = observation;
  const table = await processTable();
  return {
    version: recordVersion,
    lab: drill.name,
    subject: { name: subject.name, command: [...subject.command] },
    profile: options.profile,
    seed: options.seed,
    startedAt,
    finishedMs: run.now(),
    command: options.command,
    stack: { kind: "none", why: "this drill needs no services", versions: {}, limits: [] },
    parameters: { ...parameters },
    host: { ...describeHost(), calibration, duringRun: host.end(table, oursIn(table)) },
    phases: [...phases],
    faults: [...faults],
    workers: crew.toRecord(startedAt, []),
    settled: { atMs: Math.max(0, ...phases.map(({ endMs }) => endMs)), drained: true },
    drill: seen,
  };
}

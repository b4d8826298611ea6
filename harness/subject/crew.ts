/** The workers of one run: started, killed, stopped, and what became of each. */
import { join } from "node:path";
import { CannotRun } from "../cannot-run.ts";
import { groupUsage, type ProcessUsage } from "../probe/processes.ts";
import type { GroupSample, WorkerRecord } from "../record/record.ts";
import type { WorkerBook } from "./remember.ts";
import { type Exit, startWorker, type WorkerProcess } from "./worker.ts";

/** The contract gives a worker 10 s after SIGTERM. */
const terminateMs = 10_000;

interface Member {
  readonly process: WorkerProcess;
  readonly logFile: string;
  readonly samples: { at: number; rssBytes: number; cpuMs: number }[];
  readyAt: number | undefined;
  /** Set before the harness ends it. */
  planned: boolean;
  /** Set before it is sent SIGTERM. */
  told: boolean;
}

export interface CrewOptions {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly folder: string;
  /** Environment for the worker with this id. */
  readonly environment: (workerId: string) => Record<string, string>;
  readonly book: WorkerBook;
  /** Called once with the first worker that ends by itself. */
  readonly onUnplannedExit: (worker: WorkerProcess, exit: Exit) => void;
}

export interface Crew {
  /**
   * Starts one more worker; its id is `w1`, `w2` and so on over the run.
   * @param environment what it is told otherwise than the others
   */
  start(environment?: Readonly<Record<string, string>>): Promise<WorkerProcess>;
  /** Notes that the group is stable with every partition assigned. */
  markReady(): void;
  /** SIGKILL to the worker with this id, or else to the oldest that runs; resolves with it when it is gone. */
  kill(workerId?: string): Promise<WorkerProcess | undefined>;
  /** SIGTERM to all; SIGKILL to those still there after 10 s. */
  terminateAll(): Promise<void>;
  /** SIGKILL to all; resolves when all are gone. */
  killAll(): Promise<void>;
  /** SIGKILL to all, at once and without waiting. */
  killNow(): void;
  running(): readonly WorkerProcess[];
  /** Adds memory and CPU of each running worker. */
  sample(table: readonly ProcessUsage[]): void;
  /**
   * Times relative to `startedAt` (epoch ms).
   * @param group looks at the group: a worker that came later was ready when the group was stable with somebody who
   *   was no member when it started
   */
  toRecord(startedAt: number, group: readonly GroupSample[]): WorkerRecord[];
  /** Throws CannotRun with the end of its output when a worker has already ended. */
  assertAlive(): void;
}

export function createCrew(options: CrewOptions): Crew {
  const members: Member[] = [];
  let started = 0;
  let told = false;
  let ended = false;

  const running = () => members.filter(({ process }) => process.exit() === undefined);
  const crew: Crew = {
    async start(environment = {}) {
      if (ended) throw new CannotRun("the run is over: no worker is started any more");
      started += 1;
      const id = `w${started}`;
      const logFile = join(options.folder, `worker-${id}.log`);
      let process: WorkerProcess;
      try {
        process = await startWorker({
          id,
          command: options.command,
          cwd: options.cwd,
          env: { ...options.environment(id), ...environment },
          logFile,
        });
      } catch (error) {
        throw new CannotRun(error instanceof Error ? error.message : String(error));
      }
      // It was being started when the run ended: nobody would end it any more.
      if (ended) {
        await process.kill();
        throw new CannotRun("the run is over");
      }
      const member: Member = {
        process,
        logFile,
        samples: [],
        readyAt: undefined,
        planned: false,
        told: false,
      };
      members.push(member);
      void process.exited.then(options.book.enter(process.pid));
      void process.exited.then((exit) => {
        if (member.planned || told) return;
        told = true;
        options.onUnplannedExit(process, exit);
      });
      return process;
    },
    markReady() {
      for (const member of running()) member.readyAt ??= Date.now();
    },
    async kill(workerId) {
      const [oldest] = running();
      const victim = running().find(({ process }) => process.id === workerId) ?? oldest;
      if (victim === undefined) return undefined;
      victim.planned = true;
      await victim.process.kill();
      return victim.process;
    },
    async terminateAll() {
      await Promise.all(
        running().map((member) => {
          member.planned = true;
          member.told = true;
          return member.process.terminate(terminateMs);
        }),
      );
    },
    async killAll() {
      ended = true;
      await Promise.all(
        running().map((member) => {
          member.planned = true;
          return member.process.kill();
        }),
      );
    },
    killNow() {
      ended = true;
      for (const { process } of running()) void process.kill();
    },
    running: () => running().map(({ process }) => process),
    sample(table) {
      const at = Date.now();
      for (const { process, samples } of running()) {
        const usage = groupUsage(table, process.pid);
        if (usage !== undefined) samples.push({ at, ...usage });
      }
    },
    toRecord: (startedAt, group) => members.map((member) => recordOf(member, startedAt, group)),
    assertAlive() {
      const dead = members.find(({ process, planned }) => process.exit() !== undefined && !planned);
      if (dead === undefined) return;
      const exit = dead.process.exit();
      const tail = dead.process.tail();
      throw new CannotRun(
        `the worker ended before it was ready (${exit?.signal ?? `exit code ${exit?.code}`}): ${options.command.join(" ")}`,
        [tail === "" ? "it wrote nothing to stdout or stderr" : `its last output:\n${tail}`],
      );
    },
  };
  return crew;
}

function recordOf(member: Member, startedAt: number, group: readonly GroupSample[]): WorkerRecord {
  const { process, samples, readyAt, planned, told } = member;
  const exit = process.exit();
  return {
    id: process.id,
    pid: process.pid,
    startMs: process.startedAt - startedAt,
    readyMs: readyAt === undefined ? readyAfter(process.startedAt - startedAt, group) : readyAt - startedAt,
    exit:
      exit === undefined
        ? null
        : {
            atMs: exit.at - startedAt,
            code: exit.code,
            signal: exit.signal,
            planned,
            ...(told ? { told } : {}),
            tail: planned ? "" : process.tail(),
          },
    samples: samples.map(({ at, ...usage }) => ({ atMs: at - startedAt, ...usage })),
  };
}

function readyAfter(startMs: number, group: readonly GroupSample[]): number | null {
  const before = new Set(group.findLast(({ atMs }) => atMs < startMs)?.members);
  const ready = group.find(
    ({ atMs, state, members }) =>
      atMs >= startMs && state === "Stable" && members.some((id) => !before.has(id)),
  );
  return ready?.atMs ?? null;
}

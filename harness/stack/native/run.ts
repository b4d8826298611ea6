/**
 * One run's folder and the processes it started. Invariants: a process is recorded in the folder before
 * anything awaits it; when the folder is gone, so are they.
 *
 * The records are file names, so that each is written in one step, also by a harness that dies the moment after:
 *
 *     runs/<boot>.<namespace>.<pid>.<start>.<random>/     whose run this is: the harness's own identity
 *       processes/<pid>.<start>.<label>                   what it started
 *       ports/<port>                                      what it may still bind after a cut or a kill
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { CannotRun, Interrupted } from "../../cannot-run.ts";
import { freePort } from "../ports.ts";
import type { StackProgress } from "../stack.ts";
import { end, killTree, removeSharedMemory } from "./ending.ts";
import { identify, isAlive, type ProcessIdentity, processSpace } from "./identity.ts";

export interface Run {
  readonly folder: string;
  /**
   * Starts a program in a process group of its own (a Ctrl-C in the terminal reaches the harness alone, which
   * then ends its servers in order) and records it.
   *
   * @throws Interrupted when the run is being stopped; CannotRun when the program cannot be executed
   */
  spawn(label: string, file: string, args: readonly string[], options: SpawnOptions): Promise<Started>;
  /** Records a process that somebody else started, so that it ends with this run; gives the function that takes it off. */
  adopt(label: string, pid: number): () => void;
  /** A port on 127.0.0.1 that is free and that no living run of this cache has claimed. */
  claimPort(): Promise<number>;
  /** Whether the end has begun: what ends now was ended. */
  stopping(): boolean;
  /** Ends every process, removes the folder. Safe to call twice. */
  stop(): Promise<void>;
  /** The same at once and synchronously, for the last moment of the harness's life. */
  stopNow(): void;
}

export interface SpawnOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly stdio: ["ignore" | "pipe", number | "pipe", number | "pipe"];
  /** Another user to run as; the harness must be root. */
  readonly user?: User | undefined;
}

export interface User {
  readonly uid: number;
  readonly gid: number;
}

export interface Started {
  readonly child: ChildProcess;
  readonly identity: ProcessIdentity;
  /** Says how it ended, in words ("exit code 1", "SIGKILL"). Never rejects. */
  readonly ended: Promise<string>;
}

/** How PostgreSQL is asked to end, here and when it is swept up: it gives its shared memory back. */
export const postgresLabel = "postgres";
const politeEnd = { signal: "SIGQUIT", graceMs: 3_000 } as const;

/** Synchronous: no signal comes between the making of the folder and its registration for removal. */
export function createRun(cache: string): Run {
  const self = identify(process.pid);
  if (self === undefined) throw new Error("cannot tell when this process started");
  const { boot, namespace } = processSpace();
  const random = randomBytes(4).toString("hex");
  const runs = join(cache, "runs");
  const folder = join(runs, [boot, namespace, self.pid, self.startedAt, random].join("."));
  const living = new Map<number, { readonly label: string; readonly identity: ProcessIdentity }>();
  let stopping: Promise<void> | undefined;
  let stopped = false;

  // Others may enter (PostgreSQL's user has to), but not look around.
  mkdirSync(folder, { mode: 0o711 });
  for (const part of ["processes", "ports", "logs"]) mkdirSync(join(folder, part), { mode: 0o700 });

  const record = (label: string, pid: number) => {
    // A program that has already ended and been reaped has no identity any more; nothing is left to record.
    const identity = identify(pid) ?? { pid, startedAt: "0" };
    const file = join(folder, "processes", `${pid}.${identity.startedAt}.${label}`);
    writeFileSync(file, "");
    living.set(pid, { label, identity });
    const forget = (): void => {
      living.delete(pid);
      rmSync(file, { force: true });
    };
    return { identity, forget };
  };

  const stop = async (): Promise<void> => {
    await Promise.all([...living.values()].map(({ label, identity }) => endByLabel(label, identity)));
    removeSharedMemory(join(folder, postgresLabel, "data"));
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
    stopped = true;
  };

  return {
    folder,
    spawn: async (label, file, args, options) => {
      if (stopping !== undefined || stopped) throw new Interrupted();
      const { user, ...rest } = options;
      const child = spawn(file, args, { ...rest, ...user, detached: true });
      const { pid } = child;
      if (pid === undefined) {
        const error = await new Promise<Error>((resolve) => child.once("error", resolve));
        throw new CannotRun(`cannot start ${label}: ${error.message}`);
      }
      const { identity, forget } = record(label, pid);
      child.on("error", () => {});
      const ended = new Promise<string>((resolve) => {
        child.once("exit", (code, killedBy) => {
          forget();
          resolve(killedBy ?? `exit code ${code}`);
        });
      });
      return { child, identity, ended };
    },
    adopt: (label, pid) => record(label, pid).forget,
    claimPort: () => freePort((port) => claim(runs, folder, port)),
    stopping: () => stopped || stopping !== undefined,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
    stopNow: () => {
      stopped = true;
      for (const { identity } of living.values()) killTree(identity);
      removeSharedMemory(join(folder, postgresLabel, "data"));
      // Also after an orderly stop: a start that it interrupted may have written a last file since.
      rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
    },
  };
}

const endByLabel = (label: string, identity: ProcessIdentity): Promise<void> =>
  // The data are thrown away: there is nothing the other servers could bring into safety before they die.
  end(identity, label === postgresLabel ? politeEnd : undefined);

/** Written first, compared after: of two harnesses that claim one port at the same moment, one sees the other. */
function claim(runs: string, folder: string, port: number): boolean {
  const own = join(folder, "ports", String(port));
  writeFileSync(own, "");
  const claimants = readdirSync(runs).filter((run) => {
    try {
      return readdirSync(join(runs, run, "ports")).includes(String(port));
    } catch {
      return false;
    }
  });
  if (claimants.length === 1) return true;
  rmSync(own, { force: true });
  return false;
}

/**
 * Removes what harnesses left that no longer live: their processes, by id and start time, then their folders.
 * A living harness's run is not touched, nor one of another container, which cannot be judged from here.
 */
export async function sweepLeftovers(cache: string, onProgress: StackProgress): Promise<void> {
  const runs = join(cache, "runs");
  const here = processSpace();
  for (const name of await readdir(runs)) {
    const [boot, namespace, pid, startedAt] = name.split(".");
    if (pid === undefined || startedAt === undefined) continue;
    const sameBoot = boot === here.boot;
    if (sameBoot && namespace !== here.namespace) continue;
    if (sameBoot && isAlive({ pid: Number(pid), startedAt })) continue;
    onProgress(`removing what an earlier run left behind (process ${pid})`);
    const folder = join(runs, name);
    if (sameBoot) {
      const left = await recordedProcesses(folder);
      await Promise.all(left.map(({ label, identity }) => endByLabel(label, identity)));
      removeSharedMemory(join(folder, postgresLabel, "data"));
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  }
}

async function recordedProcesses(folder: string) {
  const names = await readdir(join(folder, "processes")).catch(() => []);
  return names.map((name) => {
    const [pid, startedAt = "", label = ""] = name.split(".");
    return { label, identity: { pid: Number(pid), startedAt } };
  });
}

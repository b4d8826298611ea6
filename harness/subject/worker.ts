/**
 * A worker under test: any command, in a process group of its own, known only by what it does.
 *
 * The group matters twice: Ctrl-C in the terminal must not reach the worker before the harness has
 * decided, and SIGKILL must reach what the command started (`npx`, a shell), or the real worker would
 * survive its own death.
 */
import { spawn } from "node:child_process";
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { compiledCommand } from "../compiled.ts";
import { boundLog } from "./log.ts";

const tailBytes = 4_000;
const tailLines = 20;

export interface Exit {
  /** Epoch ms. */
  readonly at: number;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface WorkerProcess {
  readonly id: string;
  readonly pid: number;
  /** Epoch ms. */
  readonly startedAt: number;
  /** Resolves, never rejects, when the command has ended. */
  readonly exited: Promise<Exit>;
  /** Undefined while it runs. */
  exit(): Exit | undefined;
  /** SIGKILL to the whole group; resolves when the command is gone. */
  kill(): Promise<Exit>;
  /** SIGTERM to the command itself, and SIGKILL to the group after `deadlineMs`. */
  terminate(deadlineMs: number): Promise<Exit>;
  /** The end of what it wrote to stdout and stderr. */
  tail(): string;
}

export interface WorkerOptions {
  readonly id: string;
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Both output streams are appended to it; of very much output the middle is left out. */
  readonly logFile: string;
}

/** Starts a worker. Rejects when the command cannot be started at all, with the reason. */
export async function startWorker(options: WorkerOptions): Promise<WorkerProcess> {
  const [program, ...args] = compiledCommand(options.command);
  if (program === undefined) throw new Error("the worker's command is empty");
  const log = openSync(options.logFile, "a");
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", log, log],
    detached: true,
  });
  closeSync(log);
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) =>
      reject(new Error(`cannot start the worker "${program}": ${error.message}`)),
    );
  });
  const startedAt = Date.now();
  const pid = child.pid;
  if (pid === undefined) throw new Error(`the worker "${program}" has no process id`);
  const bounded = boundLog(options.logFile);
  let ended: Exit | undefined;
  const exited = new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => {
      ended = { at: Date.now(), code, signal };
      // Whatever it started ends with it.
      killGroup(pid);
      bounded.end();
      resolve(ended);
    });
  });
  return {
    id: options.id,
    pid,
    startedAt,
    exited,
    exit: () => ended,
    kill() {
      if (ended === undefined) killGroup(pid);
      return exited;
    },
    async terminate(deadlineMs) {
      if (ended !== undefined) return ended;
      child.kill("SIGTERM");
      const timer = setTimeout(() => killGroup(pid), deadlineMs);
      return exited.finally(() => clearTimeout(timer));
    },
    tail: () => tailOf(options.logFile),
  };
}

function killGroup(groupId: number): void {
  try {
    process.kill(-groupId, "SIGKILL");
  } catch {
    // The group is empty.
  }
}

function tailOf(file: string): string {
  try {
    const size = statSync(file).size;
    const length = Math.min(size, tailBytes);
    const buffer = Buffer.alloc(length);
    const handle = openSync(file, "r");
    readSync(handle, buffer, 0, length, size - length);
    closeSync(handle);
    return buffer.toString("utf8").trimEnd().split("\n").slice(-tailLines).join("\n");
  } catch {
    return "";
  }
}

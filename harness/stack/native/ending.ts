/** Ending processes that are known by identity: this harness's own, or those a dead harness left. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../readiness.ts";
import { descendants, identify, isAlive, type ProcessIdentity } from "./identity.ts";

/** Sends a signal; false when the process is gone. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/**
 * SIGKILL to a process and all its descendants, in the order in which no child can outlive the look at them:
 * stop the parent from forking, list, kill. PostgreSQL's backends are in sessions of their own, so killing the
 * process group would not reach them, and one that is stopped would never notice its parent's death.
 */
export function killTree(root: ProcessIdentity): readonly ProcessIdentity[] {
  if (!isAlive(root)) return [];
  signal(root.pid, "SIGSTOP");
  const tree = [root, ...descendants(root.pid).flatMap((pid) => identify(pid) ?? [])];
  for (const { pid } of tree) signal(pid, "SIGKILL");
  return tree;
}

/** Resolves when all of them are gone. */
export async function gone(processes: readonly ProcessIdentity[]): Promise<void> {
  await until(
    {
      what: `processes ${processes.map(({ pid }) => pid).join(", ")} to end`,
      probe: async () => {
        const left = processes.filter(isAlive);
        if (left.length > 0) throw new Error(`${left.length} still there`);
      },
    },
    { timeoutMs: 10_000, everyMs: 5 },
  );
}

/** Ends a process: by the polite signal when it heeds it within the grace, by SIGKILL when not. */
export async function end(
  root: ProcessIdentity,
  polite?: { readonly signal: NodeJS.Signals; readonly graceMs: number },
): Promise<void> {
  if (polite !== undefined && isAlive(root)) {
    const tree = [root, ...descendants(root.pid).flatMap((pid) => identify(pid) ?? [])];
    for (const { pid } of tree) signal(pid, "SIGCONT");
    signal(root.pid, polite.signal);
    const ended = { what: "its end", probe: async () => assertGone(tree) };
    await until(ended, { timeoutMs: polite.graceMs, everyMs: 5 }).catch(() => {});
  }
  await gone(killTree(root));
}

function assertGone(processes: readonly ProcessIdentity[]): void {
  if (processes.some(isAlive)) throw new Error("still there");
}

/** Part of the system, on Linux and macOS alike. */
const segmentRemover = "ipcrm";

/**
 * Removes the System V segment by which a PostgreSQL guards its data folder. The server removes it itself at any
 * shutdown; after a SIGKILL it stays in the kernel until a reboot, and systems allow few of them.
 */
export function removeSharedMemory(dataFolder: string): void {
  try {
    // postmaster.pid, seventh line: the segment's key and its id.
    const line = readFileSync(join(dataFolder, "postmaster.pid"), "utf8").split("\n")[6] ?? "";
    const id = line.trim().split(/\s+/)[1];
    if (id !== undefined) execFileSync(segmentRemover, ["-m", id], { stdio: "ignore" });
  } catch {
    // No such file: it was shut down. No such segment: it is gone already.
  }
}

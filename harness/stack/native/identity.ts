/**
 * Which process a process id means: an id alone is given again to another process some day, an id with the
 * time at which that process started is not.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; digits only. Ticks since boot on Linux, milliseconds since 1970 elsewhere. */
  readonly startedAt: string;
}

/** The identity of a living process; undefined when there is none with that id, or only its zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  const startedAt = process.platform === "linux" ? startTicks(pid) : startMilliseconds(pid);
  return startedAt === undefined ? undefined : { pid, startedAt };
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startedAt === identity.startedAt;
}

/**
 * The boot and the process-id namespace within which identities can be compared, each as a token.
 * A record of another boot is of a dead process; one of another namespace (a container) cannot be judged.
 */
export function processSpace(): { readonly boot: string; readonly namespace: string } {
  if (process.platform !== "linux") return { boot: "any", namespace: "any" };
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim().slice(0, 8);
  const namespace = readlinkSync("/proc/self/ns/pid").replace(/\D/g, "");
  return { boot, namespace };
}

/** Ids of all living descendants, parents before children. Synchronous, so that no fork slips in between. */
export function descendants(pid: number): readonly number[] {
  const found: number[] = [];
  const visit = (parent: number): void => {
    for (const child of childrenOf(parent)) {
      found.push(child);
      visit(child);
    }
  };
  visit(pid);
  return found;
}

/** Field 22 of /proc/<pid>/stat. Fields are counted after the last ")", as a program's name may hold anything. */
function startTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function startMilliseconds(pid: number): string | undefined {
  try {
    const [state, ...started] = ps(["-o", "stat=,lstart=", "-p", String(pid)])
      .trim()
      .split(/\s+/);
    const ms = Date.parse(started.join(" "));
    return state === undefined || state.startsWith("Z") || Number.isNaN(ms) ? undefined : String(ms);
  } catch {
    return undefined;
  }
}

function childrenOf(pid: number): readonly number[] {
  try {
    // The servers' main threads do the forking, but a kernel lists children by the thread that forked.
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number),
    );
  } catch {
    // No /proc, or a kernel without this list, or the process has just ended.
  }
  try {
    return ps(["-A", "-o", "pid=,ppid="])
      .split("\n")
      .map((line) => line.trim().split(/\s+/).map(Number))
      .filter(([, parent]) => parent === pid)
      .map(([child]) => child ?? 0);
  } catch {
    return [];
  }
}

const ps = (args: readonly string[]): string =>
  execFileSync("ps", args, { encoding: "utf8", env: { ...process.env, LC_ALL: "C" }, stdio: "pipe" });

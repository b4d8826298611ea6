/**
 * Which process a process id means: an id alone is given again to another process some day, an id with the
 * time at which that process started is not.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { descendantsOf, type ProcessUsage, processTableNow } from "../../probe/processes.ts";

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
export function descendants(
  pid: number,
  table: readonly ProcessUsage[] = processTableNow(),
): readonly number[] {
  return [...descendantsOf(table, [pid])].filter((one) => one !== pid);
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

const ps = (args: readonly string[]): string =>
  execFileSync("ps", args, { encoding: "utf8", env: { ...process.env, LC_ALL: "C" }, stdio: "pipe" });

/** Memory and CPU time of process groups and of the machine, from the operating system. */
import { execFile, execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { promisify } from "node:util";

const run = promisify(execFile);
/** Linux reports process times in ticks of 10 ms (USER_HZ) on every architecture it runs on. */
const msPerTick = 10;
const pageBytes = pageBytesOf();

export interface ProcessUsage {
  readonly pid: number;
  /** With `pid` it names one process: an id alone is given again. Ticks since boot; 0 where `ps` is asked. */
  readonly startedAt: number;
  readonly parentId: number;
  readonly groupId: number;
  readonly rssBytes: number;
  /** User and system time so far. */
  readonly cpuMs: number;
}

/** Every process this user can see. On systems without /proc it asks `ps`. */
export async function processTable(): Promise<ProcessUsage[]> {
  return process.platform === "linux" ? fromProc() : fromPs((await run("ps", psArguments)).stdout);
}

/** The same at once: between the look and what is done about it this program does nothing else. */
export function processTableNow(): ProcessUsage[] {
  return process.platform === "linux"
    ? fromProc()
    : fromPs(execFileSync("ps", psArguments, { encoding: "utf8", stdio: "pipe" }));
}

/** Sum over the processes of one group: a worker and whatever it started. Undefined when it has none. */
export function groupUsage(
  table: readonly ProcessUsage[],
  groupId: number,
): { rssBytes: number; cpuMs: number } | undefined {
  const members = table.filter((one) => one.groupId === groupId);
  if (members.length === 0) return undefined;
  return {
    rssBytes: members.reduce((sum, one) => sum + one.rssBytes, 0),
    cpuMs: Math.round(members.reduce((sum, one) => sum + one.cpuMs, 0)),
  };
}

/** These processes and all that they started, directly or not; parents before their children. */
export function descendantsOf(table: readonly ProcessUsage[], roots: readonly number[]): Set<number> {
  const found = new Set(roots);
  // A child's line may stand before its parent's: look until nothing new turns up.
  for (let before = -1; before !== found.size; ) {
    before = found.size;
    for (const { pid, parentId } of table) if (found.has(parentId)) found.add(pid);
  }
  return found;
}

/** CPU time spent by the whole machine and by its hypervisor on others, all CPUs together, ms since boot. */
export function machineBusyMs(): { busyMs: number; totalMs: number } | undefined {
  if (process.platform !== "linux") {
    let busyMs = 0;
    let totalMs = 0;
    for (const { times } of cpus()) {
      const sum = times.user + times.nice + times.sys + times.irq + times.idle;
      totalMs += sum;
      busyMs += sum - times.idle;
    }
    return { busyMs, totalMs };
  }
  try {
    const first = readFileSync("/proc/stat", "utf8").split("\n", 1)[0] ?? "";
    // user nice system idle iowait irq softirq steal
    const ticks = first.split(/\s+/).slice(1, 9).map(Number);
    const total = ticks.reduce((sum, one) => sum + one, 0);
    return { busyMs: (total - (ticks[3] ?? 0) - (ticks[4] ?? 0)) * msPerTick, totalMs: total * msPerTick };
  } catch {
    return undefined;
  }
}

function fromProc(): ProcessUsage[] {
  const found: ProcessUsage[] = [];
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      // The command's name may hold spaces and brackets; fields count from its closing bracket.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      found.push({
        pid,
        parentId: Number(fields[1]),
        groupId: Number(fields[2]),
        startedAt: Number(fields[19]),
        cpuMs: (Number(fields[11]) + Number(fields[12])) * msPerTick,
        rssBytes: Number(fields[21]) * pageBytes,
      });
    } catch {
      // It ended between the two looks.
    }
  }
  return found;
}

const psArguments = ["-A", "-o", "pid=,ppid=,pgid=,rss=,time="];

function fromPs(listing: string): ProcessUsage[] {
  return listing
    .trim()
    .split("\n")
    .map((line) => {
      const [pid, parentId, groupId, rssKb, time] = line.trim().split(/\s+/);
      return {
        pid: Number(pid),
        parentId: Number(parentId),
        groupId: Number(groupId),
        startedAt: 0,
        rssBytes: Number(rssKb) * 1024,
        cpuMs: clockMs(time ?? "0:00"),
      };
    });
}

/** `[[dd-]hh:]mm:ss[.cc]` */
function clockMs(text: string): number {
  const [days, clock] = text.includes("-") ? text.split("-") : ["0", text];
  const seconds = (clock ?? "").split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  return (Number(days) * 86_400 + seconds) * 1000;
}

/** What the kernel told this process at its start (AT_PAGESZ): 4 KB, and 16 or 64 on some ARM machines. */
function pageBytesOf(): number {
  const pageSizeEntry = 6n;
  try {
    const vector = readFileSync("/proc/self/auxv");
    for (let at = 0; at + 16 <= vector.length; at += 16)
      if (vector.readBigUInt64LE(at) === pageSizeEntry) return Number(vector.readBigUInt64LE(at + 8));
  } catch {
    // Not Linux: sizes are not counted in pages there.
  }
  return 4096;
}

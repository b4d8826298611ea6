/** How fit this machine is to measure on, before the load and during it. */
import { cpus, totalmem } from "node:os";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import type { HostRecord } from "../record/record.ts";
import { machineBusyMs, type ProcessUsage } from "./processes.ts";

const timerMs = 10;
const timerRounds = 40;
const spinMs = 150;
const loopResolutionMs = 5;

type Quantiles = HostRecord["calibration"]["timerLatenessMs"];

function quantilesOf(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q: number) =>
    round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN);
  return { p50: at(0.5), p99: at(0.99), max: at(1), samples: sorted.length };
}

/** Takes about 0.6 s: lateness of 10 ms timers, and the share of a CPU that a busy loop is given. */
export async function calibrate(): Promise<HostRecord["calibration"]> {
  const lateness: number[] = [];
  for (let i = 0; i < timerRounds; i += 1) {
    const began = performance.now();
    await delay(timerMs);
    lateness.push(Math.max(0, performance.now() - began - timerMs));
  }
  const cpuBefore = process.cpuUsage();
  const began = performance.now();
  while (performance.now() - began < spinMs) {
    // Busy on purpose.
  }
  const wallMs = performance.now() - began;
  const used = process.cpuUsage(cpuBefore);
  return {
    timerLatenessMs: quantilesOf(lateness),
    cpuShare: round(Math.min(1, (used.user + used.system) / 1000 / wallMs)),
  };
}

export interface HostWatch {
  /**
   * Notes the CPU time that processes have used; call it a few times a second.
   * @param ours ids of those that belong to the run; one that did once does for ever, whatever becomes of its parent
   */
  sample(table: readonly ProcessUsage[], ours: ReadonlySet<number>): void;
  end(table: readonly ProcessUsage[], ours: ReadonlySet<number>): HostRecord["duringRun"];
}

/** CPU time of one process: at the first look and at the last one. */
interface Seen {
  readonly firstMs: number;
  lastMs: number;
  isOurs: boolean;
}

/**
 * Watches the machine while a run is under way.
 *
 * What others use is told in two ways, and the larger counts. What the machine was busy with and was not ours: this
 * finds programs that come and go between two looks. And what others were seen to use: this stands also where the
 * machine's own account, which most kernels take from a clock's ticks, has missed work between two of them.
 */
export function watchHost(machine: typeof machineBusyMs = machineBusyMs): HostWatch {
  const loop = monitorEventLoopDelay({ resolution: loopResolutionMs });
  loop.enable();
  const wallStart = Date.now();
  const monotonicStart = performance.now();
  const machineStart = machine();
  const processes = new Map<string, Seen>();
  const sample: HostWatch["sample"] = (table, ours) => {
    const isFirstLook = processes.size === 0;
    for (const { pid, startedAt, cpuMs } of table) {
      const id = `${pid} ${startedAt}`;
      let seen = processes.get(id);
      if (seen === undefined) {
        // What a process used before the watch began does not count; one that starts later counts from zero.
        seen = { firstMs: isFirstLook ? cpuMs : 0, lastMs: cpuMs, isOurs: false };
        processes.set(id, seen);
      }
      seen.lastMs = cpuMs;
      seen.isOurs ||= ours.has(pid);
    }
  };
  const usedMs = (isOurs: boolean): number => {
    let sum = 0;
    for (const seen of processes.values()) if (seen.isOurs === isOurs) sum += seen.lastMs - seen.firstMs;
    return sum;
  };
  return {
    sample,
    end(table, ours) {
      sample(table, ours);
      loop.disable();
      const machineEnd = machine();
      const lateMs = (nanoseconds: number) => round(Math.max(0, nanoseconds / 1e6 - loopResolutionMs));
      return {
        eventLoopDelayMs: {
          p50: lateMs(loop.percentile(50)),
          p99: lateMs(loop.percentile(99)),
          max: lateMs(loop.max),
          samples: loop.count,
        },
        foreignCpuShare:
          machineStart === undefined || machineEnd === undefined
            ? null
            : round(
                Math.max(machineEnd.busyMs - machineStart.busyMs - usedMs(true), usedMs(false)) /
                  Math.max(1, machineEnd.totalMs - machineStart.totalMs),
              ),
        clockDriftMs: round(Date.now() - wallStart - (performance.now() - monotonicStart)),
      };
    },
  };
}

export function describeHost(): Pick<
  HostRecord,
  "platform" | "arch" | "cpuModel" | "cpus" | "memoryBytes" | "node"
> {
  return {
    platform: process.platform,
    arch: process.arch,
    cpuModel: cpus()[0]?.model ?? "unknown",
    cpus: cpus().length,
    memoryBytes: totalmem(),
    node: process.version,
  };
}

const round = (value: number) => Math.round(value * 1000) / 1000;

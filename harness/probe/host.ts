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
  /** Notes the CPU time that the run's own processes have used; call twice a second or so. */
  sample(table: readonly ProcessUsage[]): void;
  end(table: readonly ProcessUsage[]): HostRecord["duringRun"];
}

/**
 * Watches the machine while a run is under way.
 * @param isOurs whether a process belongs to the run
 */
export function watchHost(isOurs: (pid: number) => boolean): HostWatch {
  const loop = monitorEventLoopDelay({ resolution: loopResolutionMs });
  loop.enable();
  const wallStart = Date.now();
  const monotonicStart = performance.now();
  const machineStart = machineBusyMs();
  const firstSeen = new Map<number, number>();
  const lastSeen = new Map<number, number>();
  const sample = (table: readonly ProcessUsage[]): void => {
    const isFirstLook = firstSeen.size === 0;
    for (const { pid, cpuMs } of table) {
      if (!isOurs(pid)) continue;
      // What a process used before the watch began does not count; one that starts later counts from zero.
      if (!firstSeen.has(pid)) firstSeen.set(pid, isFirstLook ? cpuMs : 0);
      lastSeen.set(pid, cpuMs);
    }
  };
  return {
    sample,
    end(table) {
      sample(table);
      loop.disable();
      const machineEnd = machineBusyMs();
      let oursMs = 0;
      for (const [pid, cpuMs] of lastSeen) oursMs += cpuMs - (firstSeen.get(pid) ?? 0);
      const foreignCpuShare =
        machineStart === undefined || machineEnd === undefined
          ? null
          : round(
              Math.max(0, machineEnd.busyMs - machineStart.busyMs - oursMs) /
                Math.max(1, machineEnd.totalMs - machineStart.totalMs),
            );
      const lateMs = (nanoseconds: number) => round(Math.max(0, nanoseconds / 1e6 - loopResolutionMs));
      return {
        eventLoopDelayMs: {
          p50: lateMs(loop.percentile(50)),
          p99: lateMs(loop.percentile(99)),
          max: lateMs(loop.max),
          samples: loop.count,
        },
        foreignCpuShare,
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

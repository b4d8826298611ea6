/** Whether the machine was fit to measure times on. */
import type { HostRecord } from "../record/record.ts";

/** Half of one of two cores: what is left still carries the lab's load, with room. */
const maxForeignCpuShare = 0.25;
/** A busy loop that gets less was sharing its core with somebody. */
const minCpuShare = 0.8;
/** The harness looks every 100 ms: a loop this late blurs its own measurements. */
const maxEventLoopDelayMs = 100;
/** A wall clock that was set during the run makes every latency wrong by as much. */
const maxClockDriftMs = 50;

/** Why times measured on this host cannot be held against a worker; undefined when they can. */
export function unfitness(host: HostRecord): string | undefined {
  const { calibration, duringRun } = host;
  if (calibration.cpuShare < minCpuShare) {
    return `before the load a busy loop got only ${percent(calibration.cpuShare)} of a CPU (at least ${percent(minCpuShare)} is needed)`;
  }
  if (duringRun.foreignCpuShare !== null && duringRun.foreignCpuShare > maxForeignCpuShare) {
    return `other programs used ${percent(duringRun.foreignCpuShare)} of the machine during the run (at most ${percent(maxForeignCpuShare)})`;
  }
  if (duringRun.eventLoopDelayMs.p99 > maxEventLoopDelayMs) {
    return `the harness itself was up to ${Math.round(duringRun.eventLoopDelayMs.p99)} ms late in 1 of 100 looks (at most ${maxEventLoopDelayMs} ms)`;
  }
  if (Math.abs(duringRun.clockDriftMs) > maxClockDriftMs) {
    return `the clock was set by ${Math.round(duringRun.clockDriftMs)} ms during the run`;
  }
  return undefined;
}

/** What a bound on a time is raised by: how late this host's own timers were, 99 of 100. */
export function timerAllowanceMs(host: HostRecord): number {
  return Math.ceil(host.calibration.timerLatenessMs.p99);
}

const percent = (share: number) => `${Math.round(share * 100)} %`;

/** Open-loop pacing: when each message is due, whatever became of the ones before it. */
import type { LoadPhase } from "../lab.ts";

export interface ScheduledPhase {
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly perSecond: number;
  /** Index of its first message, and how many it has. */
  readonly first: number;
  readonly count: number;
}

/** Lays the phases end to end. Message `i` of a phase is due at its start + i x (1000 / perSecond). */
export function schedule(phases: readonly LoadPhase[]): ScheduledPhase[] {
  const laid: ScheduledPhase[] = [];
  let startMs = 0;
  let first = 0;
  for (const { name, forMs, perSecond } of phases) {
    const count = Math.round((forMs / 1000) * perSecond);
    laid.push({ name, startMs, endMs: startMs + forMs, perSecond, first, count });
    startMs += forMs;
    first += count;
  }
  return laid;
}

export function plannedCount(phases: readonly ScheduledPhase[]): number {
  return phases.reduce((sum, phase) => sum + phase.count, 0);
}

/** Due time of every message, in milliseconds since the load began. */
export function dueTimes(phases: readonly ScheduledPhase[]): Float64Array {
  const due = new Float64Array(plannedCount(phases));
  for (const phase of phases) {
    for (let i = 0; i < phase.count; i += 1) {
      due[phase.first + i] = phase.startMs + (i * 1000) / phase.perSecond;
    }
  }
  return due;
}

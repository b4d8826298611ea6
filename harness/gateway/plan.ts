/** What the gateway does with a call: a pure function of the plan, the seed, the event and the attempt. */
import type { BrownOut, GatewayPlan, LoadPhase, Trouble } from "../lab.ts";
import { randomFor } from "../load/random.ts";
import { schedule } from "../load/schedule.ts";

/** From `startMs` (since the load began) a call takes `workMs`. */
export interface WorkStep {
  readonly startMs: number;
  readonly workMs: number;
}

/** All that a gateway is told beforehand, so that no message races with a step. */
export interface GatewayOrder {
  readonly seed: number;
  /** In order of time, at least one. The first also holds before the load, the last until the end. */
  readonly steps: readonly WorkStep[];
  /** By event id: what its first `times` attempts are answered with. */
  readonly trouble?: ReadonlyMap<string, Pick<Trouble, "status" | "times">>;
  readonly brownOut?: BrownOut;
}

export interface Call {
  readonly eventId: string;
  /** 1 for the first call with this event id. */
  readonly attempt: number;
  /** Since the load began; negative before it. */
  readonly atMs: number;
}

export interface Answer {
  /** 200 accepted, 503 try later, 422 never; 0: no answer. */
  readonly status: 0 | 200 | 422 | 503;
  readonly workMs: number;
}

/** @throws RangeError when the plan has not one work time a phase */
export function orderOf(plan: GatewayPlan, phases: readonly LoadPhase[], seed: number): GatewayOrder {
  if (plan.workMs.length !== phases.length) {
    throw new RangeError(
      `a gateway plan has one work time a phase: ${phases.length}, and not ${plan.workMs.length}`,
    );
  }
  return {
    seed,
    steps: schedule(phases).map(({ startMs }, i) => ({ startMs, workMs: plan.workMs[i] ?? 0 })),
    ...(plan.brownOut === undefined ? {} : { brownOut: plan.brownOut }),
  };
}

/** By time the work; by time, event and attempt the status. In a brown-out nobody is told more than "later". */
export function answerTo(order: GatewayOrder, call: Call): Answer {
  const { steps, trouble, brownOut } = order;
  const workMs = (steps.findLast(({ startMs }) => startMs <= call.atMs) ?? steps[0])?.workMs ?? 0;
  if (brownOut !== undefined && isDown(brownOut, order.seed, call)) return { status: 503, workMs };
  const troubled = trouble?.get(call.eventId);
  return {
    status: troubled !== undefined && call.attempt <= troubled.times ? troubled.status : 200,
    workMs,
  };
}

function isDown({ startMs, endMs, easesMs = 0 }: BrownOut, seed: number, call: Call): boolean {
  if (call.atMs < startMs || call.atMs >= endMs + easesMs) return false;
  if (call.atMs < endMs) return true;
  const share = (endMs + easesMs - call.atMs) / easesMs;
  return randomFor(seed ^ hashOf(call.eventId), call.attempt)() < share;
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

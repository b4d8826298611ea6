/** What the gateway does with a call: a pure function of the plan, the seed, the event and the attempt. */
import type { GatewayPlan, LoadPhase, Trouble } from "../lab.ts";
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
}

export interface Call {
  readonly eventId: string;
  /** 1 for the first call with this event id. */
  readonly attempt: number;
  /** Since the load began; negative before it. */
  readonly atMs: number;
}

export interface Answer {
  /** 200 accepted, 503 try later, 422 never. */
  readonly status: 200 | 422 | 503;
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
  };
}

/** By time the work, by event and attempt the status. */
export function answerTo({ steps, trouble }: GatewayOrder, { atMs, eventId, attempt }: Call): Answer {
  const step = steps.findLast(({ startMs }) => startMs <= atMs) ?? steps[0];
  const troubled = trouble?.get(eventId);
  const status = troubled !== undefined && attempt <= troubled.times ? troubled.status : 200;
  return { status, workMs: step?.workMs ?? 0 };
}

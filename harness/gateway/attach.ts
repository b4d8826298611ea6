/** The gateway of one run: started before the worker, measured before the load, read after it. */
import type { Load, Scenario, Trouble } from "../lab.ts";
import { type Plan, planMessages } from "../load/messages.ts";
import type { GatewayRecord } from "../record/record.ts";
import type { Messages } from "../record/tables.ts";
import { type RunningGateway, startGateway } from "./gateway.ts";
import { measureCallOverhead } from "./overhead.ts";
import { orderOf } from "./plan.ts";
import type { Attempts, OverheadSamples } from "./protocol.ts";
import { startReference } from "./reference.ts";

const shownStrangers = 5;

export interface AttachedGateway {
  readonly url: string;
  /** Measures what a call costs while there is no load: best when all else has started. Takes about half a second. */
  calibrated(): Promise<CalibratedGateway>;
}

export interface CalibratedGateway {
  readonly url: string;
  start(atEpochMs: number): void;
  /** What came since the load began, attributed to the run's messages. Once, when no more calls come. */
  record(messages: Pick<Messages, "length" | "eventId">): Promise<GatewayRecord>;
}

/**
 * Resolves when the gateway listens; undefined for a scenario without one.
 * @param signal ends the gateway
 */
export async function attachGateway(
  scenario: Pick<Scenario, "gateway" | "load" | "worker">,
  seed: number,
  partitions: number,
  signal: AbortSignal,
): Promise<AttachedGateway | undefined> {
  if (scenario.gateway === undefined) return undefined;
  const plan = planMessages(seed, scenario.load, partitions);
  const order = {
    ...orderOf(scenario.gateway, scenario.load.phases, seed),
    trouble: troubleByEvent(plan, scenario.load),
  };
  const reference = scenario.gateway.reference === true ? startReference(signal) : undefined;
  const gateway: RunningGateway = await startGateway(order, signal);
  const { url } = gateway;
  const called = {
    url,
    concurrency: scenario.worker.concurrency,
    bodyBytes: plan.value(0)?.length ?? 0,
  };
  return {
    url,
    async calibrated() {
      const callOverhead = await (reference?.calibrate(called) ?? measureCallOverhead(called));
      return {
        url,
        start(atEpochMs) {
          gateway.start(atEpochMs);
          reference?.start(atEpochMs);
        },
        async record(messages) {
          const samples = await reference?.report();
          const attributed = attribute(await gateway.report(), messages);
          gateway.release();
          return {
            steps: [...order.steps],
            callOverhead,
            ...(samples === undefined ? {} : { reference: rounded(samples) }),
            ...attributed,
          };
        },
      };
    },
  };
}

function troubleByEvent(plan: Plan, { trouble = [] }: Load): Map<string, Trouble> {
  const byEvent = new Map<string, Trouble>();
  if (trouble.length === 0) return byEvent;
  for (let i = 0; i < plan.length; i += 1) {
    const troubled = trouble.find(({ name }) => name === plan.at(i).trouble);
    if (troubled !== undefined) byEvent.set(plan.eventId(i) ?? "", troubled);
  }
  return byEvent;
}

/** Event ids become indexes of messages: a column of numbers instead of 36 characters a call. */
export function attribute(
  attempts: Attempts,
  messages: Pick<Messages, "length" | "eventId">,
): Pick<GatewayRecord, "attempts" | "strangers"> {
  const indexOf = new Map<string, number>();
  for (let i = 0; i < messages.length; i += 1) {
    const eventId = messages.eventId(i);
    if (eventId !== undefined) indexOf.set(eventId, i);
  }
  const message = attempts.eventIds.map((eventId) => indexOf.get(eventId) ?? -1);
  return {
    attempts: {
      message,
      arrivedMs: Array.from(attempts.arrivedMs, round),
      answeredMs: Array.from(attempts.answeredMs, orNull),
      leftMs: Array.from(attempts.leftMs, orNull),
      endLateMs: Array.from(attempts.endLateMs, round),
      status: [...attempts.status],
      open: [...attempts.open],
    },
    strangers: attempts.eventIds.filter((_, i) => message[i] === -1).slice(0, shownStrangers),
  };
}

const rounded = ({ atMs, overheadMs }: OverheadSamples): GatewayRecord["reference"] => ({
  atMs: Array.from(atMs, round),
  overheadMs: Array.from(overheadMs, round),
});

const orNull = (at: number) => (Number.isNaN(at) ? null : round(at));

/** To 0.01 ms: work times are short. */
const round = (ms: number) => Math.round(ms * 100) / 100;

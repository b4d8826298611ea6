/** The gateway of one run: started before the worker, measured before the load, read after it. */
import type { Load, Scenario, Trouble } from "../lab.ts";
import { type Plan, planMessages } from "../load/messages.ts";
import type { GatewayRecord } from "../record/record.ts";
import type { Messages } from "../record/tables.ts";
import { type RunningGateway, startGateway } from "./gateway.ts";
import { type CallOverhead, measureCallOverhead } from "./overhead.ts";
import { orderOf } from "./plan.ts";
import type { Attempts } from "./protocol.ts";

const shownStrangers = 5;

export interface AttachedGateway {
  readonly url: string;
  start(atEpochMs: number): void;
  /** What came since the load began, attributed to the run's messages. */
  record(messages: Pick<Messages, "length" | "eventId">): Promise<GatewayRecord>;
}

/**
 * Undefined for a scenario without a gateway. Takes about a second.
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
  const gateway: RunningGateway = await startGateway(order, signal);
  const bodyBytes = plan.value(0)?.length ?? 0;
  const callOverhead: CallOverhead = await measureCallOverhead({
    url: gateway.url,
    concurrency: scenario.worker.concurrency,
    bodyBytes,
  });
  return {
    url: gateway.url,
    start: gateway.start,
    async record(messages) {
      const attributed = attribute(await gateway.report(), messages);
      return { steps: [...order.steps], callOverhead, ...attributed };
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
      status: [...attempts.status],
      open: [...attempts.open],
    },
    strangers: attempts.eventIds.filter((_, i) => message[i] === -1).slice(0, shownStrangers),
  };
}

const orNull = (at: number) => (Number.isNaN(at) ? null : round(at));

/** To 0.01 ms: work times are short. */
const round = (ms: number) => Math.round(ms * 100) / 100;

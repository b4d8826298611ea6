/** Floods the edge, kills it, starts it again, tells it to stop, and keeps what client and gateway saw. */
import { connect } from "node:net";
import { z } from "zod";
import type { DrillRun, Observation } from "../../../harness/drill.ts";
import { prepareFlood } from "../../../harness/flood/flood.ts";
import type { Requests } from "../../../harness/flood/protocol.ts";
import { attachGateway } from "../../../harness/gateway/attach.ts";
import { type Fault, gatewaySchema } from "../../../harness/record/record.ts";
import { freePort } from "../../../harness/stack/ports.ts";
import { pauseFor } from "../../../harness/until.ts";
import { phasesOf, planOf, scenarioOf } from "./scenario.ts";

/** A column each, indexed by message; null: never sent, or no answer. */
const requestsSchema = z.object({
  sentMs: z.array(z.number().nullable()),
  answeredMs: z.array(z.number().nullable()),
  status: z.array(z.number()),
  retryAfterSeconds: z.array(z.number().nullable()),
});

export const seenSchema = z.object({
  requests: requestsSchema,
  gateway: gatewaySchema,
  /** When SIGTERM was sent, and when the process was gone. */
  toldToStopMs: z.number(),
  stoppedMs: z.number(),
});

export type Seen = z.infer<typeof seenSchema>;

/** Time for the order to begin to arrive. */
const leadMs = 150;
/** Into its phase: by then the edge is full. */
const killAfterMs = 500;
/** Requests that were sent while nobody listened, or whose connection the kill broke, have no answer. */
const afterKillMs = 500;
const stopAfterMs = 400;

export async function observe(run: DrillRun): Promise<Observation<Seen>> {
  const number = run.parameter;
  const scenario = scenarioOf(number);
  const phases = phasesOf(number);
  const plan = planOf(run.seed, number);
  const over = new AbortController();
  const ended = AbortSignal.any([over.signal, run.signal]);
  try {
    const attached = await attachGateway(scenario, run.seed, 1, over.signal);
    if (attached === undefined) throw new RangeError("the edge needs a gateway");
    const gateway = await attached.calibrated();
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/events`;
    const environment = {
      GATEWAY_URL: gateway.url,
      HTTP_PORT: String(port),
      WORKER_CONCURRENCY: String(scenario.worker.concurrency),
      WORKER_MAX_IN_FLIGHT: String(scenario.worker.maxInFlight),
    };
    const start = async () => {
      await run.start(environment);
      await run.untilReady("the worker to listen on HTTP_PORT", () => isListening(port));
    };
    const flood = await prepareFlood({ url, seed: run.seed, load: scenario.load }, over.signal);
    await start();
    run.begin(leadMs, phases);
    flood.start(run.startedAt);
    gateway.start(run.startedAt);
    const { now } = run;
    const at = (ms: number) => pauseFor(ms - now(), ended);

    const kill = phases.find(({ name }) => name === "kill");
    const drain = phases.find(({ name }) => name === "drain");
    if (kill === undefined || drain === undefined) throw new RangeError("a phase is missing");
    await at(kill.startMs + killAfterMs);
    run.say("killing the worker");
    const killedMs = now();
    await run.kill();
    await start();
    const backMs = now();
    await at(drain.startMs + stopAfterMs);
    run.say("telling the worker to stop");
    const toldToStopMs = now();
    await run.terminate();
    const stoppedMs = now();
    const requests = await flood.finished;
    const fault: Fault = {
      name: "worker killed",
      kind: "kill-worker",
      startMs: killedMs,
      healMs: backMs,
      clearMs: backMs + afterKillMs,
    };
    return {
      seen: {
        requests: columns(requests),
        gateway: await gateway.record({ length: plan.length, eventId: plan.eventId }),
        toldToStopMs,
        stoppedMs,
      },
      phases: phases.map(({ name, startMs, endMs, perSecond }) => ({ name, startMs, endMs, perSecond })),
      faults: [fault],
    };
  } finally {
    over.abort();
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

/** For the record. */
export function columns({ sentMs, answeredMs, status, retryAfterSeconds }: Requests): Seen["requests"] {
  return {
    sentMs: Array.from(sentMs, orNull),
    answeredMs: Array.from(answeredMs, orNull),
    status: [...status],
    retryAfterSeconds: Array.from(retryAfterSeconds, orNull),
  };
}

/** To 0.01 ms. A wait that is no number, or that never ends, is none. */
const orNull = (value: number) => (Number.isFinite(value) ? Math.round(value * 100) / 100 : null);

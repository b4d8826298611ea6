/**
 * The edge drill, solved: HTTP -> one gateway call an event, and a worker that takes in what it has places for.
 *
 * It is the pipeline of the backpressure lab with another source. Kafka waits to be asked; a client with a request does
 * not. So where there demand slowed the pulling, here it decides the answer: a request that finds demand is taken, and
 * answered 202 when its event is stored. One that finds none is answered 429 at once, and stays with its sender.
 */
import { setTimeout as delay } from "node:timers/promises";
import { openPoster, type Poster } from "../../toolkit/http/poster.ts";
import { type HttpRecord, type HttpSourceOptions, httpSource } from "../../toolkit/http/source.ts";
import type { Message } from "../../toolkit/pipeline/message.ts";
import { startPipeline } from "../../toolkit/pipeline/pipeline.ts";
import { type WorkerEnv, workerEnv } from "../../toolkit/worker/env.ts";
import { loggedTelemetry } from "../../toolkit/worker/log.ts";
import { isMainProgram } from "../../toolkit/worker/main.ts";

/** The bytes as they came, and the id to store them under. */
interface Event {
  readonly eventId: string;
  readonly body: Buffer;
}

/** What makes it a solution; each pitfall replaces one of these. */
export const parts = {
  /** Requests taken in and not yet answered. */
  maxInFlight: (env: WorkerEnv): number => env.maxInFlight,

  /** When 202 is said. */
  answer: "stored" as NonNullable<HttpSourceOptions<Event>["answer"]>,

  /** Comes back when the worker has been told to stop and all that was taken in is answered. */
  untilStopped: (pipeline: ReturnType<typeof startPipeline>): Promise<unknown> =>
    pipeline.untilSignal("SIGTERM"),
};

export async function work({ maxInFlight, answer, untilStopped } = parts): Promise<void> {
  const env = workerEnv();
  const poster = openPoster();
  const gatewayUrl = env.gatewayUrl;
  const pipeline = startPipeline({
    source: httpSource({ port: env.httpPort, read: readEvent, answer }),
    telemetry: loggedTelemetry(),
    maxInFlight: maxInFlight(env),
    processors: {
      concurrency: env.concurrency,
      // Together they ask for all that may be in flight: demand is the room.
      maxDemand: Math.ceil(maxInFlight(env) / env.concurrency),
      minDemand: Math.ceil(maxInFlight(env) / env.concurrency) - 1,
    },
    async process(message: Message<Event, HttpRecord>) {
      await store(poster, gatewayUrl, message.value);
      return message;
    },
    // The call was the effect; nothing is left to be stored, only to be answered.
    batcher: { size: 100 },
    write() {},
  });
  await untilStopped(pipeline);
  poster.close();
}

/** Tries until the gateway has it. The event id makes it the same payment, however often it is sent. */
async function store(poster: Poster, gatewayUrl: string, { eventId, body }: Event): Promise<void> {
  for (let waitMs = 50; ; waitMs = Math.min(2_000, waitMs * 2)) {
    const status = await poster.post(`${gatewayUrl}/payments/${eventId}`, body).catch(() => 503);
    if (status === 200) return;
    if (status === 422) throw new Error(`the gateway refuses event ${eventId}`);
    await delay(waitMs);
  }
}

/** @throws Error with what is wrong, for the sender */
function readEvent(body: Buffer): Event {
  const event: unknown = JSON.parse(body.toString());
  if (
    typeof event !== "object" ||
    event === null ||
    !("eventId" in event) ||
    typeof event.eventId !== "string"
  ) {
    throw new TypeError("an event is a JSON object with an eventId");
  }
  return { eventId: event.eventId, body };
}

if (isMainProgram(import.meta.url)) await work();

/**
 * The backpressure drill, solved: Kafka -> one gateway call an event, and a worker that pulls what it has places for.
 *
 * Demand runs against the stream. A processor with a free place asks the pipeline, the pipeline asks Kafka, and only
 * then is anything fetched. When the gateway slows down, places come free more slowly, so less is asked for, so less
 * is pulled: nobody measures the gateway and nobody sets a rate. What is too much stays on the broker.
 */
import type { KafkaRecord } from "../../toolkit/kafka/record.ts";
import { kafkaSource } from "../../toolkit/kafka/source.ts";
import type { Message } from "../../toolkit/pipeline/message.ts";
import { startPipeline } from "../../toolkit/pipeline/pipeline.ts";
import type { Source } from "../../toolkit/pipeline/source.ts";
import { type WorkerEnv, workerEnv } from "../../toolkit/worker/env.ts";
import { loggedTelemetry } from "../../toolkit/worker/log.ts";
import { isMainProgram } from "../../toolkit/worker/main.ts";
import { type Gateway, openGateway } from "./gateway.ts";

type Payment = Message<Buffer | null, KafkaRecord>;

/** What makes it a solution; each pitfall replaces one of these. */
export const parts = {
  /** Small fetches follow the demand closely: what was fetched and not asked for waits in memory. */
  source: ({ kafka }: WorkerEnv): Source<Buffer | null, KafkaRecord> =>
    kafkaSource({ ...kafka, maxBytesPerPartition: 128 * 1024 }),

  /** Calls at once. */
  places: (env: WorkerEnv): number => env.concurrency,

  /** Messages pulled and not finished: those at the gateway, and enough beside them to bridge the next fetch. */
  maxInFlight: (env: WorkerEnv): number => env.maxInFlight,

  /** Returns when the gateway has accepted the event, and never before: that is what holds the place. */
  async settle(gateway: Gateway, message: Payment): Promise<void> {
    const body = message.value ?? Buffer.alloc(0);
    await gateway.accept(eventIdOf(body), body);
  },
};

export async function work({ source, places, maxInFlight, settle } = parts): Promise<void> {
  const env = workerEnv();
  const gateway = openGateway(env.gatewayUrl);
  const telemetry = loggedTelemetry();
  const pipeline = startPipeline({
    source: source(env),
    telemetry,
    maxInFlight: maxInFlight(env),
    processors: {
      concurrency: places(env),
      // What a processor asks for ahead of its call, so that it need not wait for Kafka when the call has ended.
      maxDemand: Math.max(1, Math.floor(maxInFlight(env) / places(env))),
    },
    async process(message: Payment) {
      await settle(gateway, message);
      return message;
    },
    // The call was the effect; nothing is left to be stored, only to be acknowledged.
    batcher: { size: 100 },
    write() {},
  });
  await pipeline.untilSignal("SIGTERM");
  gateway.close();
}

function eventIdOf(body: Buffer): string {
  const { eventId } = JSON.parse(body.toString());
  if (typeof eventId !== "string") throw new TypeError("an event has an eventId");
  return eventId;
}

if (isMainProgram(import.meta.url)) await work();

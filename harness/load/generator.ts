/**
 * The load generator: a process of its own, so that neither probes nor proxies can make it late.
 *
 * It says of each message when it was sent, when it was acknowledged, and where the broker put it.
 */
import { Kafka, logLevel } from "kafkajs";
import { planMessages } from "./messages.ts";
import { type PaceReport, pace } from "./pace.ts";
import { aboutEventBytes } from "./prepared.ts";
import { openProducer } from "./produce.ts";
import type { Acknowledged, FromGenerator, GeneratorOrder, ToGenerator } from "./protocol.ts";
import { dueTimes, schedule } from "./schedule.ts";
import { warmUp } from "./warm-up.ts";

const reportEveryMs = 50;
/** A warm-up that takes longer is told of: somebody waits for it. */
const sayAfterMs = 2_000;
/** The brokers that this process has sent to before: they and its code are warm. */
let warmed: string | undefined;

function tell(message: FromGenerator): void {
  process.send?.(message);
}

/** One load: what the harness says of it after the order. */
interface Generation {
  start(atEpochMs: number): void;
  stop(): void;
}

function generate(order: GeneratorOrder): Generation {
  let start: (atEpochMs: number) => void = () => undefined;
  const started = new Promise<number>((resolve) => {
    start = resolve;
  });
  let stopped = false;
  load(order, started, () => stopped).catch((error: unknown) => {
    tell({ type: "failed", text: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    process.exitCode = 1;
    process.disconnect?.();
  });
  return {
    start,
    stop() {
      stopped = true;
    },
  };
}

/** @param started resolves with the time at which the load begins */
async function load(
  order: GeneratorOrder,
  started: Promise<number>,
  isStopped: () => boolean,
): Promise<void> {
  const admin = new Kafka({
    clientId: "sluice-load",
    brokers: order.brokers.split(","),
    logLevel: logLevel.NOTHING,
  }).admin();
  await admin.connect();
  const plan = planMessages(order.seed, order.load, order.partitions);
  const due = dueTimes(schedule(order.load.phases));
  if (warmed !== order.brokers) {
    const timer = setTimeout(() => tell({ type: "warming-up" }), sayAfterMs);
    await warmUp(admin, order);
    clearTimeout(timer);
    warmed = order.brokers;
  }
  const producer = await openProducer(admin, order.topic);
  const { leaderOf } = producer;
  const eventBytes = aboutEventBytes(order.load);
  tell({ type: "ready", planned: plan.length });

  const startEpochMs = await started;
  const report = reporter();
  const sent = await pace(
    { plan, topic: order.topic, due, startEpochMs, leaderOf, eventBytes },
    producer,
    report,
    isStopped,
  );
  report.end();
  producer.close();
  await admin.disconnect();
  // The harness ends this process or gives it the next order: an exit could overtake what is still in the channel.
  tell({ type: "done", sent });
}

/** Gathers what was acknowledged, so that the ledger costs 20 messages a second and not 500. */
function reporter(): PaceReport & { end(): void } {
  let gathered: Acknowledged[] = [];
  const timer = setInterval(flush, reportEveryMs);
  timer.unref();
  function flush(): void {
    if (gathered.length > 0) tell({ type: "acknowledged", requests: gathered });
    gathered = [];
  }
  return {
    acknowledged(one) {
      gathered.push(one);
    },
    error: (text) => tell({ type: "error", text }),
    end() {
      clearInterval(timer);
      flush();
    },
  };
}

let generation: Generation | undefined;
process.on("message", (message: ToGenerator) => {
  if (message.type === "order") generation = generate(message.order);
  if (message.type === "start") generation?.start(message.atEpochMs);
  if (message.type === "stop") generation?.stop();
});
// The harness is gone: so is the reason to send.
process.on("disconnect", () => process.exit());
// Ctrl-C reaches the whole process group; the harness decides when this process ends.
process.on("SIGINT", () => undefined);

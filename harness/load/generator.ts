/**
 * The load generator: a process of its own, so that neither probes nor proxies can make it late.
 *
 * Open loop: what is due is sent, whatever became of what was sent before. It says of each message when
 * it was sent, when it was acknowledged, and where the broker put it; it retries nothing, so that one
 * message is one record.
 *
 * A request is made before it is due, in the time that is left between two of them: what a message costs to make
 * does not make it late.
 */
import { Kafka, logLevel } from "kafkajs";
import { planMessages } from "./messages.ts";
import { type Prepared, type PreparerOptions, prepare } from "./prepared.ts";
import { openProducer, type Producer } from "./produce.ts";
import type { Acknowledged, FromGenerator, GeneratorOrder, ToGenerator } from "./protocol.ts";
import { dueTimes, schedule } from "./schedule.ts";

/** How far ahead requests are made. */
const aheadMs = 60;
/** With less time than this until the next is due, no other one is begun. */
const enoughMs = 0.5;
/** A generator this late will not catch up: it stops, and the run is unknown. */
const hopelesslyLateMs = 3_000;
const reportEveryMs = 50;
/** The first requests compile the code for the others; large events do as much with fewer. */
const warmUpMessages = 2_000;
const warmUpBytes = 12_000_000;
/** The brokers that this process has sent to before: they and its code need no warming up. */
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
  // What surrounds the padding; a tenth for escapes and characters of several bytes.
  const eventBytes = 400 + order.load.paddingLength * 1.1;
  if (warmed !== order.brokers) {
    const warm = await openProducer(admin, order.warmUpTopic);
    await warmUp(warm, order, eventBytes);
    warm.close();
    warmed = order.brokers;
  }
  const producer = await openProducer(admin, order.topic);
  const { leaderOf } = producer;
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

/** Sends what is due when it is due, until all is sent, or it is told to stop. Resolves when all is answered. */
async function pace(
  options: PreparerOptions,
  producer: Producer,
  report: Reporter,
  isStopped: () => boolean,
): Promise<number> {
  const { plan, due, startEpochMs } = options;
  const origin = startEpochMs - performance.timeOrigin;
  const now = () => performance.now() - origin;
  const inFlight = new Set<Promise<void>>();
  const ready: Prepared[] = [];
  /** Index of the next message to make, and of the next one to send. */
  let made = 0;
  let sent = 0;
  const makeNext = () => {
    const next = prepare(options, made, now());
    made = next.end;
    ready.push(next);
    return next;
  };
  while (sent < plan.length && !isStopped()) {
    const at = now();
    if (at - (due[sent] ?? 0) > hopelesslyLateMs) break;
    let next = ready[0] ?? makeNext();
    while (next.dueMs <= at) {
      ready.shift();
      sent = next.end;
      const answered = send(producer, next, now, report).finally(() => inFlight.delete(answered));
      inFlight.add(answered);
      if (sent === plan.length) break;
      next = ready[0] ?? makeNext();
    }
    while (made < plan.length && next.dueMs - now() > enoughMs && (due[made] ?? 0) - now() < aheadMs)
      makeNext();
    // Timers count whole milliseconds, and never fire early.
    const pauseMs = Math.round(next.dueMs - now());
    await new Promise<void>((resolve) => {
      if (pauseMs > 0) setTimeout(resolve, pauseMs);
      else setImmediate(resolve);
    });
  }
  await Promise.all(inFlight);
  return sent;
}

async function send(producer: Producer, one: Prepared, now: () => number, report: Reporter): Promise<void> {
  const { first, partitions, requests } = one;
  const sentMs = now();
  const nextOffset = new Map<number, number>();
  await Promise.all(
    requests.map(async ({ leader, bytes }) => {
      try {
        for (const { partition, errorCode, baseOffset } of await producer.send(leader, bytes)) {
          if (errorCode === 0) nextOffset.set(partition, baseOffset);
          else
            tell({
              type: "error",
              text: `the broker refused messages of partition ${partition}: error ${errorCode}`,
            });
        }
      } catch (error) {
        tell({ type: "error", text: error instanceof Error ? error.message : String(error) });
      }
    }),
  );
  const ackedMs = nextOffset.size === 0 ? -1 : now();
  const offsets = new Float64Array(partitions.length);
  for (const [i, partition] of partitions.entries()) {
    const offset = nextOffset.get(partition);
    offsets[i] = offset ?? -1;
    if (offset !== undefined) nextOffset.set(partition, offset + 1);
  }
  report.acknowledged({ first, partitions, offsets, sentMs, ackedMs });
}

/** The first requests pay for compiled code: here, on a topic of their own, and not in the load. */
async function warmUp(producer: Producer, order: GeneratorOrder, eventBytes: number): Promise<void> {
  const messages = Math.min(warmUpMessages, Math.ceil(warmUpBytes / eventBytes));
  const phases = [{ name: "warm", forMs: messages / 2, perSecond: 2_000 }];
  const load = { ...order.load, phases, malformedOneIn: 0 };
  // The topic for it has one partition.
  const warm = planMessages(order.seed ^ 1, load, 1);
  const options = {
    plan: warm,
    topic: order.warmUpTopic,
    due: dueTimes(schedule(load.phases)),
    startEpochMs: Date.now(),
    leaderOf: producer.leaderOf,
    eventBytes,
  };
  for (let first = 0; first < warm.length; ) {
    const one = prepare(options, first, (first + 20) / 2);
    for (const { leader, bytes } of one.requests) await producer.send(leader, bytes);
    first = one.end;
  }
}

type Reporter = ReturnType<typeof reporter>;

/** Gathers what was acknowledged, so that the ledger costs 20 messages a second and not 500. */
function reporter() {
  let gathered: Acknowledged[] = [];
  const timer = setInterval(flush, reportEveryMs);
  timer.unref();
  function flush(): void {
    if (gathered.length > 0) tell({ type: "acknowledged", requests: gathered });
    gathered = [];
  }
  return {
    acknowledged(one: Acknowledged) {
      gathered.push(one);
    },
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

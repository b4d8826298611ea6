/**
 * The load generator: a process of its own, so that neither probes nor proxies can make it late.
 *
 * Open loop: what is due is sent, whatever became of what was sent before. It says of each message when
 * it was sent, when it was acknowledged, and where the broker put it; it retries nothing, so that one
 * message is one record.
 */
import { CompressionTypes, Kafka, logLevel, type Message, type Producer } from "kafkajs";
import { type Plan, planMessages } from "./messages.ts";
import type { Acknowledged, FromGenerator, GeneratorOrder, ToGenerator } from "./protocol.ts";
import { dueTimes, schedule } from "./schedule.ts";

/** Wait between looks at the schedule: the resolution of the load. */
const tickMs = 2;
/** Bound of one request, well under the broker's message.max.bytes. */
const maxRequestBytes = 400_000;
const maxRequestMessages = 2_000;
/**
 * A fetch that ends inside of a batch brings that batch again: events of this weight travel few at a time, so that
 * bytes at the proxy tell events.
 */
const largeEventBytes = 8_000;
const maxLargeEvents = 4;
/** A generator this late will not catch up: it stops, and the run is unknown. */
const hopelesslyLateMs = 3_000;
const reportEveryMs = 50;

function tell(message: FromGenerator): void {
  process.send?.(message);
}

async function generate(order: GeneratorOrder): Promise<void> {
  const kafka = new Kafka({
    clientId: "sluice-load",
    brokers: order.brokers.split(","),
    logLevel: logLevel.NOTHING,
    retry: { retries: 0 },
    requestTimeout: 10_000,
  });
  const producer = kafka.producer({ allowAutoTopicCreation: false, retry: { retries: 0 } });
  await producer.connect();
  const plan = planMessages(order.seed, order.load, order.partitions);
  const due = dueTimes(schedule(order.load.phases));
  await warmUp(producer, order);
  tell({ type: "ready", planned: plan.length });

  const startEpochMs = await new Promise<number>((resolve) => {
    process.on("message", (message: ToGenerator) => {
      if (message.type === "start") resolve(message.atEpochMs);
    });
  });
  const origin = startEpochMs - performance.timeOrigin;
  const now = () => performance.now() - origin;

  // What surrounds the padding; a tenth for escapes and characters of several bytes.
  const eventBytes = 400 + order.load.paddingLength * 1.1;
  const report = reporter();
  const inFlight = new Set<Promise<void>>();
  let next = 0;
  let stopped = false;
  process.on("message", (message: ToGenerator) => {
    if (message.type === "stop") stopped = true;
  });
  while (next < plan.length && !stopped) {
    const at = now();
    if (at - (due[next] ?? 0) > hopelesslyLateMs) break;
    while (next < plan.length && (due[next] ?? 0) <= at) {
      const end = requestEnd(plan, due, next, at, eventBytes);
      const sent = send(producer, order.topic, plan, next, end, now, report).finally(() =>
        inFlight.delete(sent),
      );
      inFlight.add(sent);
      next = end;
    }
    // The client writes to its socket only when this loop yields.
    await new Promise((resolve) => setTimeout(resolve, tickMs));
  }
  await Promise.all(inFlight);
  report.flush();
  await producer.disconnect();
  // The harness ends this process when it has read all: an exit could overtake what is still in the channel.
  tell({ type: "done", sent: next });
}

/**
 * Index after the last message of the request that starts at `first`.
 * @param eventBytes about what an event weighs
 */
function requestEnd(plan: Plan, due: Float64Array, first: number, at: number, eventBytes: number): number {
  let bytes = 0;
  let end = first;
  const most = eventBytes < largeEventBytes ? maxRequestMessages : maxLargeEvents;
  while (end < plan.length && (due[end] ?? 0) <= at && end - first < most) {
    bytes += plan.at(end).malformation === "oversized" ? maxRequestBytes : eventBytes;
    if (end > first && bytes > maxRequestBytes) break;
    end += 1;
  }
  return end;
}

async function send(
  producer: Producer,
  topic: string,
  plan: Plan,
  first: number,
  end: number,
  now: () => number,
  report: ReturnType<typeof reporter>,
): Promise<void> {
  const messages: Message[] = [];
  const partitions = new Int16Array(end - first);
  for (let i = first; i < end; i += 1) {
    const { accountId, partition } = plan.at(i);
    partitions[i - first] = partition;
    const trace = plan.trace(i);
    messages.push({
      key: accountId,
      value: plan.value(i),
      partition,
      ...(trace === undefined ? {} : { headers: { trace } }),
    });
  }
  const sentMs = now();
  try {
    const placed = await producer.send({ topic, messages, acks: -1, compression: CompressionTypes.None });
    const nextOffset = new Map(placed.map((one) => [one.partition, Number(one.baseOffset)]));
    const offsets = new Float64Array(end - first);
    for (let i = 0; i < partitions.length; i += 1) {
      const partition = partitions[i] ?? 0;
      const offset = nextOffset.get(partition) ?? Number.NaN;
      offsets[i] = offset;
      nextOffset.set(partition, offset + 1);
    }
    report.acknowledged({ first, partitions, offsets, sentMs, ackedMs: now() });
  } catch (error) {
    report.acknowledged({
      first,
      partitions,
      offsets: new Float64Array(end - first).fill(-1),
      sentMs,
      ackedMs: -1,
    });
    tell({ type: "error", text: error instanceof Error ? error.message : String(error) });
  }
}

/** The first request pays for metadata and compiled code: here, on a topic of its own, and not in the load. */
async function warmUp(producer: Producer, order: GeneratorOrder): Promise<void> {
  const warm = planMessages(
    order.seed ^ 1,
    { ...order.load, phases: [{ name: "warm", forMs: 1000, perSecond: 2000 }] },
    order.partitions,
  );
  for (let i = 0; i + 20 <= warm.length; i += 20) {
    const messages = Array.from({ length: 20 }, (_, k) => ({
      key: warm.at(i + k).accountId,
      value: warm.value(i + k),
      partition: 0,
    }));
    if (!messages.some((message) => (message.value?.length ?? 0) > maxRequestBytes)) {
      await producer.send({ topic: order.warmUpTopic, messages, acks: -1 });
    }
  }
  // Fetches the metadata of the real topic without writing to it.
  await producer.send({ topic: order.topic, messages: [], acks: -1 }).catch(() => undefined);
}

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
    flush,
  };
}

process.once("message", (message: ToGenerator) => {
  if (message.type !== "order") return;
  generate(message.order).catch((error: unknown) => {
    tell({ type: "failed", text: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    process.exitCode = 1;
    process.disconnect?.();
  });
});
// The harness is gone: so is the reason to send.
process.on("disconnect", () => process.exit());
// Ctrl-C reaches the whole process group; the harness decides when this process ends.
process.on("SIGINT", () => undefined);

/**
 * A Kafka topic as the source of a pipeline, for one member of a consumer group.
 *
 * - Reads from the earliest offset when the group has none; commits one more than the last of the contiguous
 *   finished offsets, and never before.
 * - **Demand.** Records are fetched a response at a time. A response is given out as the pipeline asks, and the next
 *   is not fetched before the last record of this one has gone: what waits outside of the pipeline is at most
 *   `maxBytesPerPartition` a partition. What is in work is bounded by the pipeline, and by `maxBytesInWork`.
 * - **Slow work keeps its partitions, stuck work loses them.** Heartbeats go on while a full pipeline makes no
 *   demand. When nothing was finished for `stuckAfterMs` although something is in work, the worker leaves its group,
 *   and joins again when its work moves.
 * - **Fencing.** A rebalance revokes everything in flight; it comes again, here or at another worker, from the
 *   committed offset.
 * - A cut network, a restarted broker and a crash of the client are survived: it joins again and goes on.
 */
import type { EachBatchPayload, KafkaMessage } from "kafkajs";
import { systemClock } from "../pipeline/clock.ts";
import { Message } from "../pipeline/message.ts";
import type { Source, SourceSink } from "../pipeline/source.ts";
import { createTelemetry, type Telemetry } from "../telemetry/telemetry.ts";
import { createClient } from "./client.ts";
import { createCommitter } from "./committer.ts";
import { kafkaTrouble } from "./errors.ts";
import { admits, createHoldings, type HeldPartition } from "./holdings.ts";
import { createMembership } from "./membership.ts";
import { type KafkaRecord, kafkaRecord, recordBytes } from "./record.ts";

export interface KafkaSourceOptions {
  /** `host:port` each; one that answers is enough to find the others. */
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly groupId: string;
  /** Silence after which the group gives the partitions to others. Default 10,000 ms. */
  readonly sessionTimeoutMs?: number;
  /** Default a quarter of `sessionTimeoutMs`. */
  readonly heartbeatIntervalMs?: number;
  /** How long a rebalance waits for this member. Default `sessionTimeoutMs`, at least 3,000 ms. */
  readonly rebalanceTimeoutMs?: number;
  /** Longest wait of a fetch on an empty topic; also how long closing may take. Default 100 ms. */
  readonly maxWaitMs?: number;
  /** Most bytes of a partition in one fetch; a larger record still comes, alone. Default 512 KiB. */
  readonly maxBytesPerPartition?: number;
  /** No record is delivered while those in work weigh more, one excepted. Default 64 MiB. */
  readonly maxBytesInWork?: number;
  /** Shortest time between two commit requests. Default 10 ms. */
  readonly commitIntervalMs?: number;
  /** Time without progress after which the worker leaves its group. Default 60,000 ms. */
  readonly stuckAfterMs?: number;
  /** Name of this client in the broker's logs. Default `"sluice"`. */
  readonly clientId?: string;
  readonly telemetry?: Telemetry;
  /** One line about what matters: joins, lost connections. Default: stderr. */
  readonly log?: (line: string) => void;
}

/** A batch of kafkajs that is being given out. */
interface Hold {
  readonly payload: EachBatchPayload;
  readonly messages: readonly KafkaMessage[];
  readonly held: HeldPartition;
  /** Index of the next message to give out. */
  at: number;
  readonly finish: (error?: unknown) => void;
}

/** The value of a message is the record's value as it came; `origin` is the whole record. */
export function kafkaSource(options: KafkaSourceOptions): Source<Buffer | null, KafkaRecord> {
  const { topic, groupId } = options;
  const sessionTimeoutMs = options.sessionTimeoutMs ?? 10_000;
  const heartbeatIntervalMs = options.heartbeatIntervalMs ?? Math.max(50, Math.floor(sessionTimeoutMs / 4));
  const maxBytesInWork = options.maxBytesInWork ?? 64 * 1024 * 1024;
  const stuckAfterMs = options.stuckAfterMs ?? 60_000;
  const log = options.log ?? ((line: string) => process.stderr.write(`${line}\n`));
  const telemetry = options.telemetry ?? createTelemetry();
  const assigned = telemetry.channel("kafka.assigned");
  const committed = telemetry.channel("kafka.committed");
  const commitFailed = telemetry.channel("kafka.commit-failed");
  const disrupted = telemetry.channel("kafka.disrupted");
  const clock = systemClock;

  const holdings = createHoldings();
  let sink: SourceSink<Buffer | null, KafkaRecord> | undefined;
  let hold: Hold | undefined;
  let demand = 0;
  let paused = false;
  /** Nothing is delivered any more. */
  let stopped = false;
  let closed = false;
  /** The group was left because the work was stuck, at this time. */
  let leftAt: number | undefined;
  let progressAt = clock.now();
  let ticker: NodeJS.Timeout | undefined;
  let send: EachBatchPayload["commitOffsetsIfNecessary"] | undefined;

  const committer = createCommitter({
    intervalMs: options.commitIntervalMs ?? 10,
    clock,
    send: (offsets) => (send === undefined ? Promise.resolve() : send(offsets)),
    committed: ({ topic: of, partition }, offset) => {
      if (committed.active) committed.emit({ topic: of, partition, offset });
    },
    failed: (error, generation) => {
      if (commitFailed.active) commitFailed.emit({ groupId, generation, error });
      if (generation !== holdings.generation || closed) return;
      const trouble = kafkaTrouble(error);
      if (trouble === "lost") lose(error);
      else if (trouble === "final") sink?.fail(error);
    },
  });

  const membership = createMembership({
    client: createClient({
      brokers: options.brokers,
      clientId: options.clientId ?? "sluice",
      requestTimeoutMs: Math.max(sessionTimeoutMs, 5_000),
      retry: { initialRetryTime: 50, maxRetryTime: 1_000, retries: 8 },
      log,
    }),
    topic,
    groupId,
    sessionTimeoutMs,
    heartbeatIntervalMs,
    rebalanceTimeoutMs: options.rebalanceTimeoutMs ?? Math.max(sessionTimeoutMs, 3_000),
    maxWaitMs: options.maxWaitMs ?? 100,
    maxBytesPerPartition: options.maxBytesPerPartition ?? 512 * 1024,
    batch: giveOut,
    joined(partitions) {
      holdings.join(partitions);
      progressAt = clock.now();
      sink?.revoked();
      hold?.finish();
      if (assigned.active) {
        assigned.emit({ groupId, generation: holdings.generation, partitions: partitions.length });
      }
      log(`kafka: ${groupId} has ${listed(partitions.map(({ partition }) => partition))} of ${topic}`);
    },
    crashed(error) {
      log(`kafka: starting again after: ${messageOf(error)}`);
      lose(error);
    },
    failed: (error) => sink?.fail(error),
  });

  /** The partitions are no longer ours, and the next join is to come. */
  function lose(error: unknown): void {
    if (disrupted.active) disrupted.emit({ groupId, error });
    holdings.lose();
    sink?.revoked();
  }

  /** kafkajs hands over a batch, and fetches no other before this has returned. Rejects only with kafkajs' errors. */
  function giveOut(payload: EachBatchPayload): Promise<void> {
    const { batch } = payload;
    const found = holdings.find(batch.topic, batch.partition);
    const first = Number(batch.messages[0]?.offset);
    // What was fetched before the partition was lost is not ours to give out. Its position is not moved either.
    if (found === undefined || closed) return untilBeaten(payload);
    if (!admits(found, first)) return Promise.resolve();
    const last = Number(batch.messages.at(-1)?.offset);
    const held = found.position !== undefined && last < found.position ? beganAnew(found) : found;
    send = payload.commitOffsetsIfNecessary;
    return new Promise((resolve, reject) => {
      hold = {
        payload,
        messages: batch.messages,
        held,
        at: 0,
        finish(error) {
          hold = undefined;
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      pump();
    });
  }

  /** Waits with a batch that is not ours until kafkajs has noticed, or a heartbeat is due that makes it notice. */
  function untilBeaten(payload: EachBatchPayload): Promise<void> {
    return new Promise((resolve) => {
      setTimeout(resolve, closed ? 0 : 20);
    }).then(() => (closed ? undefined : payload.heartbeat()));
  }

  function beganAnew(held: HeldPartition): HeldPartition {
    log(`kafka: the log of ${held.topic}/${held.partition} began anew: its offsets went back`);
    const next = holdings.restart(held);
    sink?.revoked();
    return next;
  }

  /** Gives out what is at hand and asked for. */
  function pump(): void {
    while (hold !== undefined && sink !== undefined) {
      const { held, messages, payload } = hold;
      if (held.revoked) return;
      if (hold.at === messages.length) return hold.finish();
      if (demand === 0 || paused || stopped) return;
      const given = take(hold, Math.min(demand, messages.length - hold.at));
      if (given.end === hold.at) return;
      hold.at = given.end;
      payload.resolveOffset(messages[given.end - 1]?.offset ?? "");
      demand -= given.messages.length;
      if (given.messages.length > 0) sink.deliver(given.messages);
    }
  }

  /** Makes messages of the next `count` records, fewer when they weigh too much. */
  function take(from: Hold, count: number): { messages: Message<Buffer | null, KafkaRecord>[]; end: number } {
    const { held } = from;
    const made: Message<Buffer | null, KafkaRecord>[] = [];
    let bytes = holdings.bytesInWork();
    if (holdings.inWork() === 0) progressAt = clock.now();
    let end = from.at;
    for (; end < from.at + count; end++) {
      if (bytes > maxBytesInWork) break;
      const raw = from.messages[end];
      if (raw === undefined) break;
      const record = kafkaRecord(held.topic, held.partition, raw);
      if (held.position !== undefined && record.offset < held.position) continue;
      const weight = recordBytes(record);
      bytes += weight;
      held.bytesInWork += weight;
      held.position = record.offset + 1;
      held.tracker.started(record.offset);
      made.push(new Message(record.value, record, held, record.offset));
    }
    return { messages: made, end };
  }

  /** Several times a heartbeat interval: keeps the session of a worker that waits, and sees whether it is stuck. */
  function tick(): void {
    if (closed) return;
    const inWork = holdings.inWork();
    if (inWork > 0 && !stopped && leftAt === undefined && clock.now() - progressAt > stuckAfterMs) {
      return leaveStuck(inWork);
    }
    const waiting = hold;
    if (waiting === undefined) return;
    waiting.payload.heartbeat().catch((error: unknown) => {
      const trouble = kafkaTrouble(error);
      if (trouble === "lost" && hold === waiting) lose(error);
      // A broken connection mends itself, or the session ends; both are noticed here or by the next fetch.
      if (trouble !== "passing" && hold === waiting) waiting.finish(error);
    });
  }

  function leaveStuck(inWork: number): void {
    const error = new Error(
      `no message was finished within ${stuckAfterMs} ms while ${inWork} were in work: leaving the group`,
    );
    log(`kafka: ${error.message}`);
    leftAt = clock.now();
    lose(error);
    const left = membership.leave();
    hold?.finish();
    left.catch((reason: unknown) => log(`kafka: while leaving the group: ${messageOf(reason)}`));
  }

  /** Places that are freed later than at once, when the revoked work was dropped, tell that the work moves again. */
  function rejoinIfMoving(): void {
    if (leftAt === undefined || stopped || clock.now() - leftAt < heartbeatIntervalMs) return;
    leftAt = undefined;
    membership
      .leave()
      .then(() => membership.join())
      .catch((error: unknown) => sink?.fail(error));
  }

  return {
    name: `kafka ${topic}`,
    async open(to) {
      sink = to;
      ticker = setInterval(tick, Math.ceil(heartbeatIntervalMs / 2));
      try {
        await membership.join();
      } catch (error) {
        throw new Error(
          `cannot consume Kafka topic ${topic} at ${options.brokers.join(", ")}: ${messageOf(error)}`,
          { cause: error },
        );
      }
    },
    request(count) {
      demand += count;
      rejoinIfMoving();
      pump();
    },
    acknowledge(messages) {
      progressAt = clock.now();
      for (const message of messages) {
        const held = message.assignment as HeldPartition;
        if (held.revoked) continue;
        held.tracker.finished(message.offset);
        held.bytesInWork -= recordBytes(message.origin);
        committer.moved(held);
      }
      pump();
    },
    pause() {
      paused = true;
    },
    resume() {
      paused = false;
      pump();
    },
    async stop() {
      stopped = true;
    },
    async close() {
      if (closed) return;
      stopped = true;
      await committer.flush(2_000);
      committer.close();
      closed = true;
      clearInterval(ticker);
      const left = membership.close(2_000);
      hold?.finish();
      await left;
    },
  };
}

function listed(partitions: readonly number[]): string {
  if (partitions.length === 0) return "no partition";
  const sorted = partitions.toSorted((a, b) => a - b);
  return `partition${sorted.length === 1 ? "" : "s"} ${sorted.join(", ")}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

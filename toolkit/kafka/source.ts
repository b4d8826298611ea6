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
 *   and joins again when its work moves, or, where that was let go of, soon and on trial (patience.ts).
 * - **Fencing.** A rebalance revokes everything in flight; it comes again, here or at another worker, from the
 *   committed offset.
 * - A cut network, a restarted broker and a crash of the client are survived: it joins again and goes on.
 */
import type { EachBatchPayload } from "kafkajs";
import { systemClock } from "../pipeline/clock.ts";
import type { Source, SourceSink } from "../pipeline/source.ts";
import { silent, type Telemetry } from "../telemetry/telemetry.ts";
import { type Log, logToStderr, messageOf, sparingly } from "../worker/log.ts";
import { createClient } from "./client.ts";
import { createCommitter } from "./committer.ts";
import { kafkaTrouble } from "./errors.ts";
import { createFetchTap } from "./fetch-tap.ts";
import { createGiver } from "./give-out.ts";
import { createHoldings, type HeldPartition } from "./holdings.ts";
import { createMembership } from "./membership.ts";
import { createPatience } from "./patience.ts";
import { type KafkaRecord, recordBytes } from "./record.ts";

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
  /**
   * Most bytes of a partition in one fetch. Default 256 KiB: more costs memory and gains nothing. What
   * a producer sent as one larger batch still comes, but from one partition at a time, and is cut off and
   * fetched again from the others: a drain of 230 KiB batches was a third slower with 192 KiB than with 256.
   */
  readonly maxBytesPerPartition?: number;
  /** No record is delivered while those in work weigh more, one excepted. Default 64 MiB. */
  readonly maxBytesInWork?: number;
  /**
   * Shortest time between two fetches that bring little: a moment's wait makes fewer and larger batches, which costs
   * broker, worker and database less. A full fetch is followed by the next at once. Default 5 ms. With
   * 2 ms a live load of 5,000 messages/s takes a fifth more of the worker's time, and a message up to 3 ms less.
   */
  readonly fetchIntervalMs?: number;
  /** Shortest time between two commit requests. Default 20 ms. */
  readonly commitIntervalMs?: number;
  /**
   * Time without progress after which the worker leaves its group. Default 60,000 ms. Longer than the interval of a
   * rate limit, which looks the same from here. Once it has left it comes again on trial, and bears with less until
   * something is finished; see patience.ts.
   */
  readonly stuckAfterMs?: number;
  /** Name of this client in the broker's logs. Default `"sluice"`. */
  readonly clientId?: string;
  readonly telemetry?: Telemetry;
  /** One line about what matters: joins, lost connections. Default: stderr. */
  readonly log?: Log;
}

/** The value of a message is the record's value as it came; `origin` is the whole record. */
export function kafkaSource(options: KafkaSourceOptions): Source<Buffer | null, KafkaRecord> {
  const { topic, groupId } = options;
  const sessionTimeoutMs = options.sessionTimeoutMs ?? 10_000;
  const heartbeatIntervalMs = options.heartbeatIntervalMs ?? Math.max(50, Math.floor(sessionTimeoutMs / 4));
  // Two heartbeats: by then the others know that it has left.
  const patience = createPatience(options.stuckAfterMs ?? 60_000, 2 * heartbeatIntervalMs);
  const log = options.log ?? logToStderr;
  const say = sparingly(log);
  const telemetry = options.telemetry ?? silent;
  const assigned = telemetry.channel("kafka.assigned");
  const committed = telemetry.channel("kafka.committed");
  const commitFailed = telemetry.channel("kafka.commit-failed");
  const disrupted = telemetry.channel("kafka.disrupted");
  const clock = systemClock;

  const holdings = createHoldings();
  const tap = createFetchTap();
  let sink: SourceSink<Buffer | null, KafkaRecord> | undefined;
  let closed = false;
  /** When something was finished or asked for last, or work began after there was none. */
  let progressAt = clock.now();
  /** The group was left because the work was stuck, at this time. */
  let leftAt: number | undefined;
  let ticker: NodeJS.Timeout | undefined;
  /** Sends a commit for the newest generation. kafkajs' own `commitOffsets` would try again in the next one. */
  let send: EachBatchPayload["commitOffsetsIfNecessary"] | undefined;

  const giver = createGiver({
    holdings,
    maxBytesInWork: options.maxBytesInWork ?? 64 * 1024 * 1024,
    fetchIntervalMs: options.fetchIntervalMs ?? 5,
    clock,
    batchOf: tap.batchOf,
    deliver(messages) {
      if (holdings.inWork() === messages.length) progressAt = clock.now();
      sink?.deliver(messages);
    },
    beganAnew({ partition }) {
      log(`kafka: the log of ${topic}/${partition} began anew: its offsets went back`);
      sink?.revoked();
    },
  });

  const committer = createCommitter({
    intervalMs: options.commitIntervalMs ?? 20,
    clock,
    send: (offsets) => send?.(offsets) ?? Promise.resolve(),
    committed: ({ partition }, offset) => {
      if (committed.active) committed.emit({ topic, partition, offset });
    },
    failed: (error, generation) => {
      if (commitFailed.active) commitFailed.emit({ groupId, generation, error });
      if (generation !== holdings.generation || closed) return;
      const trouble = kafkaTrouble(error);
      if (trouble === "lost") lose(error);
      else if (trouble === "final") sink?.fail(error);
      else if (trouble === "passing") say(`kafka: cannot commit offsets yet: ${messageOf(error)}`);
    },
  });

  const membership = createMembership({
    client: createClient({
      brokers: options.brokers,
      clientId: options.clientId ?? "sluice",
      requestTimeoutMs: Math.max(sessionTimeoutMs, 5_000),
      retry: { initialRetryTime: 50, maxRetryTime: 1_000, retries: 8 },
      log,
      tap,
    }),
    topic,
    groupId,
    sessionTimeoutMs,
    heartbeatIntervalMs,
    rebalanceTimeoutMs: options.rebalanceTimeoutMs ?? Math.max(sessionTimeoutMs, 3_000),
    maxWaitMs: options.maxWaitMs ?? 100,
    maxBytesPerPartition: options.maxBytesPerPartition ?? 256 * 1024,
    batch(payload) {
      send = payload.commitOffsetsIfNecessary;
      return giver.take(payload);
    },
    joined(partitions) {
      holdings.join(partitions.map((partition) => ({ topic, partition })));
      progressAt = clock.now();
      sink?.revoked();
      giver.release();
      if (assigned.active) {
        assigned.emit({ groupId, generation: holdings.generation, partitions: partitions.length });
      }
      log(`kafka: ${groupId} has ${listed(partitions)} of ${topic}`);
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

  /** Several times a heartbeat interval: keeps the session of a worker that waits, and sees whether it is stuck. */
  function tick(): void {
    const isOverdue = clock.now() - progressAt > patience.limitMs;
    const stuck = isOverdue && (holdings.inWork() > 0 || giver.isHeldUp);
    if (leftAt !== undefined) {
      if (giver.demand > 0 && clock.now() - leftAt > patience.awayMs) rejoin();
    } else if (stuck) leaveStuck();
    else keepSession();
  }

  /** While a batch is held back kafkajs sends no heartbeat by itself. It does so only when one is due. */
  function keepSession(): void {
    const { heartbeat } = giver;
    heartbeat?.().catch((error: unknown) => {
      if (giver.heartbeat !== heartbeat) return;
      const trouble = kafkaTrouble(error);
      // A broken connection mends itself or the session ends, and then the next heartbeat says so.
      if (trouble === "passing") return;
      if (trouble === "lost") lose(error);
      else holdings.suspend();
      giver.release(error);
    });
  }

  function leaveStuck(): void {
    const error = new Error(
      `nothing was finished for ${patience.limitMs} ms: leaving the group, so that others get the partitions`,
    );
    log(`kafka: ${error.message}`);
    leftAt = clock.now();
    patience.left();
    membership.leave().catch((reason: unknown) => log(`kafka: while leaving: ${messageOf(reason)}`));
    lose(error);
    giver.release();
  }

  function rejoin(): void {
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
      await membership.join().catch((cause: unknown) => {
        const where = `Kafka topic ${topic} at ${options.brokers.join(", ")}`;
        throw new Error(`cannot consume ${where}: ${messageOf(cause)}`, { cause });
      });
    },
    request(count) {
      progressAt = clock.now();
      // Places that are freed at once are those of the work that was dropped; later ones tell that it moves again.
      if (leftAt !== undefined && clock.now() - leftAt > heartbeatIntervalMs) rejoin();
      giver.request(count);
    },
    acknowledge(messages) {
      progressAt = clock.now();
      let moved: HeldPartition | undefined;
      for (const message of messages) {
        const held = message.assignment as HeldPartition;
        if (held.revoked) continue;
        held.tracker.finished(message.offset);
        held.bytesInWork -= recordBytes(message.origin);
        if (held !== moved) committer.moved(held);
        moved = held;
      }
      if (moved !== undefined) patience.finished();
      giver.pump();
    },
    pause: giver.pause,
    resume: giver.resume,
    async stop() {
      giver.stop();
    },
    async close() {
      if (closed) return;
      giver.stop();
      await committer.flush(500);
      closed = true;
      committer.close();
      clearInterval(ticker);
      const left = membership.close(400);
      giver.close();
      await left;
    },
  };
}

function listed(partitions: readonly number[]): string {
  if (partitions.length === 0) return "no partition";
  const sorted = partitions.toSorted((a, b) => a - b);
  return `partition${sorted.length === 1 ? "" : "s"} ${sorted.join(", ")}`;
}

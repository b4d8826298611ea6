/** Gives the records of a fetch to the pipeline as it asks for them, and keeps kafkajs waiting meanwhile. */
import type { EachBatchPayload, KafkaMessage } from "kafkajs";
import { Message } from "../pipeline/message.ts";
import { admits, type HeldPartition, type Holdings } from "./holdings.ts";
import { type KafkaRecord, kafkaRecord, recordBytes } from "./record.ts";

export type KafkaMessageIn = Message<Buffer | null, KafkaRecord>;

export interface GiverOptions {
  readonly holdings: Holdings;
  readonly maxBytesInWork: number;
  readonly deliver: (messages: KafkaMessageIn[]) => void;
  /** The offsets of this partition went back: its log is another one. */
  readonly beganAnew: (held: HeldPartition) => void;
}

/** A batch of kafkajs that is being given out. */
export interface Hold {
  readonly payload: EachBatchPayload;
  readonly messages: readonly KafkaMessage[];
  readonly held: HeldPartition;
  /** Index of the next message to give out. */
  at: number;
  /** Lets kafkajs go on, or tells it its own error. What was not given out is fetched again. */
  readonly release: (error?: unknown) => void;
}

export interface Giver {
  /** The handler for kafkajs, which fetches no more before it has returned. Rejects only with kafkajs' errors. */
  take(payload: EachBatchPayload): Promise<void>;
  /** The batch that is being given out. */
  readonly hold: Hold | undefined;
  /** There are records at hand, and nobody asks for them though nothing was paused. */
  readonly isHeldUp: boolean;
  /** Messages asked for and not yet given. */
  readonly demand: number;
  request(count: number): void;
  pause(): void;
  resume(): void;
  /** Gives out nothing any more. */
  stop(): void;
  /** Keeps no batch any more either. */
  close(): void;
  /** Gives out what is at hand and asked for; call it when something was finished. */
  pump(): void;
}

/** How long kafkajs waits with a batch that is not ours until it asks whether it is still a member. */
const strayWaitMs = 20;

export function createGiver(options: GiverOptions): Giver {
  const { holdings } = options;
  let hold: Hold | undefined;
  let demand = 0;
  let paused = false;
  let stopped = false;
  let closed = false;

  function take(payload: EachBatchPayload): Promise<void> {
    const { topic, partition, messages } = payload.batch;
    const found = holdings.find(topic, partition);
    if (closed) return Promise.resolve();
    // Fetched before the partition was lost: not to be given out, and the position is not to be moved either.
    if (found === undefined || !holdings.active) return letStrayPass(payload);
    if (!admits(found, Number(messages[0]?.offset))) return Promise.resolve();
    const last = Number(messages.at(-1)?.offset);
    let held = found;
    if (found.position !== undefined && last < found.position) {
      held = holdings.restart(found);
      options.beganAnew(held);
    }
    return new Promise((resolve, reject) => {
      hold = {
        payload,
        messages,
        held,
        at: 0,
        release(error) {
          hold = undefined;
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      pump();
    });
  }

  function pump(): void {
    while (hold !== undefined && !hold.held.revoked) {
      const { messages, payload } = hold;
      if (hold.at === messages.length) {
        hold.release();
        return;
      }
      if (demand === 0 || paused || stopped) return;
      const from = hold.at;
      const made = next(hold, Math.min(demand, messages.length - from));
      if (hold.at === from) return;
      payload.resolveOffset(messages[hold.at - 1]?.offset ?? "");
      demand -= made.length;
      if (made.length > 0) options.deliver(made);
    }
  }

  /** Makes messages of the next `count` records; of fewer, when those in work weigh too much. */
  function next(from: Hold, count: number): KafkaMessageIn[] {
    const { held } = from;
    const made: KafkaMessageIn[] = [];
    const end = from.at + count;
    let bytes = holdings.bytesInWork();
    for (; from.at < end && bytes <= options.maxBytesInWork; from.at++) {
      const raw = from.messages[from.at];
      if (raw === undefined) break;
      const record = kafkaRecord(held.topic, held.partition, raw);
      // Given out before a lost connection made kafkajs fetch them again.
      if (held.position !== undefined && record.offset < held.position) continue;
      const weight = recordBytes(record);
      bytes += weight;
      held.bytesInWork += weight;
      held.position = record.offset + 1;
      held.tracker.started(record.offset);
      made.push(new Message(record.value, record, held, record.offset));
    }
    return made;
  }

  return {
    take,
    pump,
    get hold() {
      return hold;
    },
    get demand() {
      return demand;
    },
    get isHeldUp() {
      return hold !== undefined && demand === 0 && !paused && !stopped;
    },
    request(count) {
      demand += count;
      pump();
    },
    pause() {
      paused = true;
    },
    resume() {
      paused = false;
      pump();
    },
    stop() {
      stopped = true;
    },
    close() {
      closed = true;
      hold?.release();
    },
  };
}

/** Either kafkajs joins again meanwhile, or the heartbeat, when one is due, tells it that it has to. */
async function letStrayPass(payload: EachBatchPayload): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, strayWaitMs));
  await payload.heartbeat();
}

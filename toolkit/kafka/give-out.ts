/** Gives the records of a fetch to the pipeline as it asks for them, and keeps kafkajs waiting meanwhile. */
import type { EachBatchPayload, KafkaMessage } from "kafkajs";
import type { Clock } from "../pipeline/clock.ts";
import { Message } from "../pipeline/message.ts";
import { admits, type HeldPartition, type Holdings } from "./holdings.ts";
import { type KafkaRecord, recordBytes } from "./record.ts";
import type { RecordBatch } from "./record-batch.ts";
import { createRecordReader, type RecordReader } from "./record-reader.ts";

export type KafkaMessageIn = Message<Buffer | null, KafkaRecord>;

export interface GiverOptions {
  readonly holdings: Holdings;
  readonly maxBytesInWork: number;
  /** Shortest time between two fetches that bring little. */
  readonly fetchIntervalMs: number;
  readonly clock: Clock;
  /** The batch for which a value that kafkajs has decoded stands, if it does; see `FetchTap`. */
  readonly batchOf: (value: Buffer | null) => RecordBatch | "gone" | undefined;
  readonly deliver: (messages: KafkaMessageIn[]) => void;
  /** The offsets of this partition went back: its log is another one. */
  readonly beganAnew: (held: HeldPartition) => void;
}

/** What one fetch brought of one partition, as it is being given out. */
interface Hold {
  readonly payload: EachBatchPayload;
  readonly records: RecordReader;
  readonly held: HeldPartition;
  readonly release: (error?: unknown) => void;
}

/** What one fetch brought. */
interface Fetched {
  readonly holds: Hold[];
  /** Index of the hold that is being given out; one more than the last when all are. */
  current: number;
  messages: number;
  readonly arrivedAt: number;
}

export interface Giver {
  /** The handler for kafkajs, which fetches no more before it has returned. Rejects only with kafkajs' errors. */
  take(payload: EachBatchPayload): Promise<void>;
  /** The heartbeat of what is being given out; undefined when kafkajs sends its own. */
  readonly heartbeat: (() => Promise<void>) | undefined;
  /** There are records at hand, and nobody asks for them though nothing was paused. */
  readonly isHeldUp: boolean;
  /** Messages asked for and not yet given. */
  readonly demand: number;
  request(count: number): void;
  pause(): void;
  resume(): void;
  /** Gives out what is at hand and asked for; call it when something was finished. */
  pump(): void;
  /** Lets kafkajs go on, or tells it its own error. What was not given out is fetched again. */
  release(error?: unknown): void;
  /** Gives out nothing any more. */
  stop(): void;
  /** Keeps nothing back any more either. */
  close(): void;
}

/** How long kafkajs waits with a batch that is not ours until it asks whether it is still a member. */
const strayWaitMs = 20;
/** A fetch of fewer messages brings little: to wait a moment for more costs less than to ask at once. */
const littleMessages = 256;

export function createGiver(options: GiverOptions): Giver {
  const { holdings, clock } = options;
  let fetched: Fetched | undefined;
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
    const parts = messages.map((message) => options.batchOf(message.value) ?? message);
    // The connection broke before this part's turn came. Its position stays, so that kafkajs fetches it again.
    if (!areAllThere(parts)) return letStrayPass(payload);
    const records = createRecordReader({
      topic,
      partition,
      fetched: parts,
      fromOffset: fetchedOffset(payload),
    });
    if (!admits(found, records.firstOffset)) return Promise.resolve();
    let held = found;
    if (found.position !== undefined && records.lastOffset < found.position) {
      held = holdings.restart(found);
      options.beganAnew(held);
    }
    fetched ??= { holds: [], current: 0, messages: 0, arrivedAt: clock.now() };
    fetched.messages += records.count;
    const { holds } = fetched;
    return new Promise((resolve, reject) => {
      const release = (error?: unknown) => (error === undefined ? resolve() : reject(error));
      holds.push({ payload, records, held, release });
      pump();
    });
  }

  const currentHold = (): Hold | undefined => fetched?.holds[fetched.current];

  function pump(): void {
    for (let hold = currentHold(); hold !== undefined && !hold.held.revoked; hold = currentHold()) {
      const { records, payload } = hold;
      if (records.isDone) {
        payload.resolveOffset(String(records.passed));
        given();
        continue;
      }
      if (demand === 0 || paused || stopped) return;
      const before = records.read;
      const made = next(hold, demand);
      if (records.read === before) return;
      payload.resolveOffset(String(records.passed));
      demand -= made.length;
      if (made.length > 0) options.deliver(made);
    }
  }

  /** A partition's part was given out. After the last one kafkajs may fetch again, when it is time. */
  function given(): void {
    const what = fetched;
    if (what === undefined) return;
    what.current++;
    const isAll = () => what === fetched && what.current === what.holds.length;
    if (!isAll()) return;
    // All parts of a fetch arrive within this turn of the event loop, and only then is it known how much it was.
    queueMicrotask(() => {
      if (!isAll()) return;
      const waitMs = what.arrivedAt + options.fetchIntervalMs - clock.now();
      if (what.messages >= littleMessages || waitMs <= 0) release();
      else clock.setTimer(() => isAll() && release(), waitMs);
    });
  }

  function release(error?: unknown): void {
    const what = fetched;
    fetched = undefined;
    for (const hold of what?.holds ?? []) hold.release(error);
  }

  /** Makes messages of the next `count` records; of fewer, when those in work weigh too much. */
  function next({ held, records }: Hold, count: number): KafkaMessageIn[] {
    const made: KafkaMessageIn[] = [];
    let bytes = holdings.bytesInWork();
    const before = bytes;
    while (made.length < count && bytes <= options.maxBytesInWork) {
      const record = records.next();
      if (record === undefined) break;
      // Given out before a lost connection made kafkajs fetch them again.
      if (held.position !== undefined && record.offset < held.position) continue;
      bytes += recordBytes(record);
      held.position = record.offset + 1;
      held.tracker.started(record.offset);
      made.push(new Message(record.value, record, held, record.offset));
    }
    held.bytesInWork += bytes - before;
    return made;
  }

  return {
    take,
    pump,
    release,
    get heartbeat() {
      return fetched?.holds[0]?.payload.heartbeat;
    },
    get demand() {
      return demand;
    },
    get isHeldUp() {
      return currentHold() !== undefined && demand === 0 && !paused && !stopped;
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
      release();
    },
  };
}

type Part = RecordBatch | KafkaMessage;

const areAllThere = (parts: (Part | "gone")[]): parts is Part[] => !parts.includes("gone");

/** The offset that was asked for. The broker sends the whole batch that it is in; kafkajs keeps it, and does not tell. */
function fetchedOffset({ batch }: EachBatchPayload): number {
  return Number("fetchedOffset" in batch ? batch.fetchedOffset : batch.messages[0]?.offset);
}

/** Either kafkajs joins again meanwhile, or the heartbeat, when one is due, tells it that it has to. */
async function letStrayPass(payload: EachBatchPayload): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, strayWaitMs));
  await payload.heartbeat();
}

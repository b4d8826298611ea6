/**
 * Reads what Kafka hands to workers, in the bytes that pass the proxy: how far the answers to their fetches have come in
 * each partition of a topic. Whatever client a worker uses, an event counts once, when the last byte of its batch went
 * on: what is fetched again counts no more, and of a batch that a fetch's end cut off nothing counts yet.
 *
 * Fetch 4 to 18, and Metadata 10 to 13, which tells the ids that topics have in fetches from 13 on.
 * https://kafka.apache.org/protocol and https://kafka.apache.org/documentation/#recordbatch
 */
import type { Link } from "../stack/stack.ts";
import {
  type Form,
  fixedForm,
  flexibleForm,
  int16,
  int32,
  type Reader,
  readFrames,
  skip,
  string,
} from "./frames.ts";

export interface Fetches {
  /**
   * Events of the topic that workers were handed so far, from its first at offset 0 on. Undefined when that cannot be
   * told: an answer could not be read, or was of a topic whose id nobody told.
   */
  events(): number | undefined;
  end(): void;
}

const fetchKey = 1;
const metadataKey = 3;
/** Of share groups: its answers have another form, and offsets say nothing of what was handed out. */
const shareFetchKey = 78;
const fetchVersions = { first: 4, flexible: 12, withIds: 13, last: 18 };
const metadataVersions = { withIds: 10, last: 13 };
const idBytes = 16;
/** Of a batch: base offset, length of the rest, leader's epoch, format, checksum, attributes, last offset's delta. */
const batchHeadBytes = 27;
const batchLengthAt = 8;
const formatAt = 16;
const lastOffsetDeltaAt = 23;

/** A request whose answer is to be read. */
interface Awaited {
  readonly key: number;
  readonly version: number;
}

/** From the connections that workers open from now on. */
export function watchFetches(link: Link, topic: string): Fetches {
  /** One past the last offset handed out, by topic (its name, or its id as hex) and partition. */
  const ends = new Map<string, Map<number, number>>();
  const namesById = new Map<string, string>();
  let isLost = false;

  const onBatch = (name: string, partition: number, end: number): void => {
    let partitions = ends.get(name);
    if (partitions === undefined) {
      partitions = new Map();
      ends.set(name, partitions);
    }
    if (end > (partitions.get(partition) ?? 0)) partitions.set(partition, end);
  };
  const onTopic = (id: string, name: string): void => void namesById.set(id, name);

  const stop = link.observe(() => {
    const awaited = new Map<number, Awaited>();
    const feeds = {
      toService: readFrames(function* () {
        const key = yield* int16();
        const version = yield* int16();
        const correlationId = yield* int32();
        if (isAwaited(key, version)) awaited.set(correlationId, { key, version });
      }),
      toWorker: readFrames(function* () {
        const correlationId = yield* int32();
        const request = awaited.get(correlationId);
        if (request === undefined) return;
        awaited.delete(correlationId);
        if (request.key === fetchKey) yield* fetchAnswer(request.version, onBatch);
        else yield* metadataAnswer(onTopic);
      }),
    };
    return (direction, chunk) => {
      if (isLost) return;
      try {
        feeds[direction](chunk);
      } catch {
        isLost = true;
      }
    };
  });

  return {
    events() {
      let sum = 0;
      for (const [key, partitions] of ends) {
        const name = key.startsWith(idMark) ? namesById.get(key) : key;
        if (name === undefined) return undefined;
        if (name !== topic) continue;
        for (const end of partitions.values()) sum += end;
      }
      return isLost ? undefined : sum;
    },
    end: stop,
  };
}

/** No topic's name has a colon. */
const idMark = "id:";

function* topicId(): Reader<string> {
  return idMark + (yield idBytes).toString("hex");
}

/** @throws RangeError for a fetch that cannot be read here */
function isAwaited(key: number, version: number): boolean {
  if (key === metadataKey) {
    return version >= metadataVersions.withIds && version <= metadataVersions.last;
  }
  if (key === shareFetchKey) throw new RangeError("a fetch of a share group");
  if (key !== fetchKey) return false;
  if (version < fetchVersions.first || version > fetchVersions.last) {
    throw new RangeError(`a fetch of version ${version}`);
  }
  return true;
}

type OnBatch = (topic: string, partition: number, end: number) => void;

function* fetchAnswer(version: number, onBatch: OnBatch): Reader {
  const form = version >= fetchVersions.flexible ? flexibleForm : fixedForm;
  yield* form.tags();
  // Throttle time; from version 7 on an error and a session.
  yield* skip(version >= 7 ? 10 : 4);
  for (let topics = yield* form.count(); topics > 0; topics -= 1) {
    const topic = version >= fetchVersions.withIds ? yield* topicId() : ((yield* string(form)) ?? "");
    for (let partitions = yield* form.count(); partitions > 0; partitions -= 1) {
      const partition = yield* int32();
      // Error, high watermark, last stable offset; from version 5 on the first offset of the log.
      yield* skip(version >= 5 ? 26 : 18);
      for (let aborted = yield* form.count(); aborted > 0; aborted -= 1) {
        yield* skip(16);
        yield* form.tags();
      }
      // The replica to read from.
      yield* skip(version >= 11 ? 4 : 0);
      yield* batches(yield* form.count(), (end) => onBatch(topic, partition, end));
      yield* form.tags();
    }
    yield* form.tags();
  }
}

/** @param length in bytes; the last batch may be cut off */
function* batches(length: number, onBatch: (end: number) => void): Reader {
  let left = length;
  while (left >= batchHeadBytes) {
    const head = yield batchHeadBytes;
    left -= batchHeadBytes;
    if (head[formatAt] !== 2) throw new RangeError(`a batch of format ${head[formatAt]}`);
    const rest = head.readInt32BE(batchLengthAt) + batchLengthAt + 4 - batchHeadBytes;
    const end = Number(head.readBigInt64BE(0)) + head.readInt32BE(lastOffsetDeltaAt) + 1;
    if (rest > left) break;
    yield* skip(rest);
    left -= rest;
    onBatch(end);
  }
  yield* skip(left);
}

/** Of versions 10 to 13, as far as the topics. */
function* metadataAnswer(onTopic: (id: string, name: string) => void): Reader {
  const form: Form = flexibleForm;
  yield* form.tags();
  yield* skip(4);
  for (let brokers = yield* form.count(); brokers > 0; brokers -= 1) {
    yield* skip(4);
    yield* string(form);
    yield* skip(4);
    yield* string(form);
    yield* form.tags();
  }
  // The cluster's id and its controller.
  yield* string(form);
  yield* skip(4);
  for (let topics = yield* form.count(); topics > 0; topics -= 1) {
    yield* skip(2);
    const name = yield* string(form);
    const id = yield* topicId();
    if (name !== null) onTopic(id, name);
    // Whether it is the broker's own.
    yield* skip(1);
    for (let partitions = yield* form.count(); partitions > 0; partitions -= 1) {
      // Error, partition, leader and its epoch; then replicas, those in sync, those that are away.
      yield* skip(14);
      for (let lists = 3; lists > 0; lists -= 1) yield* skip(4 * (yield* form.count()));
      yield* form.tags();
    }
    // What the client may do.
    yield* skip(4);
    yield* form.tags();
  }
}

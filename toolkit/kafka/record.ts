import type { IHeaders, KafkaMessage } from "kafkajs";
import type { RecordBatch } from "./record-batch.ts";
import { readVarint, readVarlong, skipVarint } from "./varint.ts";

/** A record as Kafka has it. Bytes are bytes: nothing is decoded, and an empty value is not the same as none. */
export interface KafkaRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: Buffer | null;
  /** A view into the fetched response, not a copy: it keeps the response alive as long as it is referred to. */
  readonly value: Buffer | null;
  readonly headers: KafkaHeaders;
  /** Milliseconds since 1970, as the producer or the broker set it (`message.timestamp.type` of the topic). */
  readonly timestamp: number;
}

/** Header values are bytes too; a header that occurs several times has several. */
export type KafkaHeaders = IHeaders;

/** A record that kafkajs has decoded. */
export function kafkaRecord(topic: string, partition: number, raw: KafkaMessage): KafkaRecord {
  return {
    topic,
    partition,
    offset: Number(raw.offset),
    key: raw.key,
    value: raw.value,
    headers: raw.headers ?? noHeaders,
    timestamp: Number(raw.timestamp),
  };
}

const noHeaders: KafkaHeaders = Object.freeze({});

/**
 * A record that lies in its batch. Key, headers and time are read when they are asked for, each time anew: few
 * workers ask.
 */
export class FetchedRecord implements KafkaRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly value: Buffer | null;
  /** Bytes of the whole record. */
  readonly length: number;
  readonly #batch: RecordBatch;
  /** Where the record begins, behind its length. */
  readonly #at: number;

  constructor(
    topic: string,
    partition: number,
    offset: number,
    value: Buffer | null,
    length: number,
    batch: RecordBatch,
    at: number,
  ) {
    this.topic = topic;
    this.partition = partition;
    this.offset = offset;
    this.value = value;
    this.length = length;
    this.#batch = batch;
    this.#at = at;
  }

  get timestamp(): number {
    const { frame, baseTimestamp, appendTimestamp } = this.#batch;
    return appendTimestamp ?? baseTimestamp + readVarlong(frame, { at: this.#at + 1 });
  }

  get key(): Buffer | null {
    const { frame } = this.#batch;
    return readBytes(frame, this.#keyCursor());
  }

  get headers(): KafkaHeaders {
    const { frame } = this.#batch;
    const cursor = this.#keyCursor();
    skipBytes(frame, cursor);
    skipBytes(frame, cursor);
    const count = readVarint(frame, cursor);
    if (count <= 0) return noHeaders;
    const headers: Record<string, Buffer | Buffer[]> = {};
    for (let i = 0; i < count; i++) {
      const name = String(readBytes(frame, cursor));
      // A header without a value is an empty one: kafkajs has no type for none.
      const value = readBytes(frame, cursor) ?? Buffer.alloc(0);
      const before = Object.hasOwn(headers, name) ? headers[name] : undefined;
      const all = before === undefined ? value : [before, value].flat();
      Object.defineProperty(headers, name, {
        value: all,
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
    return headers;
  }

  #keyCursor() {
    const cursor = { at: this.#at + 1 };
    const { frame } = this.#batch;
    skipVarint(frame, cursor);
    skipVarint(frame, cursor);
    return cursor;
  }
}

function readBytes(frame: Buffer, cursor: { at: number }): Buffer | null {
  const length = readVarint(frame, cursor);
  if (length < 0) return null;
  cursor.at += length;
  return frame.subarray(cursor.at - length, cursor.at);
}

function skipBytes(frame: Buffer, cursor: { at: number }): void {
  const length = readVarint(frame, cursor);
  if (length > 0) cursor.at += length;
}

/** What a record weighs in memory, roughly: its bytes, and the objects around them. */
export function recordBytes(record: KafkaRecord): number {
  if (record instanceof FetchedRecord) return 200 + record.length;
  return 200 + (record.key?.length ?? 0) + (record.value?.length ?? 0);
}

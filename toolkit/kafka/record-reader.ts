/** The records of what one fetch brought of one partition, made one at a time, as they are asked for. */
import type { KafkaMessage } from "kafkajs";
import { type KafkaHeaders, type KafkaRecord, kafkaRecord, noHeaders } from "./record.ts";
import type { RecordBatch } from "./record-batch.ts";
import { readVarint, readVarlong, type VarintCursor } from "./varint.ts";

export interface RecordReader {
  /** Offset at which it begins; what was asked for, where the first batch began before that. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** Records in all, those before `firstOffset` among them. */
  readonly count: number;
  /** Records gone past so far. */
  readonly read: number;
  /** The last offset gone past; before the first record one less than `firstOffset`. */
  readonly passed: number;
  readonly isDone: boolean;
  /** The next record; undefined when there is none. */
  next(): KafkaRecord | undefined;
}

export interface RecordReaderOptions {
  readonly topic: string;
  readonly partition: number;
  /** Each a whole batch, or one record that kafkajs had to decode. */
  readonly fetched: readonly (RecordBatch | KafkaMessage)[];
  /** Records before this offset were not asked for; a broker sends whole batches. */
  readonly fromOffset: number;
}

export function createRecordReader(options: RecordReaderOptions): RecordReader {
  const { topic, partition, fetched, fromOffset } = options;
  const first = fetched[0];
  const firstOffset = Math.max(fromOffset, first === undefined ? fromOffset : firstOf(first));
  const last = fetched.at(-1);
  let passed = firstOffset - 1;
  let read = 0;
  /** Index of the batch that is being read, and how many of its records are left, the next of them at `cursor`. */
  let current = -1;
  let left = 0;
  const cursor = { at: 0 };
  enterNext();

  /** Goes to the next batch that has records. */
  function enterNext(): void {
    while (left === 0 && current < fetched.length) {
      const gone = fetched[current];
      if (gone !== undefined) passed = Math.max(passed, lastOf(gone));
      current++;
      const entered = fetched[current];
      if (entered === undefined) return;
      left = countOf(entered);
      if (isBatch(entered)) cursor.at = entered.recordsAt;
    }
  }

  function readOne(): KafkaRecord | undefined {
    const batch = fetched[current];
    if (batch === undefined) return undefined;
    read++;
    left--;
    if (!isBatch(batch)) return kafkaRecord(topic, partition, batch);
    const { frame } = batch;
    const length = readVarint(frame, cursor);
    const end = cursor.at + length;
    // One byte of attributes that no version uses, then the time.
    cursor.at++;
    const timestamp = batch.baseTimestamp + readVarlong(frame, cursor);
    const offset = batch.baseOffset + readVarint(frame, cursor);
    if (offset < fromOffset) {
      cursor.at = end;
      return undefined;
    }
    const record = {
      topic,
      partition,
      offset,
      key: readBytes(frame, cursor),
      value: readBytes(frame, cursor),
      headers: readHeaders(frame, cursor),
      timestamp: batch.appendTimestamp ?? timestamp,
    };
    cursor.at = end;
    return record;
  }

  return {
    firstOffset,
    lastOffset: last === undefined ? passed : lastOf(last),
    count: fetched.reduce((sum, one) => sum + countOf(one), 0),
    get read() {
      return read;
    },
    get passed() {
      return passed;
    },
    get isDone() {
      return current >= fetched.length;
    },
    next() {
      while (current < fetched.length) {
        const record = readOne();
        if (record !== undefined && record.offset > passed) passed = record.offset;
        if (left === 0) enterNext();
        if (record !== undefined && record.offset >= fromOffset) return record;
      }
      return undefined;
    },
  };
}

const isBatch = (one: RecordBatch | KafkaMessage): one is RecordBatch => "recordsAt" in one;
const firstOf = (one: RecordBatch | KafkaMessage) => (isBatch(one) ? one.baseOffset : Number(one.offset));
const lastOf = (one: RecordBatch | KafkaMessage) => (isBatch(one) ? one.lastOffset : Number(one.offset));
const countOf = (one: RecordBatch | KafkaMessage) => (isBatch(one) ? one.count : 1);

/** Null where there are none, which is not the same as no bytes. */
function readBytes(frame: Buffer, cursor: VarintCursor): Buffer | null {
  const length = readVarint(frame, cursor);
  if (length < 0) return null;
  cursor.at += length;
  return frame.subarray(cursor.at - length, cursor.at);
}

function readHeaders(frame: Buffer, cursor: VarintCursor): KafkaHeaders {
  const count = readVarint(frame, cursor);
  if (count <= 0) return noHeaders;
  const headers = new Map<string, Buffer | Buffer[]>();
  for (let i = 0; i < count; i++) {
    const name = String(readBytes(frame, cursor));
    // A header without a value is an empty one: kafkajs has no type for none.
    const value = readBytes(frame, cursor) ?? Buffer.alloc(0);
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : [before, value].flat());
  }
  return Object.fromEntries(headers);
}

/** The records of what one fetch brought of one partition, made one at a time, as they are asked for. */
import type { KafkaMessage } from "kafkajs";
import { FetchedRecord, type KafkaRecord, kafkaRecord } from "./record.ts";
import type { RecordBatch } from "./record-batch.ts";
import { readVarint, skipVarint } from "./varint.ts";

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
    const at = cursor.at;
    const end = at + length;
    // One byte of attributes that no version uses, then the time.
    cursor.at++;
    skipVarint(frame, cursor);
    const offset = batch.baseOffset + readVarint(frame, cursor);
    if (offset < fromOffset) {
      cursor.at = end;
      return undefined;
    }
    const keyLength = readVarint(frame, cursor);
    if (keyLength > 0) cursor.at += keyLength;
    const valueLength = readVarint(frame, cursor);
    const value = valueLength < 0 ? null : frame.subarray(cursor.at, cursor.at + valueLength);
    cursor.at = end;
    return new FetchedRecord(topic, partition, offset, value, length, batch, at);
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

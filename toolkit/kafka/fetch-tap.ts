/**
 * Takes the record batches out of the responses to kafkajs' fetches, before kafkajs decodes them.
 *
 * kafkajs makes an object, several numbers of 64 bits and a dozen views for each record, and goes over all records of
 * a fetch five times: a quarter of the time in which a worker drains a topic. It has no hook there, but a public one
 * for sockets. So each batch that is not compressed is replaced, in the bytes on their way to kafkajs, by a batch of
 * one small record that has the offset of its last one, and a token for its value: kafkajs keeps its books (positions,
 * aborted transactions, its own wait for the handler), and the handler gets the batch for the token and reads it
 * itself. All other bytes pass as they came.
 */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import {
  batchLength,
  countAt,
  headerBytes,
  isReadable,
  lastOffsetDeltaAt,
  lengthAt,
  type RecordBatch,
  readBatch,
} from "./record-batch.ts";

export interface FetchTap {
  /** Gives every whole response to the socket's listeners, as `data`; `feed` takes what was read. */
  attach(socket: Socket): { feed(chunk: Uint8Array): void };
  /**
   * The batch for which a value stands; undefined when it is a record's own. Can be asked for until the next
   * fetch on the same connection is answered or the connection closes, and is "gone" after that: the value is a token
   * all the same, and no record's.
   */
  batchOf(value: Buffer | null): RecordBatch | "gone" | undefined;
}

const fetchKey = 1;
/** Versions of the fetch whose form is known here; kafkajs 2 asks for the highest of these that the broker has. */
const versions = { first: 4, last: 11 };
/** No response is larger: kafkajs asks for 10 MiB at most, and a single batch can be somewhat more. */
const maxResponseBytes = 2 ** 30;

export function createFetchTap(): FetchTap {
  // What a producer cannot know cannot be forged.
  const secret = randomBytes(12);
  const batches = new Map<number, RecordBatch>();
  let nextId = 0;

  function keep(batch: RecordBatch, ids: number[]): Buffer {
    const id = nextId++ % 2 ** 32;
    batches.set(id, batch);
    ids.push(id);
    const token = Buffer.alloc(secret.length + 4);
    secret.copy(token);
    token.writeUInt32BE(id, secret.length);
    return token;
  }

  return {
    attach(socket) {
      /** Versions of the fetches under way, by correlation id. */
      const fetches = new Map<number, number>();
      let ids: number[] = [];
      const write = socket.write;
      socket.write = (...given: unknown[]) => {
        const [request] = given;
        if (Buffer.isBuffer(request) && request.length > 12 && request.readInt16BE(4) === fetchKey) {
          fetches.set(request.readInt32BE(8), request.readInt16BE(6));
        }
        return Reflect.apply(write, socket, given);
      };
      socket.once("close", () => {
        for (const id of ids) batches.delete(id);
      });
      const feed = frames((frame) => {
        const correlationId = frame.readInt32BE(4);
        const version = fetches.get(correlationId);
        fetches.delete(correlationId);
        if (version === undefined || version < versions.first || version > versions.last) {
          socket.emit("data", frame);
          return;
        }
        for (const id of ids) batches.delete(id);
        const kept: number[] = [];
        ids = kept;
        socket.emit(
          "data",
          withoutBatches(frame, version, (batch) => keep(batch, kept)),
        );
      });
      return {
        feed(chunk) {
          try {
            feed(chunk);
          } catch (error) {
            // Who answers there is no Kafka broker: thrown from here it would end the process.
            socket.destroy(error instanceof Error ? error : new Error(String(error)));
          }
        },
      };
    },
    batchOf(value) {
      if (value === null || value.length !== secret.length + 4) return undefined;
      if (value.compare(secret, 0, secret.length, 0, secret.length) !== 0) return undefined;
      return batches.get(value.readUInt32BE(secret.length)) ?? "gone";
    },
  };
}

/** Puts what was read together to whole responses, each with its length in front and in memory of its own. */
function frames(whole: (frame: Buffer) => void): (chunk: Uint8Array) => void {
  const head = Buffer.alloc(4);
  let frame: Buffer | undefined;
  let filled = 0;
  return (chunk) => {
    let from = 0;
    while (from < chunk.length) {
      if (frame === undefined) {
        head[filled++] = chunk[from++] as number;
        if (filled < head.length) continue;
        const length = head.readInt32BE(0);
        if (length < 4 || length > maxResponseBytes) throw new RangeError(`a response of ${length} bytes`);
        frame = Buffer.allocUnsafe(4 + length);
        head.copy(frame);
      }
      const count = Math.min(chunk.length - from, frame.length - filled);
      frame.set(chunk.subarray(from, from + count), filled);
      filled += count;
      from += count;
      if (filled < frame.length) return;
      const done = frame;
      frame = undefined;
      filled = 0;
      whole(done);
    }
  };
}

/** The response with a token in the place of each batch that `keep` was given. */
function withoutBatches(frame: Buffer, version: number, keep: (batch: RecordBatch) => Buffer): Buffer {
  const parts: Buffer[] = [];
  let copied = 0;
  let length = 0;
  const add = (part: Buffer): void => {
    parts.push(part);
    length += part.length;
  };
  // Length and correlation id, throttle time; from version 7 on an error and a session.
  let at = version >= 7 ? 18 : 12;
  const topics = frame.readInt32BE(at);
  at += 4;
  for (let t = 0; t < topics; t++) {
    at += 2 + frame.readInt16BE(at);
    const partitions = frame.readInt32BE(at);
    at += 4;
    for (let p = 0; p < partitions; p++) {
      // Partition, error, high watermark, last stable offset; from version 5 on the first offset of the log.
      at += 22 + (version >= 5 ? 8 : 0);
      at += 4 + 16 * Math.max(0, frame.readInt32BE(at));
      if (version >= 11) at += 4;
      const end = at + 4 + Math.max(0, frame.readInt32BE(at));
      const records = replaced(frame, at + 4, end, keep);
      const sizeOf = Buffer.alloc(4);
      sizeOf.writeInt32BE(records.reduce((sum, one) => sum + one.length, 0));
      add(frame.subarray(copied, at));
      add(sizeOf);
      for (const part of records) add(part);
      at = end;
      copied = end;
    }
  }
  add(frame.subarray(copied));
  const out = Buffer.concat(parts, length);
  out.writeInt32BE(length - 4, 0);
  return out;
}

/** A partition's batches, those that can be read here replaced. What is not whole at the end is left away. */
function replaced(frame: Buffer, from: number, end: number, keep: (batch: RecordBatch) => Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = from; at < end; ) {
    const length = batchLength(frame, at, end);
    if (length === undefined) break;
    parts.push(
      isReadable(frame, at)
        ? standIn(frame, at, keep(readBatch(frame, at)))
        : frame.subarray(at, at + length),
    );
    at += length;
  }
  return parts;
}

/** A batch with the same head, and one record: at its last offset, with the token as its value. */
function standIn(frame: Buffer, at: number, token: Buffer): Buffer {
  const record: number[] = [];
  // Attributes and time; then the offset, no key, the token, no headers.
  record.push(0, 0, ...varint(frame.readInt32BE(at + lastOffsetDeltaAt)), ...varint(-1));
  record.push(...varint(token.length), ...token, 0);
  const body = Buffer.from([...varint(record.length), ...record]);
  const batch = Buffer.concat([frame.subarray(at, at + headerBytes), body]);
  batch.writeInt32BE(batch.length - lengthAt - 4, lengthAt);
  batch.writeInt32BE(1, countAt);
  return batch;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return bytes;
}

import { createRequire } from "node:module";
import { Socket } from "node:net";
import fc from "fast-check";
import type { KafkaMessage } from "kafkajs";
import { expect, test } from "vitest";
import { createFetchTap } from "./fetch-tap.ts";
import { type KafkaRecord, kafkaRecord } from "./record.ts";
import type { RecordBatch } from "./record-batch.ts";
import { createRecordReader } from "./record-reader.ts";

const require = createRequire(import.meta.url);
/** kafkajs' own encoder and decoder: what the tap must agree with. */
const Encoder = require("kafkajs/src/protocol/encoder");
const Long = require("kafkajs/src/utils/long");
const encodeRecord = require("kafkajs/src/protocol/recordBatch/record/v0");
const { RecordBatch: encodeBatch } = require("kafkajs/src/protocol/recordBatch/v0");
const decodeResponse = {
  4: require("kafkajs/src/protocol/requests/fetch/v4/response").decode,
  5: require("kafkajs/src/protocol/requests/fetch/v5/response").decode,
  11: require("kafkajs/src/protocol/requests/fetch/v11/response").decode,
};
type Version = keyof typeof decodeResponse;

/** With names that every object has: kafkajs takes what it finds there for an earlier header. */
const headerName = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 8 }) },
  fc.constantFrom("constructor", "__proto__", "toString"),
);
const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
const anyRecord = fc.record({
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.dictionary(headerName, fc.oneof(bytes, fc.array(bytes, { minLength: 2, maxLength: 3 })), {
    maxKeys: 2,
  }),
  timestampDelta: fc.integer({ min: -50, max: 3_000_000_000 }),
  /** Offsets that compaction has taken out before it. */
  gap: fc.nat(3),
});
const anyBatch = fc.record({
  records: fc.array(anyRecord, { minLength: 1, maxLength: 20 }),
  isCompressed: fc.boolean(),
  /** Offsets after its last record that it stands for too. */
  gapAfter: fc.nat(2),
});
const anyPartition = fc.array(anyBatch, { maxLength: 4 });
type Batch = typeof anyBatch extends fc.Arbitrary<infer One> ? One : never;

const baseTimestamp = 1_700_000_000_000;
const baseOffset = 5_000_000_000;

/** A partition's record set, and the offset behind it. */
async function encoded(batches: readonly Batch[]): Promise<Buffer> {
  const parts: Buffer[] = [];
  let firstOffset = baseOffset;
  for (const { records, isCompressed, gapAfter } of batches) {
    let delta = -1;
    const encodedRecords = records.map(({ gap, timestampDelta, ...record }) => {
      delta += 1 + gap;
      return encodeRecord({ ...record, timestampDelta, offsetDelta: delta });
    });
    const lastOffsetDelta = delta + gapAfter;
    const batch = await encodeBatch({
      firstOffset: Long.fromNumber(firstOffset),
      firstTimestamp: baseTimestamp,
      lastOffsetDelta,
      compression: isCompressed ? 1 : 0,
      records: encodedRecords,
    });
    parts.push(batch.buffer);
    firstOffset += lastOffsetDelta + 1;
  }
  return Buffer.concat(parts);
}

function response(version: Version, partitions: readonly Buffer[]): Buffer {
  const body = new Encoder().writeInt32(0);
  if (version >= 7) body.writeInt16(0).writeInt32(0);
  body.writeInt32(1).writeString("payments").writeInt32(partitions.length);
  for (const [partition, records] of partitions.entries()) {
    body.writeInt32(partition).writeInt16(0).writeInt64(Long.fromNumber(9)).writeInt64(Long.fromNumber(9));
    if (version >= 5) body.writeInt64(Long.fromNumber(0));
    body.writeInt32(1).writeInt64(Long.fromNumber(7)).writeInt64(Long.fromNumber(8));
    if (version >= 11) body.writeInt32(-1);
    body.writeBytes(records);
  }
  return body.buffer;
}

const framed = (correlationId: number, body: Buffer): Buffer => {
  const frame = Buffer.concat([Buffer.alloc(8), body]);
  frame.writeInt32BE(frame.length - 4, 0);
  frame.writeInt32BE(correlationId, 4);
  return frame;
};
const request = (apiKey: number, version: number, correlationId: number): Buffer => {
  const bytesOfRequest = Buffer.alloc(20);
  bytesOfRequest.writeInt16BE(apiKey, 4);
  bytesOfRequest.writeInt16BE(version, 6);
  bytesOfRequest.writeInt32BE(correlationId, 8);
  return bytesOfRequest;
};

/** A socket that goes nowhere, with a tap on it. */
function tapped() {
  const tap = createFetchTap();
  const socket = new Socket();
  socket.write = () => true;
  const { feed } = tap.attach(socket);
  const data: Buffer[] = [];
  socket.on("data", (frame) => data.push(frame));
  return { tap, socket, feed, data };
}

function there(batch: RecordBatch | "gone" | undefined): RecordBatch | undefined {
  if (batch === "gone") throw new Error("the batch is gone");
  return batch;
}

const content = (record: KafkaRecord) => ({
  offset: record.offset,
  key: record.key,
  value: record.value,
  timestamp: record.timestamp,
  headers: { ...record.headers },
});

test("what kafkajs would decode of a fetch is what comes through the tap, however the bytes arrive", async () => {
  const anyCase = fc.record({
    version: fc.constantFrom<Version>(4, 5, 11),
    partitions: fc.array(anyPartition, { minLength: 1, maxLength: 3 }),
    cutOff: fc.nat(400),
    chunk: fc.integer({ min: 1, max: 700 }),
    skip: fc.nat(12),
  });
  await fc.assert(
    fc.asyncProperty(anyCase, async ({ version, partitions, cutOff, chunk, skip }) => {
      const sets = await Promise.all(partitions.map(encoded));
      // A fetch ends at a number of bytes, in the middle of a batch.
      const last = sets.length - 1;
      const set = sets[last] ?? Buffer.alloc(0);
      const cut = set.subarray(0, Math.max(0, set.length - cutOff));
      // Of so few bytes kafkajs makes an error of its own.
      sets[last] = cut.length < 17 ? Buffer.alloc(0) : cut;
      const body = response(version, sets);
      const expected: KafkaMessage[][] = (await decodeResponse[version](body)).responses[0].partitions.map(
        (one: { messages: KafkaMessage[] }) => one.messages,
      );

      const { tap, socket, feed, data } = tapped();
      socket.write(request(1, version, 3));
      const other = framed(2, Buffer.from("another answer"));
      const all = Buffer.concat([other, framed(3, body), other]);
      for (let at = 0; at < all.length; at += chunk) feed(all.subarray(at, at + chunk));
      expect([data[0], data[2]]).toEqual([other, other]);
      expect(data).toHaveLength(3);
      const through = data[1] as Buffer;
      expect(through.readInt32BE(0)).toBe(through.length - 4);
      const decoded = await decodeResponse[version](through.subarray(8));
      const found = decoded.responses[0].partitions as {
        messages: KafkaMessage[];
        lastStableOffset: string;
      }[];
      for (const [partition, { messages, lastStableOffset }] of found.entries()) {
        expect(lastStableOffset).toBe("9");
        const fromOffset = baseOffset + skip;
        const reader = createRecordReader({
          topic: "payments",
          partition,
          fetched: messages.map((message) => there(tap.batchOf(message.value)) ?? message),
          fromOffset,
        });
        const records: KafkaRecord[] = [];
        for (let one = reader.next(); one !== undefined; one = reader.next()) {
          expect(reader.passed).toBeGreaterThanOrEqual(one.offset);
          records.push(one);
        }
        const asked = (expected[partition] ?? [])
          .map((raw) => kafkaRecord("payments", partition, raw))
          .filter(({ offset }) => offset >= fromOffset);
        expect(records.map(content)).toEqual(asked.map(content));
        expect(reader.isDone).toBe(true);
        expect(reader.read).toBe(reader.count);
        if (messages.length > 0) expect(reader.passed).toBe(Math.max(reader.lastOffset, fromOffset - 1));
      }
    }),
  );
});

test("a record's own value is not taken for a batch, and a batch is gone when the next fetch is answered or the connection closes", async () => {
  const { tap, socket, feed, data } = tapped();
  const batch: Batch = { isCompressed: false, gapAfter: 0, records: [] };
  const one = { key: null, value: Buffer.alloc(16), headers: {}, timestampDelta: 0, gap: 0 };
  const body = response(11, [await encoded([{ ...batch, records: [one] }])]);
  socket.write(request(1, 11, 1));
  feed(framed(1, body));
  const decoded = await decodeResponse[11]((data[0] as Buffer).subarray(8));
  const { value } = decoded.responses[0].partitions[0].messages[0];
  expect(there(tap.batchOf(value))?.baseOffset).toBe(baseOffset);
  expect(createFetchTap().batchOf(value)).toBeUndefined();
  expect([tap.batchOf(null), tap.batchOf(Buffer.alloc(16)), tap.batchOf(Buffer.alloc(0))]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  socket.write(request(1, 11, 2));
  feed(framed(2, body));
  expect(tap.batchOf(value)).toBe("gone");
  const again = await decodeResponse[11]((data[1] as Buffer).subarray(8));
  const { value: newer } = again.responses[0].partitions[0].messages[0];
  expect(there(tap.batchOf(newer))?.baseOffset).toBe(baseOffset);
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.destroy();
  await closed;
  expect(tap.batchOf(newer)).toBe("gone");
});

test("an answer that is not of a Kafka broker ends the connection with an error, and is not thrown", async () => {
  const { socket, feed, data } = tapped();
  const error = new Promise((resolve) => socket.once("error", resolve));
  feed(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"));
  expect(await error).toMatchObject({ message: "a response of 1213486160 bytes" });
  expect(data).toEqual([]);
});

test("a fetch of a version whose form is not known passes as it came", () => {
  const { socket, feed, data } = tapped();
  socket.write(request(1, 12, 1));
  const frame = framed(1, Buffer.from("of another form"));
  feed(frame);
  expect(data).toEqual([frame]);
});

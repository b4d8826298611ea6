import { createRequire } from "node:module";
import fc from "fast-check";
import { expect, test } from "vitest";
import { crc32c, type OutgoingRecord, parseProduceResponse, produceRequest } from "./produce-request.ts";

const require = createRequire(import.meta.url);
/** Another program's reading of the format. */
const Decoder = require("kafkajs/src/protocol/decoder");
const decodeBatch = require("kafkajs/src/protocol/recordBatch/v0/decoder");

interface Decoded {
  readonly records: readonly {
    readonly offset: string;
    readonly timestamp: string;
    readonly key: Buffer | null;
    readonly value: Buffer | null;
    readonly headers: Record<string, Buffer>;
  }[];
}

/** Batches by partition, as another decoder reads the request. */
async function decoded(request: Buffer): Promise<Map<number, Decoded["records"]>> {
  expect(request.readInt32BE(0)).toBe(request.length - 4);
  expect([request.readInt16BE(4), request.readInt16BE(6)]).toEqual([0, 7]);
  const read = new Decoder(request.subarray(12));
  expect(read.readString()).toBe("sluice-load");
  expect([read.readInt16(), read.readInt16(), read.readInt32()]).toEqual([-1, -1, 10_000]);
  expect([read.readInt32(), read.readString()]).toEqual([1, "payments"]);
  const partitions = new Map<number, Decoded["records"]>();
  for (let left = read.readInt32(); left > 0; left -= 1) {
    const partition = read.readInt32();
    const bytes: Buffer = read.readBytes();
    expect(bytes.readUInt32BE(17)).toBe(crc32c(bytes.subarray(21)));
    const batch: Decoded = await decodeBatch(new Decoder(bytes));
    partitions.set(partition, batch.records);
  }
  expect(read.offset).toBe(request.length - 12);
  return partitions;
}

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const anyRecord: fc.Arbitrary<OutgoingRecord> = fc.record({
  partition: fc.nat(3),
  key: bytes,
  value: fc.option(bytes),
  headers: fc.dictionary(
    fc.string({ maxLength: 9 }).filter((name) => !(name in {})),
    bytes,
    { maxKeys: 3 },
  ),
  timestamp: fc.integer({ min: 1_700_000_000_000, max: 1_700_000_100_000 }),
});

test("another decoder reads what was written: bytes, headers, offsets and times, by partition", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyRecord, { minLength: 1, maxLength: 60 }), async (records) => {
      const partitions = await decoded(produceRequest("payments", records, 10_000));
      for (const [partition, found] of partitions) {
        const expected = records.filter((record) => record.partition === partition);
        expect(found.map(({ key, value, timestamp, offset }) => [key, value, timestamp, offset])).toEqual(
          expected.map((record, i) => [record.key, record.value, String(record.timestamp), String(i)]),
        );
        expect(found.map(({ headers }) => ({ ...headers }))).toEqual(
          expected.map(({ headers }) => ({ ...headers })),
        );
      }
      expect([...partitions.values()].flat()).toHaveLength(records.length);
    }),
  );
});

test("a record of a megabyte fits", async () => {
  const value = Buffer.alloc(1_000_000, 0xfe);
  const record = { partition: 1, key: Buffer.from("k"), value, headers: {}, timestamp: 1 };
  const [found] = (await decoded(produceRequest("payments", [record], 10_000))).get(1) ?? [];
  expect(found?.value?.equals(value)).toBe(true);
});

test("the checksum is CRC-32C", () => {
  expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
});

test("a response says where each partition's records are, or why they are not", () => {
  const partition = (id: number, errorCode: number, baseOffset: number) => {
    const part = Buffer.alloc(30);
    part.writeInt32BE(id, 0);
    part.writeInt16BE(errorCode, 4);
    part.writeBigInt64BE(BigInt(baseOffset), 6);
    return part;
  };
  const head = Buffer.from([0, 0, 0, 42, 0, 0, 0, 1, 0, 2, 0x70, 0x71, 0, 0, 0, 2]);
  const response = Buffer.concat([
    head,
    partition(3, 0, 5_000_000_000),
    partition(1, 6, -1),
    Buffer.alloc(4),
  ]);
  expect(parseProduceResponse(response)).toEqual({
    correlationId: 42,
    placed: [
      { partition: 3, errorCode: 0, baseOffset: 5_000_000_000 },
      { partition: 1, errorCode: 6, baseOffset: -1 },
    ],
  });
});

/**
 * The bytes of a produce request, made ahead of the time at which they are sent.
 *
 * Kafka protocol: Produce version 7 (brokers from 2.1 on), record batches of format 2, no compression.
 * https://kafka.apache.org/documentation/#recordbatch
 */

export interface OutgoingRecord {
  readonly partition: number;
  readonly key: Buffer;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>>;
  /** Its timestamp: milliseconds since 1970, whole. */
  readonly timestamp: number;
}

/** Where the broker put the records of one partition. */
export interface Placed {
  readonly partition: number;
  /** 0 when the broker took them; see https://kafka.apache.org/protocol#protocol_error_codes. */
  readonly errorCode: number;
  readonly baseOffset: number;
}

const produceKey = 0;
const produceVersion = 7;
const clientId = Buffer.from("sluice-load");
/** Of the field by which a response is matched with its request. */
const correlationAt = 8;

/** A whole request, its length in front, for records of one topic that one broker leads. */
export function produceRequest(
  topic: string,
  records: readonly OutgoingRecord[],
  timeoutMs: number,
): Buffer<ArrayBuffer> {
  const partitions = new Map<number, OutgoingRecord[]>();
  for (const record of records) {
    const some = partitions.get(record.partition);
    if (some === undefined) partitions.set(record.partition, [record]);
    else some.push(record);
  }
  const name = Buffer.from(topic);
  const out = writer();
  const length = out.hole32();
  out.int16(produceKey);
  out.int16(produceVersion);
  out.int32(0);
  out.int16(clientId.length);
  out.bytes(clientId);
  // No transaction, and all in-sync replicas.
  out.int16(-1);
  out.int16(-1);
  out.int32(timeoutMs);
  out.int32(1);
  out.int16(name.length);
  out.bytes(name);
  out.int32(partitions.size);
  for (const [partition, some] of partitions) {
    out.int32(partition);
    const recordsLength = out.hole32();
    writeBatch(out, some);
    recordsLength.fill();
  }
  length.fill();
  return out.taken();
}

export function setCorrelation(request: Buffer, correlationId: number): void {
  request.writeInt32BE(correlationId, correlationAt);
}

/** @param response without its length */
export function parseProduceResponse(response: Buffer): {
  readonly correlationId: number;
  readonly placed: Placed[];
} {
  const placed: Placed[] = [];
  let at = 8;
  for (let topics = response.readInt32BE(4); topics > 0; topics -= 1) {
    at += 2 + response.readInt16BE(at);
    const partitions = response.readInt32BE(at);
    at += 4;
    for (let i = 0; i < partitions; i += 1) {
      placed.push({
        partition: response.readInt32BE(at),
        errorCode: response.readInt16BE(at + 4),
        baseOffset: Number(response.readBigInt64BE(at + 6)),
      });
      // Partition, error, base offset, time of the append, first offset of the log.
      at += 30;
    }
  }
  return { correlationId: response.readInt32BE(0), placed };
}

function writeBatch(out: Writer, records: readonly OutgoingRecord[]): void {
  const first = records[0]?.timestamp ?? 0;
  out.int64(0);
  const length = out.hole32();
  // Leader's epoch unknown; format 2.
  out.int32(-1);
  out.int8(2);
  const crc = out.hole32();
  out.int16(0);
  out.int32(records.length - 1);
  out.int64(first);
  out.int64(records.reduce((latest, { timestamp }) => Math.max(latest, timestamp), first));
  // Neither idempotent nor transactional: one message is one record, and nothing is tried again.
  out.int64(-1);
  out.int16(-1);
  out.int32(-1);
  out.int32(records.length);
  for (const [i, record] of records.entries()) writeRecord(out, record, i, record.timestamp - first);
  crc.fillWithChecksum();
  length.fill();
}

function writeRecord(out: Writer, record: OutgoingRecord, offsetDelta: number, timestampDelta: number): void {
  const { key, value } = record;
  const headers = Object.entries(record.headers).map(
    ([name, content]) => [Buffer.from(name), content] as const,
  );
  let length = 1 + varintSize(timestampDelta) + varintSize(offsetDelta) + sizeOf(key) + sizeOf(value);
  length += varintSize(headers.length);
  for (const [name, content] of headers) length += sizeOf(name) + sizeOf(content);
  out.varint(length);
  out.int8(0);
  out.varint(timestampDelta);
  out.varint(offsetDelta);
  out.varintBytes(key);
  out.varintBytes(value);
  out.varint(headers.length);
  for (const [name, content] of headers) {
    out.varintBytes(name);
    out.varintBytes(content);
  }
}

const sizeOf = (bytes: Buffer | null): number =>
  bytes === null ? 1 : varintSize(bytes.length) + bytes.length;

/** @param value a 31-bit number */
function varintSize(value: number): number {
  let size = 1;
  for (let rest = zigZag(value) >>> 7; rest !== 0; rest >>>= 7) size += 1;
  return size;
}

const zigZag = (value: number): number => ((value << 1) ^ (value >> 31)) >>> 0;

type Writer = ReturnType<typeof writer>;

/** Grows as it is written to. */
function writer() {
  let buffer = Buffer.allocUnsafe(16_384);
  let at = 0;
  const room = (bytes: number): void => {
    if (at + bytes <= buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(buffer.length * 2, at + bytes));
    buffer.copy(larger, 0, 0, at);
    buffer = larger;
  };
  const out = {
    int8(value: number) {
      room(1);
      at = buffer.writeInt8(value, at);
    },
    int16(value: number) {
      room(2);
      at = buffer.writeInt16BE(value, at);
    },
    int32(value: number) {
      room(4);
      at = buffer.writeInt32BE(value, at);
    },
    int64(value: number) {
      room(8);
      at = buffer.writeBigInt64BE(BigInt(value), at);
    },
    varint(value: number) {
      room(5);
      let rest = zigZag(value);
      for (; rest > 0x7f; rest >>>= 7) buffer[at++] = (rest & 0x7f) | 0x80;
      buffer[at++] = rest;
    },
    bytes(value: Buffer) {
      room(value.length);
      at += value.copy(buffer, at);
    },
    varintBytes(value: Buffer | null) {
      out.varint(value === null ? -1 : value.length);
      if (value !== null) out.bytes(value);
    },
    /** Four bytes to be filled later, with the length or with the checksum of what follows. */
    hole32() {
      const start = at;
      out.int32(0);
      return {
        fill: () => buffer.writeInt32BE(at - start - 4, start),
        fillWithChecksum: () => buffer.writeUInt32BE(crc32c(buffer, start + 4, at), start),
      };
    },
    taken: () => buffer.subarray(0, at),
  };
  return out;
}

/** RFC 3720, appendix B.4; reflected, so that the lowest bit goes first. */
const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

export function crc32c(bytes: Uint8Array, from = 0, to = bytes.length): number {
  let crc = ~0;
  for (let i = from; i < to; i += 1) {
    crc = (crcTable[(crc ^ (bytes[i] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

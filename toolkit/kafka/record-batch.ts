/**
 * Record batches as a broker sends them (format 2), read where they lie: nothing is copied, and a record is made when it
 * is asked for.
 * https://kafka.apache.org/documentation/#recordbatch
 */

/** A batch inside of a fetched response, its records not compressed. */
export interface RecordBatch {
  readonly frame: Buffer;
  /** Where its first record begins. */
  readonly recordsAt: number;
  /** Records it has; after compaction fewer than it has offsets, even none. */
  readonly count: number;
  readonly baseOffset: number;
  /** The last offset it stands for, whether a record has it or not. */
  readonly lastOffset: number;
  readonly baseTimestamp: number;
  /** Set when the broker's time counts for all of its records. */
  readonly appendTimestamp: number | undefined;
}

/** Length of what stands before the records, and the places of some of it. */
export const headerBytes = 61;
export const lengthAt = 8;
export const magicAt = 16;
export const attributesAt = 21;
export const lastOffsetDeltaAt = 23;
export const countAt = 57;

const compressionMask = 0x07;
const appendTimeFlag = 0x08;
const controlFlag = 0x20;

/** Length in all of the batch (or old message set) at `at`; undefined when less than that is there. */
export function batchLength(frame: Buffer, at: number, end: number): number | undefined {
  if (end - at < magicAt + 1) return undefined;
  const length = lengthAt + 4 + frame.readInt32BE(at + lengthAt);
  return length <= end - at ? length : undefined;
}

/** Whether `readBatch` can read it: of format 2, not compressed, and no marker of a transaction. */
export function isReadable(frame: Buffer, at: number): boolean {
  if (frame[at + magicAt] !== 2) return false;
  return (frame.readInt16BE(at + attributesAt) & (compressionMask | controlFlag)) === 0;
}

export function readBatch(frame: Buffer, at: number): RecordBatch {
  const baseOffset = int64(frame, at);
  const isAppendTime = (frame.readInt16BE(at + attributesAt) & appendTimeFlag) !== 0;
  return {
    frame,
    recordsAt: at + headerBytes,
    count: frame.readInt32BE(at + countAt),
    baseOffset,
    lastOffset: baseOffset + frame.readInt32BE(at + lastOffsetDeltaAt),
    baseTimestamp: int64(frame, at + 27),
    appendTimestamp: isAppendTime ? int64(frame, at + 35) : undefined,
  };
}

/** Exact up to 2^53, which no offset and no time reaches. */
function int64(frame: Buffer, at: number): number {
  return frame.readInt32BE(at) * 2 ** 32 + frame.readUInt32BE(at + 4);
}

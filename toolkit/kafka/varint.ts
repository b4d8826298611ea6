/** Numbers of variable length, in zigzag: the protocol's own, and Protocol Buffers'. */

/** Reads one after the other. */
export interface VarintCursor {
  at: number;
}

/** Up to five bytes. */
export function readVarint(bytes: Uint8Array, cursor: VarintCursor): number {
  let byte = bytes[cursor.at++] as number;
  // Nearly all of them are one byte, or two.
  if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1);
  let value = byte & 0x7f;
  for (let shift = 7; byte >= 0x80 && shift < 35; shift += 7) {
    byte = bytes[cursor.at++] as number;
    value |= (byte & 0x7f) << shift;
  }
  return (value >>> 1) ^ -(value & 1);
}

/** Up to ten bytes; exact up to 2^53. */
export function readVarlong(bytes: Uint8Array, cursor: VarintCursor): number {
  let value = 0;
  let factor = 1;
  let byte: number;
  do {
    byte = bytes[cursor.at++] as number;
    value += (byte & 0x7f) * factor;
    factor *= 128;
  } while (byte >= 0x80 && factor < 2 ** 70);
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

/**
 * Lists as columns: `bytea[]` and `uuid[]` in Postgres' binary format, for `unnest($1::bytea[])`. The client would make
 * one text of an array, in which each byte is two digits: a letter of 1 MB takes 60 ms where 10 are enough. Here one
 * buffer is filled, and Postgres copies from it.
 *
 * The format is that of `array_send` and `array_recv` (src/backend/utils/adt/arrayfuncs.c): dimensions, whether there
 * are nulls, type of the elements, length and lower bound; then each element, its length in front, -1 for null.
 */

/** From pg_type.dat: they never change. */
const byteaTypeId = 17;
const uuidTypeId = 2950;

const headerLength = 20;
/** Of each element: its length. */
const wordLength = 4;
const uuidTextLength = 36;
const hyphen = 0x2d;

/** The parameter; node-postgres sends a Buffer as it is. */
export function byteaArray(values: readonly (Uint8Array | null)[]): Buffer {
  let length = 0;
  for (const value of values) length += value?.length ?? 0;
  const array = emptyArray(byteaTypeId, values.length, length, values.includes(null));
  let at = headerLength;
  for (const value of values) {
    at = array.writeInt32BE(value?.length ?? -1, at);
    if (value === null) continue;
    array.set(value, at);
    at += value.length;
  }
  return array;
}

/**
 * The same for UUIDs, each of them 32 hexadecimal digits and four hyphens; what they are is not looked at.
 *
 * @throws RangeError when one is of another length
 */
export function uuidArray(values: readonly string[]): Buffer {
  const array = emptyArray(uuidTypeId, values.length, 16 * values.length, false);
  // All in one piece: to fetch each letter from its own string takes twice as long.
  const digits = Buffer.from(values.join(""), "latin1");
  if (
    digits.length !== uuidTextLength * values.length ||
    values.some(({ length }) => length !== uuidTextLength)
  ) {
    throw new RangeError("a UUID has 36 characters");
  }
  let at = headerLength;
  let from = 0;
  for (let i = 0; i < values.length; i += 1) {
    at = array.writeInt32BE(16, at);
    for (const end = at + 16; at < end; at += 1) {
      if (digits[from] === hyphen) from += 1;
      array[at] = (digit(digits[from]) << 4) | digit(digits[from + 1]);
      from += 2;
    }
  }
  return array;
}

/** Of the character code of a hexadecimal digit, its value: bit 6 tells the letters. */
const digit = (code = 0): number => (code & 15) + 9 * (code >> 6);

/** Room for `count` elements of `length` bytes in all, behind the header. */
function emptyArray(typeId: number, count: number, length: number, hasNulls: boolean): Buffer {
  const array = Buffer.allocUnsafe(headerLength + wordLength * count + length);
  let at = 0;
  for (const word of [1, hasNulls ? 1 : 0, typeId, count, 1]) at = array.writeInt32BE(word, at);
  return array;
}

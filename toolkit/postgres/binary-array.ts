/**
 * Lists as columns: `bytea[]` and `text[]` in Postgres' binary format, for `unnest($1::bytea[])`. The client would make
 * one text of an array, in which each byte is two digits and each string is escaped: a letter of 1 MB takes 60 ms where
 * 10 are enough. Here one buffer is filled, and Postgres copies from it.
 *
 * The format is that of `array_send` and `array_recv` (src/backend/utils/adt/arrayfuncs.c): dimensions, whether there
 * are nulls, type of the elements, length and lower bound; then each element, its length in front, -1 for null.
 */

/** From pg_type.dat: they never change. */
const byteaTypeId = 17;
const textTypeId = 25;

const headerLength = 20;
/** Of each element: its length. */
const wordLength = 4;

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
 * The same for strings.
 *
 * @throws RangeError when one has half a surrogate pair: as UTF-8 two such strings could become the same
 */
export function textArray(values: readonly string[]): Buffer {
  let length = 0;
  for (const value of values) {
    if (!value.isWellFormed()) throw new RangeError(`not well-formed Unicode: ${JSON.stringify(value)}`);
    length += Buffer.byteLength(value);
  }
  const array = emptyArray(textTypeId, values.length, length, false);
  let at = headerLength;
  for (const value of values) {
    const written = array.write(value, at + wordLength);
    at = array.writeInt32BE(written, at) + written;
  }
  return array;
}

/** Room for `count` elements of `length` bytes in all, behind the header. */
function emptyArray(typeId: number, count: number, length: number, hasNulls: boolean): Buffer {
  const array = Buffer.allocUnsafe(headerLength + wordLength * count + length);
  let at = 0;
  for (const word of [1, hasNulls ? 1 : 0, typeId, count, 1]) at = array.writeInt32BE(word, at);
  return array;
}

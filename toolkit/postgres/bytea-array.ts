/**
 * Bytes as a column: a `bytea[]` in Postgres' binary format, for `FROM unnest($1::bytea[])`. As text, which the client
 * would make of an array, each byte is two digits, and a letter of 1 MB takes 60 ms where 10 are enough.
 *
 * The format is that of `array_send` and `array_recv` (src/backend/utils/adt/arrayfuncs.c): dimensions, whether there
 * are nulls, type of the elements, length and lower bound; then each element, its length in front, -1 for null.
 */

/** From pg_type.dat: it never changes. */
const byteaTypeId = 17;

/** The parameter; node-postgres sends a Buffer as it is. */
export function byteaArray(values: readonly (Buffer | null)[]): Buffer {
  const hasNulls = values.includes(null);
  return Buffer.concat([
    words(1, hasNulls ? 1 : 0, byteaTypeId, values.length, 1),
    ...values.flatMap((value) => (value === null ? [words(-1)] : [words(value.length), value])),
  ]);
}

function words(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(4 * numbers.length);
  numbers.forEach((number, i) => {
    bytes.writeInt32BE(number, 4 * i);
  });
  return bytes;
}

/** Many JSON texts as one parameter: the cheapest way to hand rows to Postgres from Node. */

const comma = 0x2c;

/**
 * `[body,body,...]` as bytes, for `FROM json_to_recordset($1::json)`. Nothing is parsed or escaped here: the bodies
 * are copied as they are, and Postgres parses them, so Node's share of storing a row is one memory copy. node-postgres
 * sends a Buffer in binary format, which for `json` is its text: no string is made of it.
 *
 * Each body must be one valid JSON text in UTF-8; a body that is not makes the whole statement fail (SQLSTATE 22P02).
 */
export function jsonArray(bodies: readonly Uint8Array[]): Buffer {
  let length = 2 + Math.max(0, bodies.length - 1);
  for (const body of bodies) length += body.length;
  const array = Buffer.allocUnsafe(length);
  array[0] = 0x5b;
  let at = 1;
  for (const body of bodies) {
    if (at > 1) array[at++] = comma;
    array.set(body, at);
    at += body.length;
  }
  array[at] = 0x5d;
  return array;
}

/** Idempotency keys as the table has them: 16 bytes each, whatever the caller's string is. */
import { hash } from "node:crypto";

/** As Postgres prints a UUID. Version 8 is not among them: it is for the keys that are hashed. */
const ownUuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-79a-f][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * The UUID that stands for a key. A key that is one, in lower case and with its hyphens, stands for itself. Any other
 * string gets the first 128 bits of its SHA-256, with the version (8, of RFC 9562) and the variant set: 122 bits are
 * left, as in a random UUID. So do a UUID in upper case, and one of version 8: two strings are two keys, and nobody can
 * name a key by the UUID of another.
 *
 * @throws RangeError when the key has half a surrogate pair: as UTF-8 two such strings could become the same
 */
export function keyUuid(key: string): string {
  if (ownUuid.test(key)) return key;
  if (!key.isWellFormed()) throw new RangeError(`not well-formed Unicode: ${JSON.stringify(key)}`);
  const hex = hash("sha256", key, "hex");
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0b0011) | 0b1000).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

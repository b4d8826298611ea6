/** Bytes that a worker kept, compared without being read: they can be many, and not those that were sent. */
import { createHash } from "node:crypto";

/** What `digestOf` gives for the bytes in this column; null for NULL. */
export const digestSql = (column: string): string =>
  `octet_length(${column}) || ' bytes, MD5 ' || md5(${column})`;

export function digestOf(value: Buffer | null): string | null {
  return value === null
    ? null
    : `${value.length} bytes, MD5 ${createHash("md5").update(value).digest("hex")}`;
}

/** For keys: in hex, as far as they can be one that was sent. */
export const keySql = (column: string): string => `encode(substring(${column} FOR 100), 'hex')`;

import { hash } from "node:crypto";

/**
 * SHA-256 of a payload, 32 bytes: tells a duplicate from a key that was used again for something else. Hash the bytes
 * as they came; the same JSON written in another way is another payload.
 */
export function payloadHash(payload: Uint8Array | string): Buffer {
  // As a string first: a Buffer made of one comes from the pool; one that the hash makes has memory of its own, and takes
  // twice as long.
  return Buffer.from(hash("sha256", payload, "binary"), "latin1");
}

import { hash } from "node:crypto";

/**
 * SHA-256 of a payload, 32 bytes: tells a duplicate from a key that was used again for something else. Hash the bytes
 * as they came; the same JSON written in another way is another payload.
 */
export function payloadHash(payload: Uint8Array | string): Buffer {
  return hash("sha256", payload, "buffer");
}

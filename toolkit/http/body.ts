import type { IncomingMessage } from "node:http";

/** The body is longer than it may be. */
export class BodyTooLarge extends Error {}

/**
 * The whole body. Rejects with `BodyTooLarge` as soon as more than `maxBytes` have come, and with another error when
 * the sender goes away before its end.
 */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length > maxBytes) {
        request.removeAllListeners("data");
        reject(new BodyTooLarge(`more than ${maxBytes} bytes`));
      } else {
        chunks.push(chunk);
      }
    });
    request.once("end", () =>
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, length)),
    );
    request.once("error", reject);
    request.once("close", () => reject(new Error("the sender went away")));
  });
}

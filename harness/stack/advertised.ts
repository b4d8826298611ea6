/** Where a Kafka listener sends its clients: one Metadata request, by hand, because a client would go there at once. */
import { connect } from "node:net";
import type { Target } from "./link.ts";

const metadata = { apiKey: 3, version: 1, correlationId: 1 };
const clientId = "sluice";

/**
 * The addresses that the brokers advertise to whoever asks on this listener.
 *
 * @throws Error when it does not answer as a Kafka within the time
 */
export async function advertisedBrokers(listener: Target, timeoutMs: number): Promise<readonly Target[]> {
  const answer = await new Promise<Buffer>((resolve, reject) => {
    const socket = connect(listener);
    let received = Buffer.alloc(0);
    const end = (settle: () => void): void => {
      socket.destroy();
      settle();
    };
    socket.setTimeout(timeoutMs, () =>
      end(() => reject(new Error(`no answer within ${timeoutMs / 1000} s`))),
    );
    socket.once("connect", () => socket.write(request()));
    socket.once("error", (error) => end(() => reject(error)));
    socket.once("end", () => end(() => reject(new Error("it closed the connection"))));
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const whole = received.length >= 4 && received.length >= 4 + received.readInt32BE(0);
      if (whole) end(() => resolve(received.subarray(4)));
    });
  });
  return brokersIn(answer);
}

/** Metadata, version 1, of no topics: length, API key, version, correlation id, client id, empty list. */
function request(): Buffer {
  const body = Buffer.alloc(2 + 2 + 4 + 2 + clientId.length + 4);
  body.writeInt16BE(metadata.apiKey, 0);
  body.writeInt16BE(metadata.version, 2);
  body.writeInt32BE(metadata.correlationId, 4);
  body.writeInt16BE(clientId.length, 8);
  body.write(clientId, 10);
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length, 0);
  return Buffer.concat([length, body]);
}

/** After the correlation id: a list of node id (int32), host (string), port (int32), rack (string or null). */
export function brokersIn(answer: Buffer): readonly Target[] {
  if (answer.readInt32BE(0) !== metadata.correlationId) throw new Error("it does not answer as a Kafka");
  const count = answer.readInt32BE(4);
  const brokers: Target[] = [];
  let at = 8;
  for (let i = 0; i < count; i += 1) {
    const hostLength = answer.readInt16BE(at + 4);
    const host = answer.toString("utf8", at + 6, at + 6 + hostLength);
    at += 6 + hostLength;
    const port = answer.readInt32BE(at);
    const rackLength = answer.readInt16BE(at + 4);
    at += 6 + Math.max(0, rackLength);
    brokers.push({ host, port });
  }
  return brokers;
}

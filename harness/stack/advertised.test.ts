import { createServer } from "node:net";
import { expect, it } from "vitest";
import { advertisedBrokers, brokersIn } from "./advertised.ts";

/** As a broker encodes it. */
function answer(brokers: readonly { host: string; port: number; rack: string | null }[], correlationId = 1) {
  const parts: Buffer[] = [int32(correlationId), int32(brokers.length)];
  for (const [i, { host, port, rack }] of brokers.entries()) {
    parts.push(int32(i), int16(Buffer.byteLength(host)), Buffer.from(host), int32(port));
    parts.push(int16(rack === null ? -1 : rack.length), Buffer.from(rack ?? ""));
  }
  return Buffer.concat([...parts, int32(0), int32(0)]);
}
const int32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
const int16 = (value: number) => {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
};

it("reads every broker's address, with a rack and without", () => {
  const brokers = [
    { host: "127.0.0.1", port: 19_094, rack: null },
    { host: "kafka-2.example", port: 9092, rack: "eu-1" },
  ];
  expect(brokersIn(answer(brokers))).toEqual(brokers.map(({ host, port }) => ({ host, port })));
  expect(() => brokersIn(answer(brokers, 7))).toThrow("not answer as a Kafka");
});

it("puts an answer together that comes in pieces, and gives up on silence", async () => {
  const whole = answer([{ host: "h", port: 1, rack: null }]);
  const replies = [
    (write: (bytes: Buffer) => void) => {
      write(int32(whole.length).subarray(0, 3));
      setTimeout(() => write(Buffer.concat([int32(whole.length).subarray(3), whole])), 20);
    },
    () => {},
  ];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => replies.shift()?.((bytes) => socket.write(bytes)));
  });
  const port = await new Promise<number>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port)),
  );
  const listener = { host: "127.0.0.1", port };
  expect(await advertisedBrokers(listener, 2_000)).toEqual([{ host: "h", port: 1 }]);
  await expect(advertisedBrokers(listener, 50)).rejects.toThrow("no answer within");
  server.close();
});

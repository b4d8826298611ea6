import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Admin } from "kafkajs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openProducer } from "./produce.ts";
import { produceRequest } from "./produce-request.ts";

/** A broker that answers only when it is told to. */
let server: Server;
let sockets: Socket[];
let asked: { readonly socket: Socket; readonly correlationId: number }[];
let looks: number;

beforeEach(async () => {
  [sockets, asked, looks] = [[], [], 0];
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    let unread = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      unread = Buffer.concat([unread, chunk]);
      while (unread.length >= 4 && unread.length >= 4 + unread.readInt32BE(0)) {
        asked.push({ socket, correlationId: unread.readInt32BE(8) });
        unread = unread.subarray(4 + unread.readInt32BE(0));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  server.close();
});

/** Says that the records of partition 2 begin at this offset, or what is wrong. */
function answer(at: number, baseOffset: number, errorCode = 0, inParts = false): void {
  const { socket, correlationId } = asked[at] ?? expect.fail(`request ${at} has not come`);
  const response = Buffer.alloc(4 + 4 + 4 + 4 + 4 + 30 + 4);
  response.writeInt32BE(response.length - 4, 0);
  response.writeInt32BE(correlationId, 4);
  response.writeInt32BE(1, 8);
  response.writeInt16BE(2, 12);
  response.write("t!", 14);
  response.writeInt32BE(1, 16);
  response.writeInt32BE(2, 20);
  response.writeInt16BE(errorCode, 24);
  response.writeBigInt64BE(BigInt(baseOffset), 26);
  if (!inParts) socket.write(response);
  else for (const byte of response) socket.write(Buffer.from([byte]));
}

async function open() {
  const { port } = server.address() as AddressInfo;
  const admin = {
    async fetchTopicMetadata() {
      looks += 1;
      return { topics: [{ name: "t!", partitions: [{ partitionId: 2, leader: 7 }] }] };
    },
    async describeCluster() {
      return { brokers: [{ nodeId: 7, host: "127.0.0.1", port }] };
    },
  } as unknown as Admin;
  return openProducer(admin, "t!");
}

const request = () => {
  const record = { partition: 2, key: Buffer.from("k"), value: null, headers: {}, timestamp: 1 };
  return produceRequest("t!", [record], 1_000);
};
const requests = (count: number) => expect.poll(() => asked.length).toBe(count);

test("many requests are under way at once, and each gets its own answer, in however many parts it comes", async () => {
  const producer = await open();
  expect(producer.leaderOf(2)).toBe(7);
  const sent = [0, 1, 2].map(() => producer.send(7, request()));
  await requests(3);
  for (const at of [0, 1, 2]) answer(at, 100 + at, 0, at === 1);
  const placed = await Promise.all(sent);
  expect(placed.map(([one]) => one?.baseOffset)).toEqual([100, 101, 102]);
  producer.close();
});

test("a lost connection fails what is under way, and nothing is sent twice; the next request has a new one", async () => {
  const producer = await open();
  const lost = producer.send(7, request());
  await requests(1);
  sockets[0]?.destroy();
  await expect(lost).rejects.toThrow(/closed|ECONNRESET/);
  const next = producer.send(7, request());
  await requests(2);
  answer(1, 5);
  expect((await next)[0]?.baseOffset).toBe(5);
  expect(asked).toHaveLength(2);
  producer.close();
});

test("a broker that refuses is asked no second time, and it is looked where the leader is now", async () => {
  const producer = await open();
  expect(looks).toBe(1);
  const refused = producer.send(7, request());
  await requests(1);
  answer(0, -1, 6);
  expect((await refused)[0]).toEqual({ partition: 2, errorCode: 6, baseOffset: -1 });
  await expect.poll(() => looks).toBe(2);
  expect(asked).toHaveLength(1);
  producer.close();
});

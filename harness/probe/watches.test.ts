import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { until } from "../until.ts";
import { connectProbe } from "./tables.ts";
import { startWatches } from "./watches.ts";

const message = (type: string, body: Buffer): Buffer => {
  const length = Buffer.alloc(4);
  length.writeInt32BE(4 + body.length);
  return Buffer.concat([Buffer.from(type), length, body]);
};
const authenticated = message("R", Buffer.alloc(4));
const completed = message("C", Buffer.from("SET\0"));
const refused = message("E", Buffer.from("SFATAL\0C53300\0Mtoo many connections\0\0"));
const ready = message("Z", Buffer.from("I"));

const open = new Set<Socket>();
const servers: { close(): unknown }[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** As much of a Postgres as a probe talks to: lets in all but the last of so many, and answers queries with `answer`. */
async function database(answer: Buffer, connections = Number.POSITIVE_INFINITY): Promise<string> {
  let came = 0;
  const server = createServer((socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket)).on("error", () => undefined);
    came += 1;
    const isLast = came === connections;
    socket.once("data", () => {
      if (isLast) return socket.end(refused);
      socket.write(Buffer.concat([authenticated, ready]));
      return socket.on("data", () => socket.write(Buffer.concat([answer, ready])));
    });
  });
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `postgres://u@127.0.0.1:${(server.address() as AddressInfo).port}/d`;
}

const allClosed = () => until("every connection to be closed", () => open.size === 0, { timeoutMs: 2_000 });
const query = { name: "w", columns: ["one"], sql: "SELECT 1", everyMs: 10 };

test("where one watch cannot connect, the others let go of their connections", async () => {
  const url = await database(completed, 3);
  await expect(startWatches([query, query, query], url, () => 0)).rejects.toThrow("too many connections");
  await allClosed();
});

test("a probe that is not answered as it must be lets go of its connection", async () => {
  await expect(connectProbe(await database(refused))).rejects.toThrow("too many connections");
  await allClosed();
});

test("a probe of a database that is not there says so", async () => {
  const url = await database(completed);
  for (const server of servers.splice(0)) server.close();
  await expect(connectProbe(url)).rejects.toThrow("ECONNREFUSED");
});

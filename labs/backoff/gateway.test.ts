import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { type Gateway, openGateway } from "./gateway.ts";

let server: Server | undefined;
let gateway: Gateway | undefined;
afterEach(() => {
  gateway?.close();
  server?.closeAllConnections();
  server?.close();
});

/** A gateway that answers with this status; 0: not at all. */
async function answering(status: number, headers: Record<string, string> = {}): Promise<Gateway> {
  server = createServer((request, response) => {
    request.resume();
    if (status !== 0) response.writeHead(status, headers).end();
  });
  const listening = server;
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  gateway = openGateway(`http://127.0.0.1:${(listening.address() as AddressInfo).port}`);
  return gateway;
}

test("what the gateway accepts is ok, and what it refuses is dead", async () => {
  expect(await (await answering(200)).pay("a", "{}")).toEqual({ kind: "ok" });
  expect(await (await answering(422)).pay("a", "{}")).toMatchObject({
    kind: "dead",
    error: { errorClass: "refused" },
  });
});

test("what it puts off is a retry, after as long as it asks for", async () => {
  const busy = await answering(503, { "retry-after": "2" });
  expect(await busy.pay("a", "{}")).toMatchObject({
    kind: "retry",
    error: { errorClass: "unavailable" },
    afterMs: 2_000,
  });
});

test("no answer is a retry, and the caller does not wait for ever", async () => {
  const silent = await answering(0);
  expect(await silent.pay("a", "{}")).toMatchObject({ kind: "retry", error: { errorClass: "timeout" } });
});

test("a gateway that is not there is a retry", async () => {
  const gone = await answering(200);
  server?.close();
  expect(await gone.pay("a", "{}")).toMatchObject({ kind: "retry", error: { errorClass: "unreachable" } });
});

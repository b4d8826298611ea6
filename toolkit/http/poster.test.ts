import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { openPoster } from "./poster.ts";

let server: http.Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function answering(listener: http.RequestListener): Promise<string> {
  const listening = http.createServer(listener);
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(listening.address() as AddressInfo).port}/`;
}

test("an answer that comes byte by byte has no longer than the deadline", { timeout: 3_000 }, async () => {
  const url = await answering((_, response) => {
    const dripping = setInterval(() => response.write("x"), 20);
    response.once("close", () => clearInterval(dripping));
  });
  const poster = openPoster(150);
  await expect(poster.post(url, Buffer.from("{}"))).rejects.toThrow("no answer in 150 ms");
  poster.close();
});

test("a connection that is kept outlives the deadline of the call before", async () => {
  const ports = new Set<number | undefined>();
  const url = await answering((request, response) => {
    ports.add(request.socket.remotePort);
    response.writeHead(204).end();
  });
  const poster = openPoster(50);
  expect(await poster.post(url, Buffer.from("{}"))).toBe(204);
  // The deadline itself must pass: there is nothing else to await.
  await new Promise((resolve) => setTimeout(resolve, 80));
  expect(await poster.post(url, Buffer.from("{}"))).toBe(204);
  expect(ports.size).toBe(1);
  poster.close();
});

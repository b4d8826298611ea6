/** Opens the operator's page on 127.0.0.1. */
import { randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { type PageOptions, pageApp } from "./app.ts";

export interface ServedPage {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  close(): Promise<void>;
}

/** @param port 0 for any that is free */
export async function servePage(
  options: Omit<PageOptions, "hosts" | "token">,
  port: number,
): Promise<ServedPage> {
  const hosts: string[] = [];
  const app = pageApp({ ...options, hosts, token: randomBytes(24).toString("base64url") });
  const server = createAdaptorServer({ fetch: app.fetch });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const { port: bound } = server.address() as AddressInfo;
  hosts.push(`127.0.0.1:${bound}`, `localhost:${bound}`);
  return {
    url: `http://127.0.0.1:${bound}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        if ("closeAllConnections" in server) server.closeAllConnections();
      }),
  };
}

/** Where a worker posts its alerts: an endpoint on 127.0.0.1 that keeps what came, and when. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { AlertRecord } from "../record/record.ts";

const maxBytes = 100_000;
const maxAlerts = 1_000;

export interface Webhook {
  readonly url: string;
  /** What came so far; times are since `startedAt` (epoch ms). */
  alerts(startedAt: number): AlertRecord[];
  close(): void;
}

export async function openWebhook(): Promise<Webhook> {
  const came: { at: number; body: unknown }[] = [];
  const server = createServer((request, response) => {
    const at = Date.now();
    let text = "";
    request.setEncoding("utf8").on("data", (some: string) => {
      if (text.length < maxBytes) text += some;
    });
    request.once("end", () => {
      if (came.length < maxAlerts) came.push({ at, body: parsed(text) });
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/alerts`,
    alerts: (startedAt) => came.map(({ at, body }) => ({ atMs: at - startedAt, body })),
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text.slice(0, 200);
  }
}

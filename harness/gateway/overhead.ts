/** What a call costs beyond the gateway's work, on this host, before the load: part of its calibration. */
import { Agent, request } from "node:http";
import { workHeader } from "./protocol.ts";

const warmUpCalls = 200;
const measuredCalls = 200;

export interface CallOverhead {
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly samples: number;
}

export interface OverheadOptions {
  readonly url: string;
  /** Calls at once, as many as the worker makes. */
  readonly concurrency: number;
  readonly bodyBytes: number;
}

/** Takes about (400 calls x work time of the first step) / concurrency. */
export async function measureCallOverhead(options: OverheadOptions): Promise<CallOverhead> {
  const agent = new Agent({ keepAlive: true, maxSockets: options.concurrency });
  const body = Buffer.alloc(options.bodyBytes, "x");
  const overheads: number[] = [];
  let left = warmUpCalls + measuredCalls;
  const caller = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const isMeasured = left < measuredCalls;
      const began = performance.now();
      const workMs = await makeCall(`${options.url}/payments/calibration-${left}`, agent, body);
      if (isMeasured) overheads.push(performance.now() - began - workMs);
    }
  };
  try {
    await Promise.all(Array.from({ length: options.concurrency }, caller));
  } finally {
    agent.destroy();
  }
  const sorted = Float64Array.from(overheads).sort();
  const at = (q: number) => round(sorted[Math.ceil(q * sorted.length) - 1] ?? Number.NaN);
  const meanMs = round(overheads.reduce((sum, one) => sum + one, 0) / overheads.length);
  return { meanMs, p50Ms: at(0.5), p99Ms: at(0.99), samples: sorted.length };
}

/** Resolves with the time for which the gateway had the call, in ms. */
export function makeCall(url: string, agent: Agent, body: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": body.length };
    const outgoing = request(url, { method: "POST", agent, headers }, (response) => {
      response.resume();
      response.once("end", () => resolve(Number(response.headers[workHeader])));
      response.once("error", reject);
    });
    outgoing.once("error", reject);
    outgoing.end(body);
  });
}

const round = (value: number) => Math.round(value * 1000) / 1000;

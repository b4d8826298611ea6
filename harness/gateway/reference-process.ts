/**
 * The reference caller: what a call costs whoever makes it, while the load runs. It calls the same gateway as the
 * worker, with a body as long as the worker's, and does nothing else.
 *
 * In a process of its own: in that of the harness, or of the generator, its calls would wait for their work, and would
 * tell of that instead of the machine.
 */
import { Agent } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { monotonicOf } from "../monotonic.ts";
import { makeCall, measureCallOverhead } from "./overhead.ts";
import { type FromReference, type ReferenceOrder, referencePath, type ToReference } from "./protocol.ts";

const burstEveryMs = 200;
/** One after the other, as a place that is never empty makes them. The first ones find a process that slept, and do not count. */
const callsInBurst = 8;
const wakingCalls = 3;

function tell(message: FromReference): void {
  process.send?.(message);
}

/** Of the calls since the load began. */
const atMs: number[] = [];
const overheadMs: number[] = [];

async function calibrate(order: ReferenceOrder): Promise<void> {
  // It is also what compiles this process's code for what follows.
  tell({ type: "calibrated", callOverhead: await measureCallOverhead(order) });
}

async function callBeside({ url, bodyBytes }: ReferenceOrder, startEpochMs: number): Promise<void> {
  const origin = monotonicOf(startEpochMs);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const body = Buffer.alloc(bodyBytes, "x");
  for (;;) {
    const next = performance.now() + burstEveryMs;
    for (let i = 0; i < callsInBurst; i += 1) {
      const began = performance.now();
      const workMs = await makeCall(`${url}${referencePath}`, agent, body);
      const ended = performance.now();
      if (i < wakingCalls || began < origin) continue;
      atMs.push(ended - origin);
      overheadMs.push(ended - began - workMs);
    }
    await delay(Math.max(0, next - performance.now()));
  }
}

function fail(error: unknown): void {
  tell({ type: "failed", text: error instanceof Error ? error.message : String(error) });
  process.exitCode = 1;
  process.disconnect?.();
}

let order: ReferenceOrder | undefined;
process.on("message", (message: ToReference) => {
  if (message.type === "order") {
    order = message.order;
    calibrate(order).catch(fail);
  }
  if (message.type === "start" && order !== undefined) callBeside(order, message.atEpochMs).catch(fail);
  if (message.type === "report") {
    const samples = { atMs: Float64Array.from(atMs), overheadMs: Float64Array.from(overheadMs) };
    tell({ type: "samples", samples });
  }
});
// The harness is gone: so is the reason to call.
process.on("disconnect", () => process.exit());
// Ctrl-C reaches the whole process group; the harness decides when this process ends.
process.on("SIGINT", () => undefined);

/** Starts the flooding client and keeps what it tells. */
import { startChild } from "../child.ts";
import type { FloodOrder, FromFlood, Requests, ToFlood } from "./protocol.ts";

export interface Flood {
  /** Begins; `atEpochMs` may lie a little ahead. */
  start(atEpochMs: number): void;
  /** All requests, when the last has its answer or has waited long enough. Rejects when the process died. */
  readonly finished: Promise<Requests>;
}

const readyWithinMs = 30_000;

/**
 * Resolves when the client has planned its requests. Its process is kept for the next flood when this one is over.
 * @param signal ends the flood, and its process with it, whenever that is
 */
export async function prepareFlood(order: FloodOrder, signal: AbortSignal): Promise<Flood> {
  let planned: number | undefined;
  let finish: (requests: Requests) => void = () => undefined;
  const done = new Promise<Requests>((resolve) => {
    finish = resolve;
  });
  const child = startChild<ToFlood, FromFlood>({
    name: "the flooding client",
    module: new URL("./service.ts", import.meta.url),
    signal,
    onMessage(message) {
      if (message.type === "ready") planned = message.planned;
      if (message.type === "done") {
        child.release();
        finish(message.requests);
      }
    },
  });
  child.send({ type: "order", order });
  await child.awaited("its plan", () => planned, readyWithinMs);
  const finished = Promise.race([done, child.lost]);
  finished.catch(() => undefined);
  return { start: (atEpochMs) => child.send({ type: "start", atEpochMs }), finished };
}

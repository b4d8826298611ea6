/** Starts the flooding client and keeps what it tells. */
import { fileURLToPath } from "node:url";
import { forkProgram } from "../compiled.ts";
import type { FloodOrder, FromFlood, Requests, ToFlood } from "./protocol.ts";

export interface Flood {
  /** Begins; `atEpochMs` may lie a little ahead. */
  start(atEpochMs: number): void;
  /** All requests, when the last has its answer or has waited long enough. Rejects when the process died. */
  readonly finished: Promise<Requests>;
}

/**
 * Resolves when the client has planned its requests.
 * @param signal ends the process, whenever that is
 */
export async function prepareFlood(order: FloodOrder, signal: AbortSignal): Promise<Flood> {
  signal.throwIfAborted();
  const child = forkProgram(fileURLToPath(new URL("./service.ts", import.meta.url)), {
    signal,
    killSignal: "SIGKILL",
  });
  child.on("error", () => undefined);
  const send = (message: ToFlood): void => {
    if (child.connected) child.send(message, () => undefined);
  };
  let planned: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    planned = resolve;
  });
  const finished = new Promise<Requests>((resolve, reject) => {
    child.on("message", (message: FromFlood) => {
      if (message.type === "ready") planned();
      if (message.type === "done") resolve(message.requests);
    });
    child.once("exit", (code, ended) => {
      reject(new Error(`the flooding client ended before it was done (${ended ?? code})`));
    });
  });
  finished.catch(() => undefined);
  send({ type: "order", order });
  await Promise.race([ready, finished]);
  return { start: (atEpochMs) => send({ type: "start", atEpochMs }), finished };
}

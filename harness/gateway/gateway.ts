/** Starts the gateway process and keeps what it tells. */
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { forkProgram } from "../compiled.ts";
import { until } from "../until.ts";
import type { GatewayOrder } from "./plan.ts";
import type { Attempts, FromGateway, GatewayCounters, ToGateway } from "./protocol.ts";

const readyWithinMs = 15_000;
const reportWithinMs = 15_000;

export interface RunningGateway {
  /** `http://127.0.0.1:port`, without a slash at its end. */
  readonly url: string;
  /** As of at most 0.2 s ago. */
  counters(): GatewayCounters;
  /** The load begins at this time; calls that come earlier are answered and not noted. */
  start(atEpochMs: number): void;
  /** All calls since the load began. Rejects when the process has died. */
  report(): Promise<Attempts>;
  /** Ends the process. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Resolves when the gateway listens, on 127.0.0.1 and a free port.
 * @param signal ends the process, whenever that is
 */
export async function startGateway(order: GatewayOrder, signal?: AbortSignal): Promise<RunningGateway> {
  signal?.throwIfAborted();
  const child = forkProgram(fileURLToPath(new URL("./service.ts", import.meta.url)), {
    ...(signal === undefined ? {} : { signal, killSignal: "SIGKILL" }),
  });
  child.on("error", () => undefined);
  let port: number | undefined;
  let counters: GatewayCounters = { attempts: 0, accepted: 0, open: 0 };
  let attempts: Attempts | undefined;
  let trouble: string | undefined;
  child.on("message", (message: FromGateway) => {
    if (message.type === "ready") port = message.port;
    if (message.type === "counters") counters = message.counters;
    if (message.type === "attempts") attempts = message.attempts;
    if (message.type === "failed") trouble ??= message.text;
  });
  const exited = new Promise<void>((resolve) => {
    child.once("exit", (code, signal) => {
      trouble ??= `it ended (${signal ?? code})`;
      resolve();
    });
  });
  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await exited;
  };
  /** Waits for a message; the end of the process ends the wait. */
  async function awaited<T>(what: string, value: () => T | undefined, timeoutMs: number): Promise<T> {
    const got = await until(what, () => value() ?? (trouble === undefined ? undefined : { trouble }), {
      timeoutMs,
      everyMs: 10,
    });
    if (typeof got === "object" && got !== null && "trouble" in got) {
      throw new Error(`the gateway failed while the harness waited for ${what}: ${got.trouble}`);
    }
    return got as T;
  }
  try {
    send(child, { type: "order", order });
    const listening = await awaited("the gateway to listen", () => port, readyWithinMs);
    return {
      url: `http://127.0.0.1:${listening}`,
      counters: () => counters,
      start: (atEpochMs) => send(child, { type: "start", atEpochMs }),
      async report() {
        attempts = undefined;
        send(child, { type: "report" });
        return await awaited("the gateway's report", () => attempts, reportWithinMs);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function send(child: ChildProcess, message: ToGateway): void {
  if (child.connected) child.send(message, () => undefined);
}

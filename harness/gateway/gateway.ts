/** Starts the gateway process and keeps what it tells. */
import { startChild } from "../child.ts";
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
  /** No more calls come: the process is kept for the next gateway. */
  release(): void;
  /** Ends the process. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Resolves when the gateway listens, on 127.0.0.1 and a free port.
 * @param signal ends the process, whenever that is
 */
export async function startGateway(order: GatewayOrder, signal?: AbortSignal): Promise<RunningGateway> {
  let port: number | undefined;
  let counters: GatewayCounters = { attempts: 0, accepted: 0, open: 0 };
  let attempts: Attempts | undefined;
  const child = startChild<ToGateway, FromGateway>({
    name: "the gateway",
    module: new URL("./service.ts", import.meta.url),
    signal,
    onMessage(message) {
      if (message.type === "ready") port = message.port;
      if (message.type === "counters") counters = message.counters;
      if (message.type === "attempts") attempts = message.attempts;
    },
  });
  try {
    child.send({ type: "order", order });
    const listening = await child.awaited("the gateway to listen", () => port, readyWithinMs);
    return {
      url: `http://127.0.0.1:${listening}`,
      counters: () => counters,
      start: (atEpochMs) => child.send({ type: "start", atEpochMs }),
      async report() {
        attempts = undefined;
        child.send({ type: "report" });
        return await child.awaited("the gateway's report", () => attempts, reportWithinMs);
      },
      release: child.release,
      close: child.close,
    };
  } catch (error) {
    await child.close();
    throw error;
  }
}

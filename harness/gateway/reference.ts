/** Starts the reference caller and keeps what it measures. */
import { startChild } from "../child.ts";
import type { CallOverhead } from "./overhead.ts";
import type { FromReference, OverheadSamples, ReferenceOrder, ToReference } from "./protocol.ts";

const calibratedWithinMs = 30_000;
const reportWithinMs = 15_000;

export interface Reference {
  /** Before the load; measured now. */
  calibrate(order: ReferenceOrder): Promise<CallOverhead>;
  /** It calls from this time on, for as long as it lives. After `calibrate`. */
  start(atEpochMs: number): void;
  /** All that was measured since the load began. Rejects when the process has died. */
  report(): Promise<OverheadSamples>;
  /** Ends the process. Safe to call twice. */
  close(): Promise<void>;
}

/** @param signal ends the process, whenever that is */
export function startReference(signal?: AbortSignal): Reference {
  let callOverhead: CallOverhead | undefined;
  let samples: OverheadSamples | undefined;
  const child = startChild<ToReference, FromReference>({
    name: "the reference caller",
    module: new URL("./reference-process.ts", import.meta.url),
    signal,
    onMessage(message) {
      if (message.type === "calibrated") callOverhead = message.callOverhead;
      if (message.type === "samples") samples = message.samples;
    },
  });
  return {
    async calibrate(order) {
      child.send({ type: "order", order });
      return await child.awaited("the overhead of a call", () => callOverhead, calibratedWithinMs);
    },
    start: (atEpochMs) => child.send({ type: "start", atEpochMs }),
    async report() {
      samples = undefined;
      child.send({ type: "report" });
      return await child.awaited("the reference caller's report", () => samples, reportWithinMs);
    },
    close: child.close,
  };
}

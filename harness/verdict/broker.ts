/** Whether the broker was quick enough to measure a worker by. */
import { quantile } from "../quantile.ts";
import type { Evidence } from "./evidence.ts";
import { warmUp } from "./flow.ts";

/**
 * Half of the tightest bound that a lab sets from an event's due time to its row (200 ms, in dlq): a broker that takes
 * more to accept an event leaves the worker too little. On native servers, 164 of 165 runs of labs with bounds on time
 * took less than 70.
 */
const maxAckMs = 100;

/**
 * Why times cannot be held against a worker that got its events late; undefined when the broker was quick. What was sent
 * in a lab's warm-up does not count, nor what may have met a fault.
 */
export function latenessOfBroker(evidence: Evidence): string | undefined {
  const { sentMs, ackedMs } = evidence.record.ledger;
  const fromMs = evidence.phase(warmUp)?.endMs ?? 0;
  const waits: number[] = [];
  for (const [i, sent] of sentMs.entries()) {
    const acked = ackedMs[i] ?? -1;
    if (acked < 0 || sent < fromMs) continue;
    if (!evidence.inFaultWindow(sent) && !evidence.inFaultWindow(acked)) waits.push(acked - sent);
  }
  const p99 = quantile(waits, 0.99);
  return p99 > maxAckMs
    ? `the broker itself took ${Math.round(p99)} ms to accept 1 of 100 events (at most ${maxAckMs} ms)`
    : undefined;
}

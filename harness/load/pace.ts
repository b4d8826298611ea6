/**
 * Open loop: what is due is sent, whatever became of what was sent before. Nothing is sent again, so that one message is
 * one record.
 *
 * A request is made before it is due, in the time that is left between two of them: what a message costs to make
 * does not make it late.
 */
import { monotonicOf } from "../monotonic.ts";
import { type Prepared, type PreparerOptions, prepare } from "./prepared.ts";
import type { Producer } from "./produce.ts";
import type { Acknowledged } from "./protocol.ts";

/** How far ahead requests are made. */
const aheadMs = 60;
/** With less time than this until the next is due, no other one is begun. */
const enoughMs = 0.5;
/** A generator this late will not catch up: it stops, and the run is unknown. */
const hopelesslyLateMs = 3_000;

/** Is told of each request when it is answered. */
export interface PaceReport {
  acknowledged(one: Acknowledged): void;
  error(text: string): void;
}

/** Sends what is due when it is due, until all is sent, or it is told to stop. Resolves when all is answered. */
export async function pace(
  options: PreparerOptions,
  producer: Producer,
  report: PaceReport,
  isStopped: () => boolean,
): Promise<number> {
  const { plan, due, startEpochMs } = options;
  const origin = monotonicOf(startEpochMs);
  const now = () => performance.now() - origin;
  const inFlight = new Set<Promise<void>>();
  const ready: Prepared[] = [];
  /** Index of the next message to make, and of the next one to send. */
  let made = 0;
  let sent = 0;
  const makeNext = () => {
    const next = prepare(options, made, now());
    made = next.end;
    ready.push(next);
    return next;
  };
  while (sent < plan.length && !isStopped()) {
    const at = now();
    if (at - (due[sent] ?? 0) > hopelesslyLateMs) break;
    let next = ready[0] ?? makeNext();
    while (next.dueMs <= at) {
      ready.shift();
      sent = next.end;
      const answered = send(producer, next, now, report).finally(() => inFlight.delete(answered));
      inFlight.add(answered);
      if (sent === plan.length) break;
      next = ready[0] ?? makeNext();
    }
    while (made < plan.length && next.dueMs - now() > enoughMs && (due[made] ?? 0) - now() < aheadMs)
      makeNext();
    // Timers count whole milliseconds, and never fire early.
    const pauseMs = Math.round(next.dueMs - now());
    await new Promise<void>((resolve) => {
      if (pauseMs > 0) setTimeout(resolve, pauseMs);
      else setImmediate(resolve);
    });
  }
  await Promise.all(inFlight);
  return sent;
}

async function send(producer: Producer, one: Prepared, now: () => number, report: PaceReport): Promise<void> {
  const { first, partitions, requests } = one;
  const sentMs = now();
  const nextOffset = new Map<number, number>();
  await Promise.all(
    requests.map(async ({ leader, bytes }) => {
      try {
        for (const { partition, errorCode, baseOffset } of await producer.send(leader, bytes)) {
          if (errorCode === 0) nextOffset.set(partition, baseOffset);
          else report.error(`the broker refused messages of partition ${partition}: error ${errorCode}`);
        }
      } catch (error) {
        report.error(error instanceof Error ? error.message : String(error));
      }
    }),
  );
  const ackedMs = nextOffset.size === 0 ? -1 : now();
  const offsets = new Float64Array(partitions.length);
  for (const [i, partition] of partitions.entries()) {
    const offset = nextOffset.get(partition);
    offsets[i] = offset ?? -1;
    if (offset !== undefined) nextOffset.set(partition, offset + 1);
  }
  report.acknowledged({ first, partitions, offsets, sentMs, ackedMs });
}

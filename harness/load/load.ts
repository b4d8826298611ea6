/** Starts the generator and keeps its ledger: what was sent, and where the broker put it. */
import { startChild } from "../child.ts";
import type { Ledger } from "../record/record.ts";
import type { Messages } from "../record/tables.ts";
import type { Plan, SentMessage } from "./messages.ts";
import type { FromGenerator, GeneratorOrder, ToGenerator } from "./protocol.ts";

const maxErrors = 5;
const roundTo = (value: number) => Math.round(value * 10) / 10;

/** Grows while the load runs; columns are indexed by message. */
export interface LiveLedger {
  readonly planned: number;
  readonly partition: Int16Array;
  readonly offset: Float64Array;
  readonly sentMs: Float64Array;
  readonly ackedMs: Float64Array;
  readonly errors: string[];
  /** Messages acknowledged so far. */
  acknowledged: number;
  /** By partition: message index at each offset, in offset order; -1 for a record that is not ours. */
  readonly byOffset: number[][];
}

export interface RunningLoad {
  readonly ledger: LiveLedger;
  /** Begins the load; `atEpochMs` may lie a little ahead. */
  start(atEpochMs: number): void;
  /** Resolves when all was sent and answered, or the generator gave up; rejects when it died. */
  readonly finished: Promise<void>;
  /** Sends nothing more. */
  stop(): void;
  /** Ends what is not finished. Safe to call twice. */
  close(): Promise<void>;
}

/** Connected, and the broker warm, on a machine that does much else. */
const readyWithinMs = 60_000;

/**
 * Resolves when the generator is connected and the broker is warm. Its process is kept for the next load when this one
 * is over.
 * @param signal ends the load, and its process with it, whenever it is aborted
 * @param onLongWarmUp called when the broker takes more than a moment to warm up
 */
export async function prepareLoad(
  order: GeneratorOrder,
  signal?: AbortSignal,
  onLongWarmUp?: () => void,
): Promise<RunningLoad> {
  let planned: number | undefined;
  let ledger: LiveLedger | undefined;
  let finish: () => void = () => undefined;
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const child = startChild<ToGenerator, FromGenerator>({
    name: "the load generator",
    module: new URL("./generator.ts", import.meta.url),
    signal,
    onMessage(message) {
      if (message.type === "warming-up") onLongWarmUp?.();
      if (message.type === "ready") planned = message.planned;
      if (message.type === "done") {
        child.release();
        finish();
      }
      if (ledger === undefined) return;
      if (message.type === "acknowledged") for (const request of message.requests) enter(ledger, request);
      if (message.type === "error" && ledger.errors.length < maxErrors) ledger.errors.push(message.text);
    },
  });
  try {
    child.send({ type: "order", order });
    const messages = await child.awaited("its connection to the brokers", () => planned, readyWithinMs);
    ledger = emptyLedger(messages, order.partitions);
    const finished = Promise.race([done, child.lost]);
    finished.catch(() => undefined);
    return {
      ledger,
      finished,
      start: (atEpochMs) => child.send({ type: "start", atEpochMs }),
      stop: () => child.send({ type: "stop" }),
      close: child.close,
    };
  } catch (error) {
    await child.close();
    throw error;
  }
}

function emptyLedger(planned: number, partitions: number): LiveLedger {
  return {
    planned,
    partition: new Int16Array(planned).fill(-1),
    offset: new Float64Array(planned).fill(-1),
    sentMs: new Float64Array(planned).fill(-1),
    ackedMs: new Float64Array(planned).fill(-1),
    errors: [],
    acknowledged: 0,
    byOffset: Array.from({ length: partitions }, () => []),
  };
}

type Acknowledged = Extract<FromGenerator, { type: "acknowledged" }>["requests"][number];

function enter(ledger: LiveLedger, request: Acknowledged): void {
  for (let i = 0; i < request.partitions.length; i += 1) {
    const index = request.first + i;
    const partition = request.partitions[i] ?? 0;
    const offset = request.offsets[i] ?? -1;
    ledger.partition[index] = partition;
    ledger.sentMs[index] = request.sentMs;
    ledger.offset[index] = offset;
    if (offset < 0) continue;
    ledger.ackedMs[index] = request.ackedMs;
    ledger.acknowledged += 1;
    const placed = ledger.byOffset[partition];
    if (placed === undefined) continue;
    while (placed.length < offset) placed.push(-1);
    placed[offset] = index;
  }
}

/** The ledger as it goes into the record. */
export function toRecord(
  ledger: LiveLedger,
  endOffsets: readonly number[],
  stoppedMs: number | null,
): Ledger {
  return {
    stoppedMs,
    planned: ledger.planned,
    partition: [...ledger.partition],
    offset: [...ledger.offset],
    sentMs: [...ledger.sentMs].map(roundTo),
    ackedMs: [...ledger.ackedMs].map(roundTo),
    errors: [...ledger.errors],
    endOffsets: [...endOffsets],
  };
}

/** The planned messages with the places the ledger knows of; grows with it. */
export function messagesOf(plan: Plan, topic: string, ledger: LiveLedger): Messages {
  return {
    length: plan.length,
    at: (index): SentMessage => ({
      ...plan.at(index),
      topic,
      offset: ledger.offset[index] ?? -1,
      event: plan.event(index),
      value: () => plan.value(index),
      trace: plan.trace(index),
    }),
    eventId: plan.eventId,
    atOrigin(partition, offset) {
      const index = ledger.byOffset[partition]?.[offset] ?? -1;
      return index < 0 ? undefined : index;
    },
  };
}

/** Starts the generator and keeps its ledger: what was sent, and where the broker put it. */
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { forkProgram } from "../compiled.ts";
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
  /** Ends the process. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Starts the generator process and resolves when it is connected and warmed up.
 * @param signal ends the process, whenever it is aborted
 */
export async function prepareLoad(order: GeneratorOrder, signal?: AbortSignal): Promise<RunningLoad> {
  const child = forkProgram(fileURLToPath(new URL("./generator.ts", import.meta.url)), {
    env: { ...process.env, KAFKAJS_NO_PARTITIONER_WARNING: "1" },
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const killNow = (): void => {
    child.kill("SIGKILL");
  };
  signal?.addEventListener("abort", killNow, { once: true });
  void exited.then(() => signal?.removeEventListener("abort", killNow));
  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await exited;
  };
  try {
    send(child, { type: "order", order });
    const planned = await ready(child);
    const ledger = emptyLedger(planned, order.partitions);
    const finished = follow(child, ledger);
    finished.catch(() => undefined);
    return {
      ledger,
      finished,
      start: (atEpochMs) => send(child, { type: "start", atEpochMs }),
      stop: () => send(child, { type: "stop" }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function send(child: ChildProcess, message: ToGenerator): void {
  // It may end between the question and the order: then the order is moot.
  if (child.connected) child.send(message, () => undefined);
}

function ready(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("message", (message: FromGenerator) => {
      if (message.type === "ready") resolve(message.planned);
      if (message.type === "failed") reject(new Error(`the load generator could not start: ${message.text}`));
    });
    child.once("exit", (code, signal) =>
      reject(new Error(`the load generator ended at once (${signal ?? code})`)),
    );
  });
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

function follow(child: ChildProcess, ledger: LiveLedger): Promise<void> {
  return new Promise((resolve, reject) => {
    child.on("message", (message: FromGenerator) => {
      if (message.type === "acknowledged") for (const request of message.requests) enter(ledger, request);
      if (message.type === "error" && ledger.errors.length < maxErrors) ledger.errors.push(message.text);
      if (message.type === "failed") reject(new Error(`the load generator failed: ${message.text}`));
      if (message.type === "done") resolve();
    });
    child.once("exit", (code, signal) => reject(new Error(`the load generator died (${signal ?? code})`)));
  });
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

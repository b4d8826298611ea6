/** What a worker says on stderr: one line for what matters, and not the same line again and again. */
import { createTelemetry, type Telemetry } from "../telemetry/telemetry.ts";

export type Log = (line: string) => void;

export const logToStderr: Log = (line) => {
  process.stderr.write(`${line}\n`);
};

/**
 * Lets a line through once, and the same again only after a while: what is retried fails the same way each time.
 * @param repeatAfterMs default 5,000 ms
 */
export function sparingly(log: Log, repeatAfterMs = 5_000, now: () => number = () => performance.now()): Log {
  const toldAt = new Map<string, number>();
  return (line) => {
    const last = toldAt.get(line);
    if (last !== undefined && now() - last < repeatAfterMs) return;
    if (toldAt.size >= 100) toldAt.clear();
    toldAt.set(line, now());
    log(line);
  };
}

/**
 * Telemetry that tells on stderr what hinders the work: a batch that cannot be written, a failed handler that fails.
 * Without it a worker whose table is missing waits in silence.
 */
export function loggedTelemetry(log: Log = logToStderr): Telemetry {
  const telemetry = createTelemetry();
  const say = sparingly(log);
  telemetry.on("batch.failed", ({ error, next }) =>
    say(`cannot write a batch (${next}): ${messageOf(error)}`),
  );
  telemetry.on("failed-handler.failed", ({ error }) =>
    say(`cannot store failed messages (retry): ${messageOf(error)}`),
  );
  return telemetry;
}

/** In one line. A failed connection to a name with several addresses has its reasons inside. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message || error.name : String(error);
}

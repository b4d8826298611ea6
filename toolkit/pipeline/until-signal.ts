import type { Pipeline, PipelineSummary } from "./pipeline.ts";

/** How long something may stay open after the drain before the process is ended. */
const EXIT_GRACE_MS = 500;

/** See `Pipeline.untilSignal`. */
export async function untilSignal(
  pipeline: Pick<Pipeline, "done" | "stop">,
  signals: readonly NodeJS.Signals[],
): Promise<PipelineSummary> {
  const listened = new Set<NodeJS.Signals>([...signals, "SIGINT"]);
  let received = 0;
  const onSignal = () => {
    received++;
    // `done` tells how it ends; the promise of `stop` is the same one.
    void pipeline.stop(received === 1 ? {} : { deadlineMs: 0 }).catch(() => {});
  };
  for (const signal of listened) process.on(signal, onSignal);
  try {
    return await pipeline.done;
  } finally {
    for (const signal of listened) process.off(signal, onSignal);
    // Not to keep the process alive, but to end it if something else does.
    if (received > 0) setTimeout(() => process.exit(), EXIT_GRACE_MS).unref();
  }
}

import type { Account } from "./account.ts";
import type { AnyMessage } from "./message.ts";
import type { BatcherPlan, Plan } from "./options.ts";
import type { Sink } from "./writer-stage.ts";

/** Of `failed`, which must not lose anything: whatever it throws, it is tried again. */
const FAILED_HANDLER = {
  name: "failed",
  size: 100,
  withinMs: 0,
  concurrency: 1,
  partitionBy: undefined,
  retry: {
    maxAttempts: Number.POSITIVE_INFINITY,
    baseMs: 50,
    factor: 2,
    capMs: 2_000,
    jitter: 0.2,
  },
};

/** Where a batcher writes: the worker's `write`. Messages it refuses, or that it marks failed itself, have failed. */
export function writeSink(
  plan: Plan,
  batcher: BatcherPlan,
  account: Account,
  onFailed: (messages: AnyMessage[]) => void,
): Sink {
  const writtenEvent = plan.telemetry.channel("batch.written");
  const failedEvent = plan.telemetry.channel("batch.failed");
  const names = { pipeline: plan.name, batcher: batcher.name };
  function partFailed(messages: readonly AnyMessage[]): readonly AnyMessage[] {
    const failed = failedOf(messages);
    if (failed === undefined) return messages;
    onFailed(failed);
    return messages.filter((message) => message.failure === undefined);
  }

  return {
    write: batcher.write,
    retry: batcher.retry,
    isLastPlace: false,
    partFailed,
    onWritten(batch, attempt, durationMs) {
      if (writtenEvent.active) {
        const { trigger } = batch;
        writtenEvent.emit({ ...names, messages: batch.messages.length, attempt, trigger, durationMs });
      }
      const written = partFailed(batch.messages);
      if (written.length > 0) account.finished(written, "written");
    },
    onRefused(messages, error) {
      for (const message of messages) message.fail(error, "write");
      onFailed([...messages]);
    },
    onError(batch, attempt, error, next, waitMs) {
      if (failedEvent.active) {
        failedEvent.emit({ ...names, messages: batch.messages.length, attempt, next, waitMs, error });
      }
    },
  };
}

/**
 * Where failed messages are stored: the worker's `failed`, as a batcher of its own. It most often writes to the store of
 * the batchers, and they tell which errors speak of a message.
 */
export function failedSink(
  plan: Plan,
  failed: NonNullable<Plan["failed"]>,
  account: Account,
): { readonly batcher: BatcherPlan; readonly sink: Sink } {
  const event = plan.telemetry.channel("failed-handler.failed");
  const write = async (batch: { messages: readonly AnyMessage[] }, context: Parameters<typeof failed>[1]) => {
    await failed(batch.messages, context);
  };
  const isTransient = (error: unknown) => plan.batchers.every((batcher) => batcher.retry.isTransient(error));
  const retry = { ...FAILED_HANDLER.retry, isTransient };
  const sink: Sink = {
    write,
    retry,
    isLastPlace: true,
    onWritten(batch) {
      account.finished(batch.messages, "failed");
    },
    partFailed: (messages) => messages,
    onRefused() {
      throw new Error("a failed message was refused: this cannot be, the failed handler is the last place");
    },
    onError(batch, attempt, error, _next, waitMs) {
      if (event.active)
        event.emit({ pipeline: plan.name, messages: batch.messages.length, attempt, waitMs, error });
    },
  };
  return { batcher: { ...FAILED_HANDLER, retry, write }, sink };
}

function failedOf(messages: readonly AnyMessage[]): AnyMessage[] | undefined {
  let failed: AnyMessage[] | undefined;
  for (const message of messages) {
    if (message.failure === undefined) continue;
    if (failed === undefined) failed = [message];
    else failed.push(message);
  }
  return failed;
}

import type { MemoryMessage, MemorySource } from "./memory-source.ts";

/** What became of the messages of a test. */
export interface Outcome<Value> {
  /** Written, in order of acknowledgement. `value` is what `process` made, `origin.value` what was sent. */
  readonly written: readonly MemoryMessage<Value>[];
  /** Stored by the failed handler; `failure` says why they failed. */
  readonly failed: readonly MemoryMessage<Value>[];
}

export interface TestOptions {
  readonly partition?: number;
  /** Default 4,000 ms. */
  readonly deadlineMs?: number;
}

/**
 * Sends one value through a running pipeline and resolves with its message when that is acknowledged.
 * Rejects after the deadline, and says so.
 */
export async function testMessage<Value>(
  source: MemorySource<Value>,
  value: Value,
  options: TestOptions = {},
): Promise<MemoryMessage<Value>> {
  const { written, failed } = await testBatch(source, [value], options);
  return (written[0] ?? failed[0]) as MemoryMessage<Value>;
}

/** Sends values through a running pipeline, together, and resolves when all are acknowledged. */
export async function testBatch<Value>(
  source: MemorySource<Value>,
  values: readonly Value[],
  options: TestOptions = {},
): Promise<Outcome<Value>> {
  const deadlineMs = options.deadlineMs ?? 4_000;
  const written: MemoryMessage<Value>[] = [];
  const failed: MemoryMessage<Value>[] = [];
  const waiting = new Set<string>();
  if (values.length === 0) return { written, failed };
  const idOf = ({ origin }: MemoryMessage<Value>) => `${origin.partition}/${origin.offset}`;
  return new Promise((resolve, reject) => {
    const unlisten = source.onAcknowledged((messages) => {
      for (const message of messages) {
        if (!waiting.delete(idOf(message))) continue;
        (message.failure === undefined ? written : failed).push(message);
      }
      if (waiting.size > 0) return;
      clearTimeout(timeout);
      unlisten();
      resolve({ written, failed });
    });
    const timeout = setTimeout(() => {
      unlisten();
      const ids = [...waiting].slice(0, 5).join(", ");
      reject(
        new Error(
          `${waiting.size} of ${values.length} messages were not acknowledged within ${deadlineMs} ms: ${ids}`,
        ),
      );
    }, deadlineMs);
    for (const message of source.push(values, options.partition ?? 0)) waiting.add(idOf(message));
  });
}

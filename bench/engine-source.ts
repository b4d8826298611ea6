import { type Assignment, Message } from "../toolkit/pipeline/message.ts";
import type { Source, SourceSink } from "../toolkit/pipeline/source.ts";

export type BenchMessage = Message<number, undefined>;

/** Arrays of messages, as a source would deliver them. */
export function makeChunks(messages: number, chunk: number): BenchMessage[][] {
  const assignment: Assignment = { topic: "bench", partition: 0, generation: 0, revoked: false };
  const chunks: BenchMessage[][] = [];
  for (let offset = 0; offset < messages; offset += chunk) {
    const one: BenchMessage[] = [];
    for (let i = 0; i < chunk && offset + i < messages; i++) {
      one.push(new Message<number, undefined>(offset + i, undefined, assignment, offset + i));
    }
    chunks.push(one);
  }
  return chunks;
}

export interface ChunkSource extends Source<number, undefined> {
  /** Offers arrays, and resolves when all of their messages are acknowledged. One offer at a time. */
  supply(chunks: BenchMessage[][]): Promise<void>;
  /** No more will be supplied. */
  end(): void;
}

/** Delivers prepared arrays whole, each as soon as there is demand for all of it. */
export function chunkSource(): ChunkSource {
  let sink: SourceSink<number, undefined> | undefined;
  let demand = 0;
  let chunks: BenchMessage[][] = [];
  let next = 0;
  /** Of the running offer, not yet acknowledged. */
  let open = 0;
  let onFinished: () => void = () => {};

  function deliver(): void {
    if (sink === undefined) return;
    while (next < chunks.length) {
      const messages = chunks[next] as BenchMessage[];
      if (messages.length > demand) return;
      next++;
      demand -= messages.length;
      sink.deliver(messages);
    }
  }

  return {
    name: "chunks",
    async open(given) {
      sink = given;
      deliver();
    },
    request(count) {
      demand += count;
      deliver();
    },
    acknowledge(messages) {
      open -= messages.length;
      if (open === 0) onFinished();
    },
    pause() {},
    resume() {},
    async stop() {},
    async close() {},
    supply(given) {
      chunks = given;
      next = 0;
      open = given.reduce((sum, { length }) => sum + length, 0);
      return new Promise((resolve) => {
        onFinished = resolve;
        deliver();
      });
    },
    end: () => sink?.end(),
  };
}

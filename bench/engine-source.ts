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
  readonly acknowledged: number;
  /** Deliveries made, to report how many events one really had. */
  readonly deliveries: number;
}

/** Delivers prepared arrays, one as soon as there is demand for all of it, and counts acknowledgements. */
export function chunkSource(chunks: BenchMessage[][]): ChunkSource {
  let sink: SourceSink<number, undefined> | undefined;
  let demand = 0;
  let next = 0;
  let acknowledged = 0;
  function deliver(): void {
    while (next < chunks.length) {
      const messages = chunks[next] as BenchMessage[];
      if (messages.length > demand) return;
      next++;
      demand -= messages.length;
      sink?.deliver(messages);
      if (next === chunks.length) sink?.end();
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
      if (sink !== undefined) deliver();
    },
    acknowledge(messages) {
      acknowledged += messages.length;
    },
    pause() {},
    resume() {},
    async stop() {},
    async close() {},
    get acknowledged() {
      return acknowledged;
    },
    get deliveries() {
      return next;
    },
  };
}

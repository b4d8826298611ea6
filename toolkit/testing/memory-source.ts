import { type Assignment, Message } from "../pipeline/message.ts";
import { createOffsetTracker, type OffsetTracker } from "../pipeline/offset-tracker.ts";
import type { Source, SourceSink } from "../pipeline/source.ts";

/** Where a message of a memory source came from. `value` is what was pushed, whatever became of the message's. */
export interface MemoryRecord<Value> {
  readonly partition: number;
  readonly offset: number;
  readonly value: Value;
}

export type MemoryMessage<Value> = Message<Value, MemoryRecord<Value>>;

export interface MemorySourceOptions {
  readonly name?: string;
  /** Default 1. */
  readonly partitions?: number;
  /** Most messages in one delivery. Default: as many as are asked for and there. */
  readonly chunk?: number;
}

export interface MemorySource<Value> extends Source<Value, MemoryRecord<Value>> {
  /** Appends values to a partition (default 0) and delivers what is asked for. The result are their messages. */
  push(values: readonly Value[], partition?: number): MemoryMessage<Value>[];
  /** No more will be pushed: the pipeline ends when all is delivered and finished. */
  end(): void;
  /** As if the source broke down. */
  fail(error: unknown): void;
  /** A rebalance: the partition goes and comes back at once, under the next generation, from the committed offset on. */
  rebalance(partition: number): void;
  /** Acknowledged messages, in order of acknowledgement. */
  readonly acknowledged: readonly MemoryMessage<Value>[];
  /** The offset that would be committed: where a new generation would go on. */
  committable(partition?: number): number;
  /** Asked for and not yet delivered. */
  readonly demand: number;
  /** Pushed and not yet delivered. */
  readonly backlog: number;
  readonly state: "new" | "open" | "stopped" | "closed";
  /** Called after each acknowledgement; the result ends it. */
  onAcknowledged(listener: (messages: readonly MemoryMessage<Value>[]) => void): () => void;
}

interface Partition<Value> {
  assignment: Assignment;
  tracker: OffsetTracker;
  /** Where the running generation began to read. */
  from: number;
  readonly log: Value[];
  /** Offset of the next message to deliver. */
  next: number;
  /** Messages made by `push` and not yet delivered, by offset; others are made when they are delivered. */
  readonly made: Map<number, MemoryMessage<Value>>;
}

/** A source whose records are in memory, for tests, drills and benchmarks. It keeps demand as a real one must. */
export function memorySource<Value>(options: MemorySourceOptions = {}): MemorySource<Value> {
  const name = options.name ?? "memory";
  const chunk = options.chunk ?? Number.POSITIVE_INFINITY;
  const partitions = Array.from({ length: options.partitions ?? 1 }, (_, number): Partition<Value> => {
    const assignment = { topic: name, partition: number, generation: 0, revoked: false };
    return { assignment, tracker: createOffsetTracker(), from: 0, log: [], next: 0, made: new Map() };
  });
  const acknowledged: MemoryMessage<Value>[] = [];
  const listeners = new Set<(messages: readonly MemoryMessage<Value>[]) => void>();
  let sink: SourceSink<Value, MemoryRecord<Value>> | undefined;
  let demand = 0;
  let isPaused = false;
  let hasEnded = false;
  let state: MemorySource<Value>["state"] = "new";
  /** Partitions take turns. */
  let turn = 0;

  function partitionAt(number: number): Partition<Value> {
    const partition = partitions[number];
    if (partition === undefined)
      throw new RangeError(`${name} has partitions 0 to ${partitions.length - 1}, not ${number}`);
    return partition;
  }

  function backlog(): number {
    return partitions.reduce((sum, { log, next }) => sum + log.length - next, 0);
  }

  function messageAt(partition: Partition<Value>, offset: number): MemoryMessage<Value> {
    const made = partition.made.get(offset);
    partition.made.delete(offset);
    if (made !== undefined && made.assignment === partition.assignment) return made;
    return makeMessage(partition, offset);
  }

  function makeMessage({ assignment, log }: Partition<Value>, offset: number): MemoryMessage<Value> {
    const value = log[offset] as Value;
    const record = { partition: assignment.partition, offset, value };
    return new Message<Value, MemoryRecord<Value>>(value, record, assignment, offset);
  }

  function deliver(): void {
    while (state === "open" && !isPaused && demand > 0 && backlog() > 0) {
      const partition = partitionAt(turn);
      turn = (turn + 1) % partitions.length;
      const count = Math.min(demand, chunk, partition.log.length - partition.next);
      if (count === 0) continue;
      const messages: MemoryMessage<Value>[] = [];
      for (let i = 0; i < count; i++) {
        const offset = partition.next++;
        partition.tracker.started(offset);
        messages.push(messageAt(partition, offset));
      }
      demand -= count;
      sink?.deliver(messages);
    }
    if (state === "open" && hasEnded && backlog() === 0) sink?.end();
  }

  return {
    name,
    async open(given) {
      sink = given;
      state = "open";
      deliver();
    },
    request(count) {
      demand += count;
      deliver();
    },
    acknowledge(messages) {
      const own = messages as readonly MemoryMessage<Value>[];
      for (const message of own) {
        acknowledged.push(message);
        const { assignment, tracker } = partitionAt(message.assignment.partition);
        if (assignment === message.assignment) tracker.finished(message.offset);
      }
      for (const listener of listeners) listener(own);
    },
    pause() {
      isPaused = true;
    },
    resume() {
      isPaused = false;
      deliver();
    },
    async stop() {
      state = "stopped";
    },
    async close() {
      state = "closed";
    },
    push(values, number = 0) {
      const partition = partitionAt(number);
      const messages = values.map((value) => {
        const offset = partition.log.push(value) - 1;
        const message = makeMessage(partition, offset);
        partition.made.set(offset, message);
        return message;
      });
      deliver();
      return messages;
    },
    end() {
      hasEnded = true;
      deliver();
    },
    fail(error) {
      sink?.fail(error);
    },
    rebalance(number) {
      const partition = partitionAt(number);
      const committed = partition.tracker.committable() ?? partition.from;
      partition.assignment.revoked = true;
      partition.assignment = {
        ...partition.assignment,
        generation: partition.assignment.generation + 1,
        revoked: false,
      };
      partition.tracker = createOffsetTracker();
      partition.from = committed;
      partition.next = committed;
      sink?.revoked();
      deliver();
    },
    acknowledged,
    committable: (number = 0) => {
      const { tracker, from } = partitionAt(number);
      return tracker.committable() ?? from;
    },
    get demand() {
      return demand;
    },
    get backlog() {
      return backlog();
    },
    get state() {
      return state;
    },
    onAcknowledged(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

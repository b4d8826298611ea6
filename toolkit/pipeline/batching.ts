import { partitionIndex } from "../stage/partition-dispatcher.ts";
import type { Scheduler } from "../stage/scheduler.ts";
import type { Account } from "./account.ts";
import { BatcherStage } from "./batcher-stage.ts";
import { Crew } from "./crew.ts";
import type { AnyMessage } from "./message.ts";
import type { BatcherPlan, Plan } from "./options.ts";
import { type Sink, Writer } from "./writer-stage.ts";

export interface BatchingOptions {
  readonly plan: Plan;
  readonly batcher: BatcherPlan;
  readonly scheduler: Scheduler;
  readonly account: Account;
  readonly signal: AbortSignal;
  readonly sink: Sink;
  readonly canMoreCome: () => boolean;
  readonly onCrash: (error: unknown) => void;
}

/** A batcher with its writers. Where messages are written by key it has a lane for each writer, else one for all. */
export interface Batching {
  readonly name: string;
  readonly lanes: readonly BatcherStage[];
  /** Which lane a message belongs to. */
  laneOf(message: AnyMessage): number;
  readonly gathering: number;
  readonly writing: number;
  /** Throws a TypeError where messages are written by key. */
  setConcurrency(concurrency: number): void;
  drain(): void;
  dropRevoked(): void;
  /** Begins no more writes. */
  stop(): void;
}

export function startBatching(options: BatchingOptions): Batching {
  const { batcher, ...shared } = options;
  const { name, partitionBy } = batcher;
  const lanes: BatcherStage[] = [];
  const crews: Crew<Writer>[] = [];
  let writing = 0;

  function addLane(writers: number): void {
    const lane = new BatcherStage({ ...shared, name, size: batcher.size, withinMs: batcher.withinMs });
    const crew = new Crew<Writer>({
      hire(number, onRetired) {
        const writer: Writer = new Writer({
          ...shared,
          name: `writer ${name} ${lanes.indexOf(lane) + number}`,
          batches: lane.outlet,
          onTaken(messages) {
            lane.gathered -= messages;
          },
          onWriting(messages) {
            writing += messages;
          },
          onRetired: () => onRetired(writer),
        });
        return writer;
      },
    });
    lanes.push(lane);
    crews.push(crew);
    crew.resize(writers);
  }

  if (partitionBy === undefined) addLane(batcher.concurrency);
  else for (let lane = 0; lane < batcher.concurrency; lane++) addLane(1);

  return {
    name,
    lanes,
    laneOf:
      partitionBy === undefined ? () => 0 : (message) => partitionIndex(partitionBy(message), lanes.length),
    get gathering() {
      return lanes.reduce((sum, lane) => sum + lane.gathered, 0);
    },
    get writing() {
      return writing;
    },
    setConcurrency(concurrency) {
      if (partitionBy !== undefined) {
        throw new TypeError(
          `the concurrency of batcher "${name}" cannot change: its messages are written by key`,
        );
      }
      crews[0]?.resize(concurrency);
    },
    drain() {
      for (const lane of lanes) lane.drain();
    },
    dropRevoked() {
      for (const lane of lanes) lane.dropRevoked();
      for (const crew of crews) for (const writer of crew.workers) writer.recheck();
    },
    stop() {
      for (const lane of lanes) lane.stop();
      for (const crew of crews) crew.dismiss();
    },
  };
}

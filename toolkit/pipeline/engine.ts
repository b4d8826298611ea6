import { demandDispatcher } from "../stage/demand-dispatcher.ts";
import { partitionDispatcher } from "../stage/partition-dispatcher.ts";
import { createScheduler } from "../stage/scheduler.ts";
import { Account } from "./account.ts";
import { type Batching, startBatching } from "./batching.ts";
import { Crew } from "./crew.ts";
import type { AnyMessage } from "./message.ts";
import type { Plan } from "./options.ts";
import type { PipelineStats } from "./pipeline.ts";
import { Processor } from "./processor-stage.ts";
import { failedSink, writeSink } from "./sinks.ts";
import { SourceStage } from "./source-stage.ts";

export interface EngineOptions {
  readonly plan: Plan;
  /** Aborted when what is in flight is handed back. */
  readonly signal: AbortSignal;
  /** Something cannot go on: a stage or the source has a bug, or a message failed and has no place to go. */
  readonly onFatal: (error: unknown) => void;
}

/** The stages of a pipeline, put together: source, processors, batchers with their writers, and the failed handler. */
export interface Engine {
  readonly account: Account;
  readonly source: SourceStage;
  setProcessorConcurrency(concurrency: number): void;
  setBatcherConcurrency(batcher: string, concurrency: number): void;
  /** Pulls no more, and lets nothing wait for more to come. */
  drain(): void;
  /** Resolves when nothing is in flight that could still be finished. */
  whenEmpty(): Promise<void>;
  dropRevoked(): void;
  stats(): PipelineStats;
  /** Begins nothing more; what is in flight is handed back. */
  close(): void;
}

export function startEngine({ plan, signal, onFatal }: EngineOptions): Engine {
  const scheduler = createScheduler({ onCrash: onFatal });
  const { partitionBy, concurrency } = plan.processors;
  const messageFailed = plan.telemetry.channel("message.failed");
  let onEmpty: (() => void) | undefined;

  const account = new Account({
    pipeline: plan.name,
    source: plan.source,
    telemetry: plan.telemetry,
    onFreed() {
      source.wake();
      if (onEmpty !== undefined && isEmpty()) onEmpty();
    },
  });
  const source = new SourceStage({
    plan,
    scheduler,
    account,
    dispatcher: partitionBy === undefined ? demandDispatcher : byLane(concurrency),
    onBreach: onFatal,
  });

  const shared = { plan, scheduler, account, signal, canMoreCome, onCrash: onFatal };
  const failures = plan.failed === undefined ? undefined : startFailures(plan.failed);
  const batchings = plan.batchers.map((batcher) =>
    startBatching({ ...shared, batcher, sink: writeSink(plan, batcher, account, onFailed) }),
  );
  const lanes = batchings.flatMap((batching) => batching.lanes);
  const routes = new Map(batchings.map((batching, at) => [batching.name, laneWithin(batchings, at)]));
  const everyBatching = failures === undefined ? batchings : [...batchings, failures];

  const processors = new Crew<Processor>({
    hire(number, onRetired) {
      const processor: Processor = new Processor({
        name: `processor ${number}`,
        plan,
        scheduler,
        account,
        source: source.outlet,
        partition: partitionBy === undefined ? undefined : number,
        dispatcher: lanes.length === 1 ? undefined : byLane(lanes.length),
        routes,
        onFailed,
        onCrash: onFatal,
        onRetired() {
          processor.outlet.end();
          onRetired(processor);
        },
      });
      // Batchers bound nothing of their own: what is in flight is bounded at the source.
      const demand = { maxDemand: Math.max(2, plan.maxInFlight), cancel: "temporary" } as const;
      for (const [partition, lane] of lanes.entries()) {
        lane.inlet.subscribe(processor.outlet, { ...demand, ...(lanes.length === 1 ? {} : { partition }) });
      }
      return processor;
    },
    ...(partitionBy === undefined ? {} : { reshare: (size) => source.outlet.changeDispatcher(byLane(size)) }),
  });
  processors.resize(concurrency);

  function startFailures(failed: NonNullable<Plan["failed"]>): Batching {
    return startBatching({ ...shared, ...failedSink(plan, failed, account) });
  }

  function onFailed(messages: AnyMessage[]): void {
    if (account.isClosed) return;
    for (const message of messages) {
      // A key of the batcher means nothing to the failed handler.
      message.batchKey = undefined;
      if (!messageFailed.active || message.failure === undefined) continue;
      messageFailed.emit({ pipeline: plan.name, ...message.failure });
    }
    if (failures !== undefined) {
      failures.lanes[0]?.accept(messages);
      return;
    }
    account.stranded += messages.length;
    if (onEmpty !== undefined && isEmpty()) onEmpty();
    const [{ failure, assignment, offset }] = messages as [AnyMessage];
    const where = `message ${offset} of ${assignment.topic} partition ${assignment.partition}`;
    onFatal(
      new Error(`${where} failed, and there is no failed handler to store it: ${failure?.reason}`, {
        cause: failure?.error,
      }),
    );
  }

  function isEmpty(): boolean {
    return account.inFlight === account.stranded;
  }

  function inBatchers(): number {
    return everyBatching.reduce((sum, { gathering, writing }) => sum + gathering + writing, 0);
  }

  function canMoreCome(): boolean {
    return account.inFlight < plan.maxInFlight || account.inFlight > inBatchers();
  }

  return {
    account,
    source,
    setProcessorConcurrency: (size) => processors.resize(size),
    setBatcherConcurrency(name, size) {
      const batching = batchings.find((one) => one.name === name);
      if (batching === undefined) {
        const known = batchings.map((one) => `"${one.name}"`).join(", ");
        throw new RangeError(`setBatcherConcurrency: there is no batcher "${name}", only ${known}`);
      }
      batching.setConcurrency(size);
    },
    drain() {
      source.stop();
      for (const batching of everyBatching) batching.drain();
    },
    whenEmpty() {
      if (isEmpty()) return Promise.resolve();
      return new Promise((resolve) => {
        onEmpty = resolve;
      });
    },
    dropRevoked() {
      for (const batching of everyBatching) batching.dropRevoked();
    },
    stats() {
      const waiting = source.waiting;
      const { pulled, written, failed, revoked, inFlight } = account;
      return {
        pulled,
        written,
        failed,
        revoked,
        handedBack: account.isClosed ? inFlight : 0,
        inFlight,
        sourceDemand: source.sourceDemand,
        waiting,
        processing: Math.max(0, inFlight - waiting - inBatchers() - account.stranded),
        failing: account.stranded + (failures === undefined ? 0 : failures.gathering + failures.writing),
        batchers: Object.fromEntries(
          batchings.map(({ name, gathering, writing }) => [name, { gathering, writing }]),
        ),
      };
    },
    close() {
      account.isClosed = true;
      source.stop();
      processors.dismiss();
      for (const batching of everyBatching) batching.stop();
    },
  };
}

function byLane(partitions: number) {
  return () => partitionDispatcher<AnyMessage>({ partitions, by: (message) => message.lane });
}

/** Number of a message's lane among those of all batchers, if it goes to the one at `at`. */
function laneWithin(batchings: readonly Batching[], at: number): (message: AnyMessage) => number {
  const before = batchings.slice(0, at).reduce((sum, { lanes }) => sum + lanes.length, 0);
  const batching = batchings[at] as Batching;
  return (message) => before + batching.laneOf(message);
}

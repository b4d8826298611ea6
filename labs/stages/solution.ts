/**
 * The stages drill, solved: a producer, consumers, and between them a dispatcher that fits the round.
 *
 * Nobody here says how fast anybody goes. A consumer asks for what it may hold (MAX_DEMAND), and again when it holds no
 * more than MIN_DEMAND; the dispatcher decides who gets which event, and what nobody asked for is never fetched.
 */
import { broadcastDispatcher } from "../../toolkit/stage/broadcast-dispatcher.ts";
import { demandDispatcher } from "../../toolkit/stage/demand-dispatcher.ts";
import type { DispatcherFactory } from "../../toolkit/stage/dispatcher.ts";
import { partitionDispatcher } from "../../toolkit/stage/partition-dispatcher.ts";
import { startConsumer, startProducer, subscribe } from "../../toolkit/stage/stage.ts";
import { isMainProgram } from "../../toolkit/worker/main.ts";
import { askFor, demandOf, type Event, handle, nextRound, type Round } from "./source.ts";

/** What makes it a solution; each pitfall replaces one of these. */
export const parts = {
  /** Who gets which event. */
  dispatcher: ({ dispatch, consumers }: Round): DispatcherFactory<Event> => {
    if (dispatch === "broadcast") return broadcastDispatcher;
    if (dispatch === "partition")
      return () => partitionDispatcher({ partitions: consumers, by: ({ key }) => key });
    return demandDispatcher;
  },

  /** What a consumer may hold, and when it asks for more. */
  demand: demandOf,
};

/** Plays round after round, until the process is told to end. */
export async function work({ dispatcher, demand } = parts): Promise<never> {
  for (;;) await play(await nextRound(), dispatcher, demand);
}

async function play(
  round: Round,
  dispatcher: typeof parts.dispatcher,
  demand: typeof demandOf,
): Promise<void> {
  const producer = startProducer<Event>({
    name: round.name,
    dispatcher: dispatcher(round),
    async handleDemand(count) {
      const { events, over } = await askFor(round, count);
      producer.emit(events);
      if (over) producer.stop();
      return [];
    },
  });
  const consumers = Array.from({ length: round.consumers }, (_, number) =>
    startConsumer<Event>({
      name: `consumer ${number}`,
      handleEvents: (events) => handle(round, number, events),
    }),
  );
  for (const [partition, consumer] of consumers.entries()) {
    subscribe({ consumer, to: producer, partition, ...demand() });
  }
  // Ended when the producer has, and all that came from it is handled.
  await Promise.all(consumers.map(({ done }) => done));
}

if (isMainProgram(import.meta.url)) await work();

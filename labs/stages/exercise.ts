/**
 * The stages drill, yours to solve. This program plays the rounds without any stages, and fails the drill:
 *
 *     npx tsx labs/stages/run.ts --profile quick --subject exercise
 *
 * Below are three TODOs; each names the criteria it earns. Do one, run again, and see which verdict changed and which did
 * not. README.md has the steps and hints.
 */
import { askFor, demandOf, type Event, handle, nextRound, type Round } from "./source.ts";

/** Events for which no consumer has asked yet. */
let waiting: Event[] = [];

async function play(round: Round): Promise<void> {
  // TODO 1: demand-bounded
  // Everything is fetched at once. Fetch what consumers asked for and no more: demandOf().maxDemand each at first, and
  // again when one holds no more than demandOf().minDemand.
  const { events } = await askFor(round, 1_000_000);
  waiting = events;
  const { maxDemand } = demandOf();

  // TODO 2: slow-holds-up-nobody, fair-share
  // All consumers get a chunk, and the next one when the slowest is done. Give events to whoever has demand: a loop for
  // each consumer, and not one for all.
  while (waiting.length > 0) {
    await Promise.all(
      Array.from({ length: round.consumers }, (_, consumer) => {
        const chunk = waiting.splice(0, maxDemand);
        return chunk.length === 0 ? undefined : handle(round, consumer, chunk);
      }),
    );
  }

  // TODO 3: every-event-to-every-subscriber, order-per-partition
  // round.dispatch is not looked at. "broadcast": every event to every consumer. "partition": a key belongs to one
  // consumer, whoever else is free; keep its events until that one asks.
}

for (;;) await play(await nextRound());

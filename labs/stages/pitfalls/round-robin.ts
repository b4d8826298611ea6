/**
 * Mistake: consumers get events in turn, one each.
 *
 * Why people make it: turns are fair, need no account of who is busy, and come out even.
 *
 * What it costs: fair in number is not fair in time. The turn of a slow consumer comes as often as that of a fast one,
 * and while it has no room everybody waits: three consumers are as fast as three of the slowest.
 *
 * Fails `slow-holds-up-nobody`.
 */
import type { Dispatcher, Place } from "../../../toolkit/stage/dispatcher.ts";
import { parts, work } from "../solution.ts";

function roundRobin<Event>(): Dispatcher<Event> {
  const places: Place<Event>[] = [];
  let turn = 0;
  /** As many as can be given out before the turn comes to one without room. */
  const turns = () =>
    places.length === 0
      ? 0
      : Math.min(
          ...places.map(
            ({ demand }, at) => demand * places.length + ((at - turn + places.length) % places.length),
          ),
        );
  return {
    get demand() {
      return turns();
    },
    kept: 0,
    join: (place) => void places.push(place),
    ask: (place, count) => {
      place.demand += count;
    },
    leave(place, undelivered) {
      places.splice(places.indexOf(place), 1);
      turn = 0;
      return undelivered;
    },
    takeKept: () => [],
    dispatch(events) {
      for (const event of events) {
        const place = places[turn] as Place<Event>;
        turn = (turn + 1) % places.length;
        place.demand -= 1;
        place.receive([event]);
      }
    },
  };
}

await work({
  ...parts,
  dispatcher: (round) => (round.dispatch === "demand" ? roundRobin : parts.dispatcher(round)),
});

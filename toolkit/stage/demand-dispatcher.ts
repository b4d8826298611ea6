import type { Dispatcher, Place } from "./dispatcher.ts";

/**
 * Each event goes to one subscriber: to the one with the largest demand, and among equals to the one that has waited
 * longest. So a slow subscriber, whose demand stays low, gets less (GenStage.DemandDispatcher).
 */
export function demandDispatcher<Event>(): Dispatcher<Event> {
  // Invariant: sorted by demand, largest first; equals in the order they came to that demand.
  const places: Place<Event>[] = [];
  let demand = 0;

  /** Restores the order after the demand of the place at `at` grew. */
  function moveUp(place: Place<Event>, at: number): void {
    let to = at;
    while (to > 0 && (places[to - 1] as Place<Event>).demand < place.demand) {
      places[to] = places[to - 1] as Place<Event>;
      to--;
    }
    places[to] = place;
  }

  /** Restores the order after the demand of the first place fell. */
  function moveFirstDown(place: Place<Event>): void {
    let to = 0;
    while (to + 1 < places.length && (places[to + 1] as Place<Event>).demand >= place.demand) {
      places[to] = places[to + 1] as Place<Event>;
      to++;
    }
    places[to] = place;
  }

  return {
    get demand() {
      return demand;
    },
    kept: 0,
    join(place) {
      places.push(place);
    },
    ask(place, count) {
      demand += count;
      place.demand += count;
      moveUp(place, places.indexOf(place));
    },
    leave(place, undelivered) {
      demand -= place.demand;
      place.demand = 0;
      places.splice(places.indexOf(place), 1);
      return undelivered;
    },
    takeKept: () => [],
    dispatch(events) {
      demand -= events.length;
      let start = 0;
      while (start < events.length) {
        const place = places[0] as Place<Event>;
        const count = Math.min(place.demand, events.length - start);
        place.demand -= count;
        if (places.length > 1) moveFirstDown(place);
        const whole = count === events.length;
        place.receive(whole ? events : events.slice(start, start + count));
        start += count;
      }
    },
  };
}

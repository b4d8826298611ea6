import type { Dispatcher, Place } from "./dispatcher.ts";

/**
 * Every subscriber gets every event, or those its `selector` chooses; all go at the pace of the slowest
 * (GenStage.BroadcastDispatcher). Who joins later gets what is dispatched from then on.
 */
export function broadcastDispatcher<Event>(): Dispatcher<Event> {
  const subscribers = new Map<Place<Event>, ((event: Event) => boolean) | undefined>();
  let demand = 0;

  function updateDemand(): void {
    demand = subscribers.size === 0 ? 0 : Number.POSITIVE_INFINITY;
    for (const place of subscribers.keys()) demand = Math.min(demand, place.demand);
  }

  return {
    get demand() {
      return demand;
    },
    kept: 0,
    join(place, options) {
      subscribers.set(place, options.selector);
      updateDemand();
    },
    ask(place, count) {
      place.demand += count;
      updateDemand();
    },
    leave(place) {
      place.demand = 0;
      subscribers.delete(place);
      updateDemand();
      // What it received and did not begin with, the others have received too.
      return [];
    },
    takeKept: () => [],
    dispatch(events) {
      for (const [place, selector] of subscribers) {
        const chosen = selector === undefined ? events.slice() : events.filter(selector);
        place.demand -= chosen.length;
        if (chosen.length > 0) place.receive(chosen);
      }
      updateDemand();
    },
  };
}

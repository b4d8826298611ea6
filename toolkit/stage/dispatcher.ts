/**
 * Who gets which event. A dispatcher is arithmetic on the demand of its subscribers: it knows no stages, no time and
 * no promises, and its tests feed it plain data.
 *
 * The contract, after GenStage.Dispatcher (hexdocs.pm/gen_stage/GenStage.Dispatcher.html):
 *
 * - `demand` says how many events it can take. `dispatch` is never given more.
 * - No subscriber ever receives more than it asked for.
 * - Every event given to `dispatch` is received by somebody (broadcast: by everybody whom it concerns), or kept for
 *   the one it belongs to until that one asks.
 * - Events reach a subscriber in the order they were dispatched.
 *
 * GenStage's dispatchers return how much demand to send upstream. Here the stage derives it from `demand`, less
 * what it holds and has already asked for; that is the same number, and cancelled demand needs no account of its own.
 */
export interface Dispatcher<Event> {
  /** Events that may be dispatched now. Never negative. */
  readonly demand: number;
  /** Events dispatched and kept until their subscriber asks. */
  readonly kept: number;
  /** A subscriber comes, with no demand yet. Throws a RangeError if the options name no free place. */
  join(place: Place<Event>, options: PlaceOptions<Event>): void;
  /** The subscriber can take `count` more events. */
  ask(place: Place<Event>, count: number): void;
  /**
   * The subscriber goes. `undelivered` are events it received and never began with; the result are those of them
   * that anybody may have instead, to be dispatched before all others.
   */
  leave(place: Place<Event>, undelivered: Event[]): Event[];
  /** Takes back what is kept, each subscriber's in order. */
  takeKept(): Event[];
  /** Hands out events; at most `demand` of them. The array is the dispatcher's from then on. */
  dispatch(events: Event[]): void;
}

/** A subscriber, as a dispatcher sees it. */
export interface Place<Event> {
  /** Asked for and not yet received. Kept by the dispatcher; others only read it. */
  demand: number;
  /** Takes events in; the array is the subscriber's from then on. Must not call the dispatcher back. */
  receive(events: Event[]): void;
}

export interface PlaceOptions<Event> {
  /** Broadcast: only events for which it holds are received, and only they use up demand. */
  readonly selector?: (event: Event) => boolean;
  /** Partition: the number of the partition, from 0. Each has one subscriber. */
  readonly partition?: number;
}

/** Makes a dispatcher; a stage keeps one. */
export type DispatcherFactory<Event> = () => Dispatcher<Event>;

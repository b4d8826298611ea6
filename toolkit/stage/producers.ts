/**
 * The two producers that programs need most besides their own.
 *
 * ```ts
 * const orders = startQueue<Order>({ name: "orders", capacity: 100 });
 * const taken = orders.offer(arrived);           // fewer than arrived.length: say no to the rest
 *
 * const pages = startRateLimited({ name: "pages", take: (count) => nextPages(count), limit: { allowed: 10, intervalMs: 1_000 } });
 * pages.setLimit({ allowed: 50, intervalMs: 1_000 });
 * ```
 */
import { type Clock, systemClock, type Timer } from "../pipeline/clock.ts";
import { ChunkQueue } from "./chunk-queue.ts";
import { isThenable } from "./inlet.ts";
import { type RateLimit, RateLimiter } from "./rate-limiter.ts";
import { type Producer, type ProducerOptions, startProducer } from "./stage.ts";

/** What they share with every producer. They send only what was asked for, so that no event ever needs dropping. */
type Common<Event> = Omit<ProducerOptions<Event>, "handleDemand" | "bufferSize" | "bufferKeep">;
const neverDrops = { bufferSize: Number.POSITIVE_INFINITY };

export interface Queue<Event> extends Producer<Event> {
  /**
   * Takes as many of these events as there is room for, the first ones first, and returns how many. What it did not
   * take is the caller's: to be offered again, refused, or left where it is. Nothing is ever dropped: what was taken
   * before the queue was stopped is still sent, as it is asked for. After that nothing is taken.
   */
  offer(events: readonly Event[]): number;
  /** Taken, and not asked for yet. At most `capacity`. */
  readonly waiting: number;
}

export interface QueueOptions<Event> extends Common<Event> {
  /** Events that may wait for demand. Minimum 0: only what somebody waits for is taken. */
  readonly capacity: number;
}

/** A buffering producer: events that come by themselves wait for demand, and demand that cannot be met waits for events. */
export function startQueue<Event>({ capacity, ...options }: QueueOptions<Event>): Queue<Event> {
  if (!(capacity >= 0)) throw new RangeError(`capacity must be at least 0, got ${capacity}`);
  const queue = new ChunkQueue<Event>();
  let wanted = 0;
  let isStopped = false;
  // Invariant: one of `wanted` and the queue's length is 0.
  function next(): Event[] {
    const events = queue.take(wanted);
    wanted -= events.length;
    return events;
  }
  const producer = startProducer<Event>({
    ...options,
    ...neverDrops,
    handleDemand(count) {
      wanted += count;
      return next();
    },
  });
  return {
    name: producer.name,
    outlet: producer.outlet,
    done: producer.done,
    stop() {
      isStopped = true;
      // The outlet ends when somebody has taken them.
      producer.emit(queue.take(queue.length));
      producer.stop();
    },
    offer(events) {
      if (isStopped) return 0;
      const taken = Math.min(events.length, wanted + capacity - queue.length);
      if (taken <= 0) return 0;
      queue.push(events.slice(0, taken));
      producer.emit(next());
      return taken;
    },
    get waiting() {
      return isStopped ? producer.outlet.waiting : queue.length;
    },
  };
}

export interface RateLimited<Event> extends Producer<Event> {
  /** From now on; what was sent in the running interval still counts. Undefined lifts the limit. */
  setLimit(limit: RateLimit | undefined): void;
}

export interface RateLimitedOptions<Event> extends Common<Event> {
  /**
   * Up to `count` events. If it gives fewer, the rest stays owed and is asked for again in the next interval (without
   * a limit: with the next demand). Not called again while a returned promise is pending.
   */
  take(count: number): Event[] | Promise<Event[]>;
  readonly limit: RateLimit | undefined;
  readonly clock?: Clock;
}

/** A producer that sends no more than `allowed` events in an interval, however much is wanted. */
export function startRateLimited<Event>(options: RateLimitedOptions<Event>): RateLimited<Event> {
  const { take, limit, clock = systemClock, ...rest } = options;
  const limiter = new RateLimiter(clock, limit);
  let isLimited = limit !== undefined;
  let wanted = 0;
  let isBusy = false;
  let isStopped = false;
  let timer: Timer | undefined;

  function produced(events: Event[]): Event[] {
    limiter.arrived(events.length);
    wanted = Math.max(0, wanted - events.length);
    if (wanted > 0 && isLimited && !isStopped) {
      timer ??= clock.setTimer(() => {
        timer = undefined;
        producer.wake();
      }, limiter.waitMs);
    }
    return events;
  }
  /** What may be sent now; undefined while it is being fetched. */
  function next(): Event[] | Promise<Event[]> | undefined {
    if (isBusy) return undefined;
    const count = Math.min(wanted, limiter.allowance(0));
    const events = count > 0 ? take(count) : [];
    if (!isThenable(events)) return produced(events);
    isBusy = true;
    return events.then((fetched) => {
      isBusy = false;
      return produced(fetched);
    });
  }
  const producer = startProducer<Event>({
    ...rest,
    ...neverDrops,
    handleDemand(count) {
      wanted += count;
      return next();
    },
  });
  return {
    name: producer.name,
    outlet: producer.outlet,
    done: producer.done,
    setLimit(changed) {
      limiter.set(changed);
      isLimited = changed !== undefined;
      timer?.cancel();
      timer = undefined;
      producer.wake();
    },
    stop() {
      isStopped = true;
      timer?.cancel();
      producer.stop();
    },
  };
}

/**
 * Stages exchange events under demand: nothing is sent that was not asked for.
 *
 * A producer makes events, a consumer uses them up, a producer-consumer does both. Demand flows up, events flow down:
 *
 * ```ts
 * const numbers = startProducer({ name: "numbers", handleDemand: (count) => nextNumbers(count) });
 * const squares = startProducerConsumer({ name: "squares", handleEvents: (ns) => ns.map((n) => n * n) });
 * const printer = startConsumer({ name: "printer", handleEvents: (ns) => print(ns) });
 * subscribe({ consumer: squares, to: numbers, maxDemand: 100 });
 * subscribe({ consumer: printer, to: squares, maxDemand: 10, minDemand: 5 });
 * ```
 *
 * These are GenStage's ideas (hexdocs.pm/gen_stage/GenStage.html) and its words. The one difference: a stage here is not
 * a process but takes turns with the others on Node's one thread (`scheduler.ts`), and a handler that returns a promise
 * is waited for while others run.
 */
import type { Telemetry } from "../telemetry/telemetry.ts";
import { demandDispatcher } from "./demand-dispatcher.ts";
import type { DispatcherFactory, PlaceOptions } from "./dispatcher.ts";
import { Inlet, isThenable } from "./inlet.ts";
import { Outlet } from "./outlet.ts";
import { type Scheduler, sharedScheduler, type Task } from "./scheduler.ts";
import type { DemandOptions, Subscription } from "./subscription.ts";

interface StageOptions {
  /** For telemetry and errors. */
  readonly name: string;
  /** Default: one for all stages of the process. */
  readonly scheduler?: Scheduler;
  readonly telemetry?: Telemetry;
}

export interface ProducerOptions<Out> extends StageOptions {
  /**
   * `count` more events are wanted. Returns some, all, or none of them; the rest stays owed and can be sent with `emit`
   * whenever it is there. While a returned promise is pending it is not called again; demand adds up meanwhile.
   */
  handleDemand?(count: number): Out[] | undefined | Promise<Out[] | undefined>;
  /** Who gets which event. Default `demandDispatcher`. */
  readonly dispatcher?: DispatcherFactory<Out>;
  /** Events kept when more are emitted than are wanted. Default 10,000. */
  readonly bufferSize?: number;
  /** Which stay when it is full: the oldest or the newest. Default `last`. What goes is told to telemetry. */
  readonly bufferKeep?: "first" | "last";
}

export interface ConsumerOptions<In> extends StageOptions {
  /** Uses events up, in the order they came. Throwing or rejecting crashes the stage. */
  handleEvents(events: readonly In[], subscription: Subscription<In>): void | Promise<void>;
}

export interface ProducerConsumerOptions<In, Out> extends StageOptions {
  /** Turns events into others: any number, also none. It is called only while there is demand for what it makes. */
  handleEvents(events: readonly In[], subscription: Subscription<In>): Out[] | Promise<Out[]>;
  readonly dispatcher?: DispatcherFactory<Out>;
}

export interface Stage {
  readonly name: string;
  /** Resolves when the stage ended, rejects when it crashed. */
  readonly done: Promise<void>;
  /**
   * Ends the stage: a consumer leaves its producers, a producer sends what it has and what a `handleDemand` that has not
   * answered yet still brings, and no more. That one must settle, or the stage never ends.
   */
  stop(): void;
}

export interface Producer<Out> extends Stage {
  readonly outlet: Outlet<Out>;
}

export interface Emitter<Out> extends Producer<Out> {
  /** Sends events now; what is not wanted waits in the buffer, within its bounds. */
  emit(events: Out[]): void;
  /** Has `handleDemand` called once more, with 0 if nothing new is wanted: what it waited for has come. */
  wake(): void;
}

export interface Consumer<In> extends Stage {
  readonly inlet: Inlet<In>;
}

/** A producer. A crash of `handleDemand` crashes the stage, and consumers that subscribed to it for good. */
export function startProducer<Out>(options: ProducerOptions<Out>): Emitter<Out> {
  const { name, handleDemand, telemetry, scheduler = sharedScheduler } = options;
  const life = lifeOf();
  let wanted = 0;
  let isWoken = false;
  /** `handleDemand` was called and has not answered yet. */
  let isBusy = false;
  let isStopping = false;
  const outlet = new Outlet<Out>({
    name,
    dispatcher: options.dispatcher ?? demandDispatcher,
    onDemand(count) {
      wanted += count;
      scheduler.schedule(task);
    },
    bufferSize: options.bufferSize ?? 10_000,
    bufferKeep: options.bufferKeep ?? "last",
    telemetry,
  });
  const task: Task = {
    scheduled: false,
    run() {
      if (isBusy || isStopping || life.isOver() || handleDemand === undefined) return 0;
      if (wanted === 0 && !isWoken) return 0;
      const count = wanted;
      wanted = 0;
      isWoken = false;
      isBusy = true;
      try {
        const events = handleDemand(count);
        if (isThenable(events)) {
          events.then(produced, crash);
          return 0;
        }
        produced(events);
        return events?.length ?? 0;
      } catch (error) {
        crash(error);
        return 0;
      }
    },
  };
  function produced(events: Out[] | undefined): void {
    isBusy = false;
    if (life.isOver()) return;
    if (events !== undefined) outlet.emit(events);
    if (isStopping) end();
    else if (wanted > 0 || isWoken) scheduler.schedule(task);
  }
  function end(): void {
    if (life.succeed()) outlet.end();
  }
  function crash(error: unknown): void {
    // Of a stage that was told to end, consumers finish what they hold; who waits for its end hears why.
    if (life.fail(error)) outlet.end(isStopping ? undefined : error);
  }
  return {
    name,
    outlet,
    done: life.done,
    emit: (events) => outlet.emit(events),
    wake() {
      isWoken = true;
      scheduler.schedule(task);
    },
    stop() {
      isStopping = true;
      // What is still being made was taken from somewhere: it is sent, and then the stage ends.
      if (!isBusy) end();
    },
  };
}

/** A consumer. What it had not begun with when it crashed goes to the producer's other consumers. */
export function startConsumer<In>(options: ConsumerOptions<In>): Consumer<In> {
  const { name, telemetry, scheduler = sharedScheduler } = options;
  const life = lifeOf();
  const inlet = new Inlet<In>({
    name,
    scheduler,
    telemetry,
    handle: (events, subscription) => options.handleEvents(events, subscription),
    onCrash(error) {
      if (life.fail(error)) inlet.close();
    },
    onEnd: stop,
  });
  function stop(): void {
    if (life.succeed()) inlet.close();
  }
  return { name, inlet, done: life.done, stop };
}

/** A producer-consumer: takes events in only while what it makes is wanted, so that demand reaches through it. */
export function startProducerConsumer<In, Out>(
  options: ProducerConsumerOptions<In, Out>,
): Producer<Out> & Consumer<In> {
  const { name, telemetry, scheduler = sharedScheduler } = options;
  const life = lifeOf();
  const outlet = new Outlet<Out>({
    name,
    dispatcher: options.dispatcher ?? demandDispatcher,
    onDemand: () => inlet.wake(),
    telemetry,
  });
  const inlet: Inlet<In> = new Inlet<In>({
    name,
    scheduler,
    telemetry,
    isOpen: () => outlet.room > 0,
    handle(events, subscription) {
      const made = options.handleEvents(events, subscription);
      if (isThenable(made)) return made.then((events) => outlet.emit(events));
      outlet.emit(made);
      return undefined;
    },
    onCrash(error) {
      if (!life.fail(error)) return;
      inlet.close();
      outlet.end(error);
    },
    onEnd: stop,
  });
  function stop(): void {
    if (!life.succeed()) return;
    inlet.close();
    outlet.end();
  }
  return { name, outlet, inlet, done: life.done, stop };
}

/** Subscribes a consumer to a producer. The subscription asks, by itself or by hand, and can be cancelled. */
export function subscribe<Event>(
  options: { readonly consumer: Consumer<Event>; readonly to: Producer<Event> } & DemandOptions &
    PlaceOptions<Event>,
): Subscription<Event> {
  return options.consumer.inlet.subscribe(options.to.outlet, options);
}

/** `done`, settled once. `succeed` and `fail` say whether it was this call that did it. */
function lifeOf() {
  let over = false;
  let resolve: () => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const done = new Promise<void>((resolved, rejected) => {
    resolve = resolved;
    reject = rejected;
  });
  return {
    done,
    isOver: () => over,
    succeed(): boolean {
      if (over) return false;
      over = true;
      resolve();
      return true;
    },
    fail(error: unknown): boolean {
      if (over) return false;
      over = true;
      reject(error);
      return true;
    },
  };
}

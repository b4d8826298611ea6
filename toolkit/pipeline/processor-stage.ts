import { demandDispatcher } from "../stage/demand-dispatcher.ts";
import type { DispatcherFactory } from "../stage/dispatcher.ts";
import { Inlet, isThenable } from "../stage/inlet.ts";
import { Outlet } from "../stage/outlet.ts";
import type { Scheduler } from "../stage/scheduler.ts";
import type { Account } from "./account.ts";
import type { AnyMessage } from "./message.ts";
import type { Plan } from "./options.ts";

export interface ProcessorOptions {
  readonly name: string;
  readonly plan: Plan;
  readonly scheduler: Scheduler;
  readonly account: Account;
  readonly source: Outlet<AnyMessage>;
  /** Number of the partition, where messages are processed by key. */
  readonly partition: number | undefined;
  /** Who gets a processed message: a lane each. Undefined where there is one lane in all. */
  readonly dispatcher: DispatcherFactory<AnyMessage> | undefined;
  /** Batchers by name; each says to which lane a message belongs. */
  readonly routes: ReadonlyMap<string, (message: AnyMessage) => number>;
  readonly onFailed: (messages: AnyMessage[]) => void;
  readonly onCrash: (error: unknown) => void;
  /** A retired processor has come to rest. */
  readonly onRetired: () => void;
}

/**
 * One processor: one message at a time through `process`, without a promise where the handler returns none.
 *
 * What is done is sent on also while a promise is waited for: a fast message never waits for a slow one that came after
 * it in the same chunk.
 */
export class Processor {
  readonly inlet: Inlet<AnyMessage>;
  readonly outlet: Outlet<AnyMessage>;
  readonly #options: ProcessorOptions;
  readonly #process: (message: AnyMessage) => unknown;
  /** Name of the batcher, where there is one with one lane: nothing is to be looked up then. */
  readonly #onlyBatcher: string | undefined;
  #isRetired = false;
  /** Of an asynchronous handler: what is done and not yet sent on. */
  #done: AnyMessage[] = [];
  #doneFailed: AnyMessage[] | undefined;
  #isSendingOn = false;

  constructor(options: ProcessorOptions) {
    const { plan, name, scheduler, routes } = options;
    this.#options = options;
    this.#process = plan.process;
    this.#onlyBatcher = options.dispatcher === undefined ? [...routes.keys()][0] : undefined;
    this.outlet = new Outlet<AnyMessage>({
      name,
      dispatcher: options.dispatcher ?? demandDispatcher,
      onDemand: () => {},
      telemetry: plan.telemetry,
    });
    this.inlet = new Inlet<AnyMessage>({
      name,
      scheduler,
      handle: (messages) => this.#handle(messages),
      onCrash: options.onCrash,
      onEnd: () => {},
      telemetry: plan.telemetry,
    });
  }

  /** Begins to take messages. Its batchers must have subscribed before. */
  start(): void {
    const { maxDemand, minDemand } = this.#options.plan.processors;
    const { partition, source } = this.#options;
    this.inlet.subscribe(source, { maxDemand, minDemand, ...(partition === undefined ? {} : { partition }) });
  }

  get isBusy(): boolean {
    return this.inlet.isBusy;
  }

  /** Takes no more messages; those it had not begun with go back. `onRetired` is called when its handler rests. */
  retire(): void {
    this.#isRetired = true;
    this.inlet.close();
    if (!this.isBusy) this.#options.onRetired();
  }

  /** The synchronous path, and where it ends: at the first promise. */
  #handle(messages: AnyMessage[]): Promise<void> | undefined {
    const process = this.#process;
    const { account } = this.#options;
    let failed: AnyMessage[] | undefined;
    let revoked = 0;
    // Messages that go on are moved to the front of the array they came in.
    let kept = 0;
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i] as AnyMessage;
      if (message.assignment.revoked) {
        revoked++;
        continue;
      }
      // It can have failed before: `partitionBy` threw.
      if (message.failure === undefined) {
        try {
          const result = process(message);
          if (result !== message) {
            if (isThenable(result)) {
              account.isAsync = true;
              account.dropped(revoked);
              this.#pass(messages.slice(0, kept), failed);
              return this.#handleAsync(message, result, messages.slice(i + 1));
            }
            message.fail(notTheMessage(result));
          }
        } catch (error) {
          message.fail(error);
        }
      }
      if (this.#isPassing(message)) messages[kept++] = message;
      else if (failed === undefined) failed = [message];
      else failed.push(message);
    }
    if (kept < messages.length) messages.length = kept;
    account.dropped(revoked);
    this.#pass(messages, failed);
    return undefined;
  }

  async #handleAsync(first: AnyMessage, pending: PromiseLike<unknown>, rest: AnyMessage[]): Promise<void> {
    const { account, source } = this.#options;
    // By key the rest of the chunk must not be overtaken: it is finished here.
    const mayPutBack = this.#options.partition === undefined;
    let message = first;
    let result: unknown = pending;
    let next = 0;
    for (;;) {
      if (isThenable(result)) {
        this.#sendOnSoon();
        try {
          result = await result;
        } catch (error) {
          result = message.fail(error);
        }
      }
      if (result !== message) message.fail(notTheMessage(result));
      if (this.#isPassing(message)) this.#done.push(message);
      else if (this.#doneFailed === undefined) this.#doneFailed = [message];
      else this.#doneFailed.push(message);

      while (rest[next]?.assignment.revoked === true) {
        account.dropped(1);
        next++;
      }
      if (next >= rest.length || account.isClosed || (this.#isRetired && mayPutBack)) break;
      message = rest[next++] as AnyMessage;
      result = message.failure === undefined ? this.#call(message) : message;
    }
    this.#sendOn();
    if (!this.#isRetired) return;
    if (next < rest.length) source.putBack(rest.slice(next));
    this.#options.onRetired();
  }

  /**
   * Sends on what is done as soon as no promise is left that can go on by itself: a handler whose promises are settled
   * (a cache, a lock that was free) has its messages go on together, and one that waits for a socket keeps nothing up.
   */
  #sendOnSoon(): void {
    if (this.#isSendingOn || (this.#done.length === 0 && this.#doneFailed === undefined)) return;
    this.#isSendingOn = true;
    // Ticks come after the promises that are settled, and before the event loop looks at its sockets.
    process.nextTick(() => {
      this.#isSendingOn = false;
      this.#sendOn();
    });
  }

  #sendOn(): void {
    const done = this.#done;
    const failed = this.#doneFailed;
    this.#done = [];
    this.#doneFailed = undefined;
    this.#pass(done, failed);
  }

  #call(message: AnyMessage): unknown {
    try {
      return this.#process(message);
    } catch (error) {
      return message.fail(error);
    }
  }

  /** Whether the message goes on to a batcher; if so its lane is set, if not it has failed. */
  #isPassing(message: AnyMessage): boolean {
    if (message.failure !== undefined) return false;
    if (message.batcher === this.#onlyBatcher) return true;
    const laneOf = this.#options.routes.get(message.batcher);
    if (laneOf === undefined) {
      const names = [...this.#options.routes.keys()].map((name) => `"${name}"`).join(", ");
      message.fail(new RangeError(`there is no batcher "${message.batcher}", only ${names}`));
      return false;
    }
    try {
      message.lane = laneOf(message);
      return true;
    } catch (error) {
      message.fail(error);
      return false;
    }
  }

  #pass(passing: AnyMessage[], failed: AnyMessage[] | undefined): void {
    if (passing.length > 0) this.outlet.emit(passing);
    if (failed !== undefined) this.#options.onFailed(failed);
  }
}

function notTheMessage(result: unknown): TypeError {
  const got = result === undefined ? "nothing" : typeof result;
  return new TypeError(`process must return the message it was given, and returned ${got}`);
}

import { demandDispatcher } from "../stage/demand-dispatcher.ts";
import type { DispatcherFactory } from "../stage/dispatcher.ts";
import { Inlet, isThenable, unfinished } from "../stage/inlet.ts";
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
 * One processor: one message at a time through `process`, without a promise where the handler returns none, and with
 * none but its own where it does: an `async` function here would add two promises to each, and their garbage.
 *
 * What is done is sent on also while a promise is waited for: a fast message never waits for a slow one that came after
 * it in the same chunk.
 *
 * Invariant: `#chunk` is one whose handler has returned a promise, for the message before `#next`. Of those before that,
 * the ones that have not failed are at the front, up to `#kept`, and the ones up to `#sent` have gone on.
 */
export class Processor {
  readonly inlet: Inlet<AnyMessage>;
  readonly outlet: Outlet<AnyMessage>;
  readonly #options: ProcessorOptions;
  readonly #process: (message: AnyMessage) => unknown;
  /** Name of the batcher, where there is one with one lane: nothing is to be looked up then. */
  readonly #onlyBatcher: string | undefined;
  #isRetired = false;
  #chunk: AnyMessage[] = [];
  #next = 0;
  #kept = 0;
  #sent = 0;
  /** Of the chunk, and not yet sent on. */
  #failed: AnyMessage[] | undefined;
  #isSendingOn = false;
  readonly #fulfilled = (result: unknown) => this.#settled(this.#awaited, result);
  readonly #rejected = (error: unknown) => this.#settled(this.#awaited, this.#awaited.fail(error));
  readonly #tick = () => {
    this.#isSendingOn = false;
    this.#sendOn();
  };

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

  get #awaited(): AnyMessage {
    return this.#chunk[this.#next - 1] as AnyMessage;
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

  #handle(messages: AnyMessage[]): typeof unfinished | undefined {
    return this.#work(messages, 0, 0) ? undefined : unfinished;
  }

  /** Goes on with the chunk: to its end, and sends it on (true), or to the next promise (false). */
  #work(chunk: AnyMessage[], next: number, done: number): boolean {
    const process = this.#process;
    const { account } = this.#options;
    let kept = done;
    let revoked = 0;
    for (let i = next; i < chunk.length; i++) {
      const message = chunk[i] as AnyMessage;
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
              this.#chunk = chunk;
              this.#next = i + 1;
              this.#kept = kept;
              account.isAsync = true;
              account.dropped(revoked);
              revoked = 0;
              this.#await(result);
              return false;
            }
            message.fail(notTheMessage(result));
          }
        } catch (error) {
          message.fail(error);
        }
      }
      if (this.#isPassing(message)) chunk[kept++] = message;
      else this.#addFailed(message);
    }
    account.dropped(revoked);
    this.#endChunk(chunk, chunk.length, kept);
    return true;
  }

  #await(result: PromiseLike<unknown>): void {
    this.#sendOnSoon();
    // A promise stays what it is; another thing with a `then` becomes one, which calls back once and never at once.
    Promise.resolve(result).then(this.#fulfilled, this.#rejected);
  }

  /** The promise is settled that was given for `message`, the one before `#next`. */
  #settled(message: AnyMessage, result: unknown): void {
    const { account, partition } = this.#options;
    try {
      if (result !== message) message.fail(notTheMessage(result));
      if (this.#isPassing(message)) this.#chunk[this.#kept++] = message;
      else this.#addFailed(message);
      // By key the rest of the chunk must not be overtaken: it is finished here.
      if (account.isClosed || (this.#isRetired && partition === undefined))
        this.#endChunk(this.#chunk, this.#next, this.#kept);
      else if (!this.#work(this.#chunk, this.#next, this.#kept)) return;
      this.inlet.finish();
    } catch (error) {
      this.inlet.crash(error);
    }
  }

  #addFailed(message: AnyMessage): void {
    if (this.#failed === undefined) this.#failed = [message];
    else this.#failed.push(message);
  }

  /**
   * Sends on what is done as soon as no promise is left that can go on by itself: a handler whose promises are settled
   * (a cache, a lock that was free) has its messages go on together, and one that waits for a socket keeps nothing up.
   */
  #sendOnSoon(): void {
    if (this.#isSendingOn || (this.#kept === this.#sent && this.#failed === undefined)) return;
    this.#isSendingOn = true;
    // Ticks come after the promises that are settled, and before the event loop looks at its sockets.
    process.nextTick(this.#tick);
  }

  #sendOn(): void {
    const done = this.#chunk.slice(this.#sent, this.#kept);
    this.#sent = this.#kept;
    this.#pass(done);
  }

  /** Sends on all that is done; what was not begun with goes back, where the processor has retired. */
  #endChunk(chunk: AnyMessage[], next: number, kept: number): void {
    const left = next < chunk.length ? chunk.slice(next) : undefined;
    // Messages that go on are at the front of the array they came in, and it goes on itself.
    if (kept < chunk.length) chunk.length = kept;
    const done = this.#sent === 0 ? chunk : chunk.slice(this.#sent);
    if (chunk === this.#chunk) {
      this.#chunk = nothing;
      this.#next = 0;
      this.#kept = 0;
      this.#sent = 0;
    }
    this.#pass(done);
    if (!this.#isRetired) return;
    if (left !== undefined) this.#options.source.putBack(left);
    this.#options.onRetired();
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

  #pass(done: AnyMessage[]): void {
    const failed = this.#failed;
    this.#failed = undefined;
    if (done.length > 0) this.outlet.emit(done);
    if (failed !== undefined) this.#options.onFailed(failed);
  }
}

const nothing: AnyMessage[] = [];

function notTheMessage(result: unknown): TypeError {
  const got = result === undefined ? "nothing" : typeof result;
  return new TypeError(`process must return the message it was given, and returned ${got}`);
}

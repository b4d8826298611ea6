import type { AnyMessage } from "./message.ts";
import type { Batch } from "./pipeline.ts";

export type Trigger = Batch<unknown>["trigger"];

/** A batch on its way to a writer. Invariant: `messages` does not change. */
export class GatheredBatch implements Batch<unknown> {
  readonly messages: readonly AnyMessage[];
  readonly batcher: string;
  readonly key: string | undefined;
  readonly trigger: Trigger;
  #values: unknown[] | undefined;

  constructor(messages: readonly AnyMessage[], batcher: string, key: string | undefined, trigger: Trigger) {
    this.messages = messages;
    this.batcher = batcher;
    this.key = key;
    this.trigger = trigger;
  }

  get values(): readonly unknown[] {
    this.#values ??= this.messages.map((message) => message.value);
    return this.#values;
  }

  /** The same batch with other messages. */
  with(messages: readonly AnyMessage[], trigger: Trigger = this.trigger): GatheredBatch {
    return new GatheredBatch(messages, this.batcher, this.key, trigger);
  }
}

import type { Telemetry } from "../telemetry/telemetry.ts";
import type { AnyMessage } from "./message.ts";
import type { Source } from "./source.ts";

export interface AccountOptions {
  readonly pipeline: string;
  readonly source: Source<unknown, unknown>;
  readonly telemetry: Telemetry;
  /** Places in flight became free. */
  readonly onFreed: () => void;
}

/**
 * Where every message of a pipeline is counted, once in and once out.
 *
 * Invariant: pulled = written + failed + revoked + inFlight. A message leaves by `written` or `failed`, which
 * acknowledge it, or by `revoked`, which does not; after `close` nothing leaves any more: what is in flight then is
 * handed back.
 */
export class Account {
  pulled = 0;
  written = 0;
  failed = 0;
  revoked = 0;
  inFlight = 0;
  /** In flight for ever: failed, and there is no failed handler. */
  stranded = 0;
  /** `process` has returned a promise: messages come one by one, as these are settled. */
  isAsync = false;
  isClosed = false;
  readonly #source: Source<unknown, unknown>;
  readonly #pipeline: string;
  readonly #onFreed: () => void;
  readonly #acknowledged;
  readonly #pulled;
  readonly #revoked;

  constructor(options: AccountOptions) {
    this.#source = options.source;
    this.#pipeline = options.pipeline;
    this.#onFreed = options.onFreed;
    this.#acknowledged = options.telemetry.channel("pipeline.acknowledged");
    this.#pulled = options.telemetry.channel("pipeline.pulled");
    this.#revoked = options.telemetry.channel("messages.revoked");
  }

  came(count: number): void {
    this.pulled += count;
    this.inFlight += count;
    if (this.#pulled.active) {
      this.#pulled.emit({ pipeline: this.#pipeline, messages: count, inFlight: this.inFlight });
    }
  }

  /** These are written, or their failure is stored. Those whose partition went meanwhile are not acknowledged. */
  finished(messages: readonly AnyMessage[], how: "written" | "failed"): void {
    if (this.isClosed) return;
    let owned = messages;
    for (const message of messages) {
      if (!message.assignment.revoked) continue;
      owned = messages.filter((one) => !one.assignment.revoked);
      break;
    }
    if (owned.length < messages.length) this.dropped(messages.length - owned.length);
    if (owned.length === 0) return;
    this[how] += owned.length;
    this.inFlight -= owned.length;
    this.#source.acknowledge(owned);
    if (this.#acknowledged.active) {
      this.#acknowledged.emit({ pipeline: this.#pipeline, messages: owned.length, inFlight: this.inFlight });
    }
    this.#onFreed();
  }

  /** The partitions of `count` messages were revoked before they were finished. */
  dropped(count: number): void {
    if (this.isClosed || count === 0) return;
    this.revoked += count;
    this.inFlight -= count;
    if (this.#revoked.active) this.#revoked.emit({ pipeline: this.#pipeline, messages: count });
    this.#onFreed();
  }

  /** Messages whose partition is still ours; the others are dropped. The same array when that is all of them. */
  keepOwned<M extends AnyMessage>(messages: readonly M[]): readonly M[] {
    for (const message of messages) {
      if (!message.assignment.revoked) continue;
      const owned = messages.filter((one) => !one.assignment.revoked);
      this.dropped(messages.length - owned.length);
      return owned;
    }
    return messages;
  }
}

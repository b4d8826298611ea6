/**
 * Typed events for whoever wants to watch: metrics, logs, tests. Watching changes nothing: a listener runs at the
 * place of the event and must be quick; one that throws is removed with a process warning.
 *
 * Cost when nobody listens: one property read. Who emits keeps the channel and asks it first:
 *
 * ```ts
 * const written = telemetry.channel("batch.written");
 * if (written.active) written.emit({ batcher, messages: batch.length, durationMs });
 * ```
 */
import type { Events } from "./events.ts";

export type EventName = keyof Events;

export interface Channel<Event> {
  /** True while anybody listens. Building the event is worth its cost only then. */
  readonly active: boolean;
  emit(event: Event): void;
}

export interface Telemetry {
  channel<Name extends EventName>(name: Name): Channel<Events[Name]>;
  /** Listens from now on; the result ends it. */
  on<Name extends EventName>(name: Name, listener: (event: Events[Name]) => void): () => void;
}

export function createTelemetry(): Telemetry {
  const channels = new Map<EventName, ListenedChannel<never>>();

  function channelOf<Name extends EventName>(name: Name): ListenedChannel<Events[Name]> {
    let channel = channels.get(name);
    if (channel === undefined) {
      channel = listenedChannel<never>(name);
      channels.set(name, channel);
    }
    return channel as unknown as ListenedChannel<Events[Name]>;
  }

  return {
    channel: channelOf,
    on: (name, listener) => channelOf(name).listen(listener),
  };
}

interface ListenedChannel<Event> extends Channel<Event> {
  listen(listener: (event: Event) => void): () => void;
}

function listenedChannel<Event>(name: string): ListenedChannel<Event> {
  let listeners: readonly ((event: Event) => void)[] = [];
  const channel = {
    active: false,
    emit(event: Event): void {
      for (const listener of listeners) {
        try {
          listener(event);
        } catch (error) {
          remove(listener);
          process.emitWarning(`a listener of "${name}" threw and was removed: ${String(error)}`);
        }
      }
    },
    listen(listener: (event: Event) => void): () => void {
      const own = (event: Event) => listener(event);
      listeners = [...listeners, own];
      channel.active = true;
      return () => remove(own);
    },
  };
  function remove(listener: (event: Event) => void): void {
    listeners = listeners.filter((one) => one !== listener);
    channel.active = listeners.length > 0;
  }
  return channel;
}

/** For when nobody passed a telemetry: the same channels, to which nobody can have listened. */
export const silent: Telemetry = createTelemetry();

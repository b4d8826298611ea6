import type { Events } from "../telemetry/events.ts";
import type { EventName, Telemetry } from "../telemetry/telemetry.ts";

export interface Capture<Event> {
  /** In the order they were emitted. Grows while the capture runs. */
  readonly events: readonly Event[];
  stop(): void;
}

/** Keeps every event of one name from now on. */
export function captureEvents<Name extends EventName>(
  telemetry: Telemetry,
  name: Name,
): Capture<Events[Name]> {
  const events: Events[Name][] = [];
  const stop = telemetry.on(name, (event) => events.push(event));
  return { events, stop };
}

import { startConsumer, startProducer } from "./stage.ts";

/** 0, 1, 2, ... as many as are asked for, up to a last one; keeps what it was asked for. */
export function counter(last = Number.POSITIVE_INFINITY) {
  const asked: number[] = [];
  let next = 0;
  const producer = startProducer<number>({
    name: "counter",
    handleDemand(count) {
      asked.push(count);
      const events: number[] = [];
      while (events.length < count && next <= last) events.push(next++);
      if (next > last) queueMicrotask(() => producer.stop());
      return events;
    },
  });
  return { producer, asked };
}

/** Takes everything, and lets a test decide when a chunk is done. */
export function gated(name: string) {
  const got: number[] = [];
  const chunks: { readonly size: number; readonly finish: () => void }[] = [];
  const consumer = startConsumer<number>({
    name,
    handleEvents(events) {
      got.push(...events);
      return new Promise((finish) => chunks.push({ size: events.length, finish }));
    },
  });
  /** Ends the chunk in work, and returns how many events it had. */
  function finishOne(): number {
    const chunk = chunks.shift();
    chunk?.finish();
    return chunk?.size ?? 0;
  }
  return { consumer, got, finishOne };
}

export const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

/** A `handleDemand` that makes 0, 1, 2, ... up to `end`, and then says so. */
export function countTo(end: number, atEnd: () => void): (count: number) => number[] {
  let next = 0;
  return (count) => {
    const events = upTo(Math.min(count, end - next)).map((i) => next + i);
    next += events.length;
    if (next === end) atEnd();
    return events;
  };
}

import { Fifo } from "./fifo.ts";

/**
 * Events that wait, first in, first out, kept in the arrays they came in. Taking costs O(1) an event at most, and
 * nothing where a whole array fits.
 */
export class ChunkQueue<Event> {
  // Invariant: #length is the sum of the chunks' lengths less #taken, the events taken from the first of them.
  readonly #chunks = new Fifo<Event[]>();
  #taken = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The array is the queue's from then on. */
  push(events: Event[]): void {
    if (events.length === 0) return;
    this.#chunks.push(events);
    this.#length += events.length;
  }

  /** Puts events before all others; they come out first. */
  unshift(events: Event[]): void {
    if (events.length === 0) return;
    const first = this.#chunks.peek();
    if (first !== undefined && this.#taken > 0) {
      this.#chunks.shift();
      this.#chunks.unshift(first.slice(this.#taken));
      this.#taken = 0;
    }
    this.#chunks.unshift(events);
    this.#length += events.length;
  }

  /** The first `count` events (all, if there are fewer), as an array the caller may keep and change. */
  take(count: number): Event[] {
    const first = this.#chunks.peek();
    if (first === undefined || count <= 0) return [];
    const wanted = Math.min(count, this.#length);
    if (this.#taken === 0 && first.length === wanted) {
      this.#drop(first);
      return first;
    }
    const events: Event[] = [];
    while (events.length < wanted) {
      const chunk = this.#chunks.peek() as Event[];
      const start = this.#taken;
      const end = Math.min(chunk.length, start + wanted - events.length);
      for (let i = start; i < end; i++) events.push(chunk[i] as Event);
      if (end === chunk.length) {
        this.#drop(chunk);
      } else {
        this.#taken = end;
        this.#length -= end - start;
      }
    }
    return events;
  }

  /** Lets go of the first chunk, of which `#taken` events were taken before. */
  #drop(chunk: Event[]): void {
    this.#length -= chunk.length - this.#taken;
    this.#taken = 0;
    this.#chunks.shift();
  }
}

/**
 * Events that wait, first in, first out, kept in the arrays they came in. Taking costs O(1) an event at most, and
 * nothing where a whole array fits.
 */
export class ChunkQueue<Event> {
  // Invariant: #length is the sum of the lengths of #chunks from #head on, less #taken of the first.
  #chunks: Event[][] = [];
  #head = 0;
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
    this.#chunks = [events, ...this.#remaining()];
    this.#head = 0;
    this.#taken = 0;
    this.#length += events.length;
  }

  /** The first `count` events (all, if there are fewer), as an array the caller may keep and change. */
  take(count: number): Event[] {
    const first = this.#chunks[this.#head];
    if (first === undefined || count <= 0) return [];
    if (this.#taken === 0 && first.length === Math.min(count, this.#length)) {
      this.#drop(first.length);
      return first;
    }
    const wanted = Math.min(count, this.#length);
    const events: Event[] = [];
    while (events.length < wanted) {
      const chunk = this.#chunks[this.#head] as Event[];
      const end = Math.min(chunk.length, this.#taken + wanted - events.length);
      const start = this.#taken;
      for (let i = start; i < end; i++) events.push(chunk[i] as Event);
      this.#drop(end - start);
    }
    return events;
  }

  /** Removes what `keep` refuses, and returns how many that were. Order is kept. */
  retain(keep: (event: Event) => boolean): number {
    const before = this.#length;
    const kept = this.#remaining()
      .map((chunk) => chunk.filter(keep))
      .filter((chunk) => chunk.length > 0);
    this.#chunks = kept;
    this.#head = 0;
    this.#taken = 0;
    this.#length = kept.reduce((sum, chunk) => sum + chunk.length, 0);
    return before - this.#length;
  }

  #remaining(): Event[][] {
    const rest = this.#chunks.slice(this.#head);
    if (this.#taken > 0 && rest[0] !== undefined) rest[0] = rest[0].slice(this.#taken);
    return rest;
  }

  /** Steps over `count` events of the first chunk. */
  #drop(count: number): void {
    this.#length -= count;
    this.#taken += count;
    if (this.#taken < (this.#chunks[this.#head] as Event[]).length) return;
    this.#taken = 0;
    this.#head++;
    // Taken chunks are let go when they are half of the list: O(1) amortised.
    if (this.#head === this.#chunks.length) {
      this.#chunks.length = 0;
      this.#head = 0;
    } else if (this.#head >= 64 && this.#head * 2 >= this.#chunks.length) {
      this.#chunks.splice(0, this.#head);
      this.#head = 0;
    }
  }
}

/**
 * First in, first out, in a ring that only ever grows. Arrays that are filled and emptied again and again give their
 * memory back each time; on a path that is walked a million times a second that is most of the cost.
 *
 * Invariant: the items are at `#ring[(#head + i) & #mask]` for i from 0 to `length` - 1; all other places are undefined.
 */
export class Fifo<Item> {
  length = 0;
  #ring: (Item | undefined)[] = new Array(16).fill(undefined);
  #mask = 15;
  #head = 0;

  push(item: Item): void {
    if (this.length > this.#mask) this.#grow();
    this.#ring[(this.#head + this.length) & this.#mask] = item;
    this.length++;
  }

  /** The first item, which stays. */
  peek(): Item | undefined {
    return this.#ring[this.#head];
  }

  /** The first item, which goes. */
  shift(): Item | undefined {
    const item = this.#ring[this.#head];
    if (this.length === 0) return undefined;
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & this.#mask;
    this.length--;
    return item;
  }

  /** Puts an item before all others. */
  unshift(item: Item): void {
    if (this.length > this.#mask) this.#grow();
    this.#head = (this.#head - 1) & this.#mask;
    this.#ring[this.#head] = item;
    this.length++;
  }

  #grow(): void {
    const size = this.#ring.length;
    const ring: (Item | undefined)[] = new Array(2 * size).fill(undefined);
    for (let i = 0; i < this.length; i++) ring[i] = this.#ring[(this.#head + i) & this.#mask];
    this.#ring = ring;
    this.#mask = 2 * size - 1;
    this.#head = 0;
  }
}

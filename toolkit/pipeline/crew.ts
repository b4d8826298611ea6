/** One of several that do the same work. */
export interface Worker {
  readonly isBusy: boolean;
  start(): void;
  /** Begins nothing new; calls the `onRetired` it was made with when it is at rest, at once if it is now. */
  retire(): void;
}

export interface CrewOptions<W extends Worker> {
  /** `number` counts from 0 among those at work. */
  hire(number: number, onRetired: (worker: W) => void): W;
  /**
   * Set where each worker has a share of its own (a partition): the crew changes as a whole, once all are at rest,
   * and this is called in between with the new size.
   */
  reshare?(size: number): void;
}

/**
 * Workers whose number can change while they work.
 *
 * Invariant: workers and retired ones that are still busy together never exceed the size last asked for, once those
 * that were too many have finished.
 */
export class Crew<W extends Worker> {
  readonly #options: CrewOptions<W>;
  readonly #retiring = new Set<W>();
  #workers: W[] = [];
  #size = 0;
  #mustReshare = false;

  constructor(options: CrewOptions<W>) {
    this.#options = options;
  }

  get workers(): readonly W[] {
    return this.#workers;
  }

  resize(size: number): void {
    if (size === this.#size) return;
    this.#size = size;
    if (this.#options.reshare !== undefined) this.#mustReshare = true;
    while (this.#workers.length > (this.#mustReshare ? 0 : size)) this.#retireOne();
    this.#fill();
  }

  /** All go, for good. */
  dismiss(): void {
    this.#size = 0;
    while (this.#workers.length > 0) this.#retireOne();
  }

  #retireOne(): void {
    const idle = this.#workers.findLastIndex((worker) => !worker.isBusy);
    const [worker] = this.#workers.splice(idle === -1 ? this.#workers.length - 1 : idle, 1);
    if (worker === undefined) return;
    this.#retiring.add(worker);
    worker.retire();
  }

  #fill(): void {
    if (this.#size === 0) return;
    if (this.#mustReshare) {
      if (this.#retiring.size > 0 || this.#workers.length > 0) return;
      this.#mustReshare = false;
      this.#options.reshare?.(this.#size);
    }
    while (this.#workers.length + this.#retiring.size < this.#size) {
      const worker = this.#options.hire(this.#workers.length, (retired) => {
        if (this.#retiring.delete(retired)) this.#fill();
      });
      this.#workers.push(worker);
      worker.start();
    }
  }
}

import { Fifo } from "./fifo.ts";

/**
 * Turns for stages, on Node's one thread.
 *
 * A stage that has something to do is scheduled, and gets one turn (one chunk of events) at a time, first come, first
 * served. Turns follow one another without a promise or a timer between them, which is what makes an event cheap;
 * but after `sliceMs` the rest waits until the event loop has gone round, so that timers and sockets are served however
 * much work there is, also when the work is a chain of promises that are already resolved.
 *
 * Slices are measured with the real clock, never with a test's: they are about the machine, not about meaning.
 */

/** Something that can get a turn. `scheduled` belongs to the scheduler and starts as false. */
export interface Task {
  scheduled: boolean;
  /** One turn; returns how many events it handled. It must not throw: an error is a bug of the stage's code. */
  run(): number;
}

export interface Scheduler {
  /** Gives the task a turn. Nothing happens if it already waits for one. Safe to call from anywhere. */
  schedule(task: Task): void;
  /** Gives the task a turn once no other task waits: the end of what could be done with what was at hand. */
  whenIdle(task: Task): void;
}

export interface SchedulerOptions {
  /** Longest stretch of turns before the event loop goes round. Default 5 ms. */
  readonly sliceMs?: number;
  /** A task threw. Default: thrown on, as an uncaught exception. The other tasks keep their turns. */
  readonly onCrash?: (error: unknown) => void;
}

const settled = Promise.resolve();

/** The clock costs about as much as handling one event, so it is read once in this many. */
const EVENTS_BETWEEN_CLOCK_READS = 256;

export function createScheduler(options: SchedulerOptions = {}): Scheduler {
  const sliceMs = options.sliceMs ?? 5;
  const onCrash = options.onCrash ?? throwUncaught;
  const waiting = new Fifo<Task>();
  const idle = new Fifo<Task>();
  let running = false;
  /** A microtask that runs the queue is under way. */
  let called = false;
  /** When this turn of the event loop has had its slice; 0 when no slice has begun. */
  let sliceEndsAt = 0;
  let unread = 0;

  function isOver(): boolean {
    if (unread < EVENTS_BETWEEN_CLOCK_READS) return false;
    unread = 0;
    return performance.now() >= sliceEndsAt;
  }

  function run(): void {
    called = false;
    if (running) return;
    if (sliceEndsAt === 0) {
      sliceEndsAt = performance.now() + sliceMs;
      setImmediate(nextSlice);
    } else if (performance.now() >= sliceEndsAt) {
      return;
    }
    running = true;
    try {
      while (waiting.length > 0 || idle.length > 0) {
        const task = (waiting.shift() ?? idle.shift()) as Task;
        task.scheduled = false;
        unread += 1 + task.run();
        if (isOver()) break;
      }
    } catch (error) {
      running = false;
      if (hasWork()) call();
      onCrash(error);
    }
    running = false;
  }

  function nextSlice(): void {
    sliceEndsAt = 0;
    if (hasWork()) run();
  }

  function hasWork(): boolean {
    return waiting.length > 0 || idle.length > 0;
  }

  function call(): void {
    if (called || running) return;
    called = true;
    // `queueMicrotask` would make an asynchronous resource of each call, which costs as much as an event.
    settled.then(run);
  }

  return {
    schedule(task) {
      if (task.scheduled) return;
      task.scheduled = true;
      waiting.push(task);
      call();
    },
    whenIdle(task) {
      if (task.scheduled) return;
      task.scheduled = true;
      idle.push(task);
      call();
    },
  };
}

function throwUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

/** Shared by stages that are not told otherwise. */
export const sharedScheduler: Scheduler = createScheduler();

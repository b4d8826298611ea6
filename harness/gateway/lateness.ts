/** How late a process notices what happens: on a busy machine it is held up, and what came meanwhile comes at once. */

const turnMs = 5;
/** A process that has its turns is never longer without two of them. */
const heldUpMs = 3 * turnMs;

export interface Turns {
  /** What is noticed now happened at most so much earlier; 0 for a process that had its turns. */
  lateMs(): number;
  end(): void;
}

/** Notes the turns of this process's event loop. */
export function watchTurns(): Turns {
  let last = performance.now();
  // Of the last two turns the later one may be the one that notices.
  let before = last;
  const timer = setInterval(() => {
    before = last;
    last = performance.now();
  }, turnMs).unref();
  return {
    lateMs() {
      const sinceMs = performance.now() - before;
      return sinceMs > heldUpMs ? sinceMs : 0;
    },
    end: () => clearInterval(timer),
  };
}

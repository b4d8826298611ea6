/**
 * Workers are written down while they live, as the servers are: when the harness is killed and cannot end
 * them, the next start finds and ends them, by process id and start time.
 */
import { cacheFolder, prepareCache } from "../stack/native/cache.ts";
import { createRun, sweepLeftovers } from "../stack/native/run.ts";
import type { StackProgress } from "../stack/stack.ts";

export interface WorkerBook {
  /** Gives the function that crosses the worker out again. */
  enter(pid: number): () => void;
  /** Ends whoever is still in it, and removes it. */
  close(): Promise<void>;
}

/** Opens a book for one run, after ending what dead harnesses left in theirs. */
export async function openWorkerBook(onProgress: StackProgress): Promise<WorkerBook> {
  const cache = cacheFolder(process.env);
  await prepareCache(cache);
  await sweepLeftovers(cache, onProgress);
  const run = createRun(cache);
  return { enter: (pid) => run.adopt("worker", pid), close: run.stop };
}

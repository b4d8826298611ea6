/** Asks a lab's watched queries again and again, each over a connection of its own, and keeps the answers. */
import type { WatchedQuery } from "../lab.ts";
import type { WatchRecord } from "../record/record.ts";
import { connectProbe } from "./tables.ts";

/** A query rests so many times as long as it took: a large table must not cost the worker its database. */
const restShare = 5;

export interface Watches {
  /** Asks once more, and ends; resolves with all answers. */
  end(): Promise<WatchRecord[]>;
}

/**
 * All or none: where one cannot connect, the others end.
 * @param databaseUrl the harness's own way to the worker's database
 * @param now in ms since the load began
 */
export async function startWatches(
  queries: readonly WatchedQuery[],
  databaseUrl: string,
  now: () => number,
): Promise<Watches> {
  const starting = queries.map((query) => startWatch(query, databaseUrl, now));
  try {
    const started = await Promise.all(starting);
    return { end: () => Promise.all(started.map((end) => end())) };
  } catch (error) {
    await Promise.allSettled(starting.map((started) => started.then((end) => end())));
    throw error;
  }
}

async function startWatch(
  { name, columns, sql, everyMs }: WatchedQuery,
  databaseUrl: string,
  now: () => number,
): Promise<() => Promise<WatchRecord>> {
  const client = await connectProbe(databaseUrl);
  const samples: WatchRecord["samples"] = [];
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const look = async (): Promise<void> => {
    const atMs = Math.round(now() * 10) / 10;
    try {
      const { rows } = await client.query<unknown[]>({ name: `watch ${name}`, text: sql, rowMode: "array" });
      samples.push({
        atMs,
        rows: rows.map((row) => row.map((cell) => (cell === null ? null : String(cell)))),
      });
    } catch {
      // The database did not answer: nothing is known about this moment.
    }
  };
  const again = (): void => {
    const began = performance.now();
    last = look().then(() => {
      const tookMs = performance.now() - began;
      if (!stopped) timer = setTimeout(again, Math.max(restShare * tookMs, everyMs - tookMs));
    });
  };
  let last = Promise.resolve();
  again();
  return async () => {
    stopped = true;
    clearTimeout(timer);
    await last;
    await look();
    await client.end().catch(() => undefined);
    return { name, columns: [...columns], samples };
  };
}

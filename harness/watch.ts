/** Samples processes, proxies and the machine four times a second, and tells how far the run is. */
import type { LiveLedger } from "./load/load.ts";
import type { ScheduledPhase } from "./load/schedule.ts";
import type { CommitProbe } from "./probe/commits.ts";
import type { Fetches } from "./probe/fetches.ts";
import { watchHost } from "./probe/host.ts";
import { descendantsOf, type ProcessUsage, processTable } from "./probe/processes.ts";
import type { RunRecord } from "./record/record.ts";
import { type ServiceName, type Stack, serviceNames } from "./stack/stack.ts";
import type { Crew } from "./subject/crew.ts";

const sampleEveryMs = 250;

/** Where a run is, for people. Rates and counts are so far. */
export interface Progress {
  readonly step: "place" | "worker" | "warm-up" | "load" | "settle" | "read";
  readonly atMs?: number;
  readonly ofMs?: number;
  readonly phase?: string;
  readonly sent?: number;
  readonly committed?: number;
  readonly event?: string;
}

export interface WatchOptions {
  readonly stack: Stack;
  readonly crew: Crew;
  readonly ledger: LiveLedger;
  readonly probe: CommitProbe;
  /** Undefined where workers reach Kafka without a proxy. */
  readonly fetches: Fetches | undefined;
  readonly phases: readonly ScheduledPhase[];
  /** Now, in ms since the load began. */
  readonly now: () => number;
  readonly onProgress: (progress: Progress) => void;
}

export interface Watch {
  /** What went through each proxy; grows. */
  readonly links: RunRecord["linkSamples"];
  /** Goes on measuring, and tells nothing more. */
  quiet(): void;
  end(): Promise<RunRecord["host"]["duringRun"]>;
}

export function startWatch(run: WatchOptions): Watch {
  const { now, probe, phases } = run;
  const loadMs = phases.at(-1)?.endMs ?? 0;
  const links: RunRecord["linkSamples"] = [];
  let isQuiet = false;
  // Servers that somebody else runs, or an engine on another machine, cannot be seen: what they use cannot be told from the rest.
  const canTell = run.stack.processIds().length > 0;
  const host = watchHost();
  const oursIn = (table: readonly ProcessUsage[]) =>
    descendantsOf(table, [process.pid, ...run.stack.processIds(table)]);
  const look = async (): Promise<void> => {
    const table = await processTable();
    host.sample(table, oursIn(table));
    run.crew.sample(table);
    const atMs = now();
    for (const service of serviceNames) note(service, atMs);
    const phase = phases.find(({ startMs, endMs }) => atMs >= startMs && atMs < endMs)?.name;
    const committed =
      probe.samples.at(-1)?.committed.reduce((sum, offset) => sum + Math.max(0, offset), 0) ?? 0;
    if (isQuiet) return;
    run.onProgress({
      step: atMs < loadMs ? "load" : "settle",
      atMs: Math.max(0, atMs),
      ofMs: loadMs,
      sent: run.ledger.acknowledged,
      committed,
      ...(phase === undefined ? {} : { phase }),
    });
  };
  const note = (service: ServiceName, atMs: number): void => {
    const bytes = run.stack.link(service)?.bytes();
    if (bytes === undefined) return;
    const fetchedEvents = service === "kafka" ? run.fetches?.events() : undefined;
    links.push({
      atMs,
      service,
      toServiceBytes: bytes.toService,
      toWorkerBytes: bytes.toWorker,
      ...(fetchedEvents === undefined ? {} : { fetchedEvents }),
    });
  };
  let last = look();
  const timer = setInterval(() => {
    last = last.then(look, look);
  }, sampleEveryMs);
  return {
    links,
    quiet() {
      isQuiet = true;
    },
    async end() {
      clearInterval(timer);
      await last.catch(() => undefined);
      const table = await processTable();
      const duringRun = host.end(table, oursIn(table));
      return canTell ? duringRun : { ...duringRun, foreignCpuShare: null };
    },
  };
}

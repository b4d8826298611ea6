/**
 * The container stack: Kafka, PostgreSQL and Redis from their official images, by way of Testcontainers.
 *
 * A run's containers carry its labels and are removed with their volumes when it ends: by the harness; by its
 * watchdog when the harness is killed; by the next start when the machine went down. No network is made.
 */
import { CannotRun, Interrupted } from "../../cannot-run.ts";
import { onFreePorts, type Place } from "../free-ports.ts";
import type { OpenLink } from "../link.ts";
import { freePort } from "../ports.ts";
import { stopAtExit } from "../shutdown.ts";
import { type ServiceName, type Stack, type StackProgress, serviceNames } from "../stack.ts";
import { startContainer } from "./container.ts";
import { type Engine, findEngine } from "./engine.ts";
import { explained } from "./errors.ts";
import { type Guard, guardRun } from "./guard.ts";
import { kafkaVersion } from "./images.ts";
import { keepLabel, reviveKept, tellHowToEnd } from "./keep.ts";
import { labelsOf, type Owner, removeRun, sweepContainers, thisOwner } from "./labels.ts";
import { missingImages, pullImages, whyNotPullable } from "./pull.ts";
import { type Access, newPassword, serviceSpec } from "./services.ts";
import type { RunningContainer, Site } from "./watched.ts";

export interface ContainerOptions {
  /** Why this kind was taken; becomes the stack's `why`. */
  readonly why: string;
  readonly onProgress: StackProgress;
  /** Servers tuned for minutes of load rather than for a quick start. */
  readonly benchmark: boolean;
  /** Leave the servers running at the end, and use those that an earlier run left. */
  readonly keep: boolean;
}

/** Whether containers can be had on this machine, and why or why not in one line. */
export type Availability =
  | { readonly usable: true; readonly why: string }
  | { readonly usable: false; readonly why: string };

/** Answers within seconds, whatever becomes of the engine or the registry. */
export async function containersAvailable(): Promise<Availability> {
  try {
    const engine = await findEngine();
    const missing = await missingImages(engine);
    if (missing.length === 0) return { usable: true, why: `${engine.title} answers and has the images` };
    const names = missing.join(", ");
    const reason = await whyNotPullable(engine, missing);
    return reason === undefined
      ? { usable: true, why: `${engine.title} answers, and ${names} can be pulled` }
      : { usable: false, why: `${engine.title} answers, but ${names} cannot be pulled (${reason})` };
  } catch (error) {
    const known = explained(error);
    if (known instanceof CannotRun) return { usable: false, why: known.message };
    throw error;
  }
}

/**
 * Starts all three services, in parallel, and waits until each answers; pulls images first where they are missing.
 *
 * @throws CannotRun, or Interrupted when a signal stopped it meanwhile; nothing is left behind
 */
export async function openContainers(options: ContainerOptions): Promise<Stack> {
  try {
    const engine = await findEngine();
    return await open(engine, options);
  } catch (error) {
    throw explained(error);
  }
}

interface Service {
  readonly container: RunningContainer;
  readonly link: OpenLink;
  readonly access: Access;
  readonly direct: string;
  readonly worker: string;
}

async function open(engine: Engine, options: ContainerOptions): Promise<Stack> {
  const { docker } = engine;
  const { onProgress, benchmark, keep } = options;
  const owner = thisOwner(keep ? keepLabel(benchmark) : undefined);
  const aborted = new AbortController();
  let starting: Promise<unknown> = Promise.resolve();
  let guard: Guard | undefined;
  let ending: Promise<void> | undefined;
  const end = async (): Promise<void> => {
    aborted.abort();
    // Removal makes what is starting fail soon; what the engine was still creating then is removed after it.
    await removeRun(docker, owner.run);
    await starting;
    await removeRun(docker, owner.run);
    guard?.release();
  };
  const stop = (): Promise<void> => {
    ending ??= end();
    return ending;
  };
  // At the last moment nothing can be asked of the engine any more: the watchdog sees the end and does it.
  const forget = stopAtExit({ name: "container stack", stop, stopNow: () => {} });
  try {
    await sweepContainers(docker, onProgress);
    await pullImages(engine, await missingImages(engine), onProgress, aborted.signal);
    const site: Site = { engine, onProgress, stopping: () => aborted.signal.aborted };
    if (keep) {
      const revived = await reviveKept(site, benchmark);
      if (revived !== undefined) {
        forget();
        return assemble(options.why, revived, { lasts: true, stop: async () => {} });
      }
    }
    if (aborted.signal.aborted) throw new Interrupted();
    guard = guardRun(owner.run, onProgress);
    const starts = Promise.allSettled(
      serviceNames.map((service) => startService(site, service, owner, benchmark)),
    );
    starting = starts;
    const services = settled(await starts);
    if (aborted.signal.aborted) throw new Interrupted();
    if (!keep) {
      const stopAndTell = (): Promise<void> =>
        stop().then(forget, (error: unknown) => {
          throw explained(error);
        });
      return assemble(options.why, services, { lasts: false, stop: stopAndTell });
    }
    guard.release();
    forget();
    onProgress(tellHowToEnd);
    return assemble(options.why, services, { lasts: true, stop: async () => {} });
  } catch (error) {
    const interrupted = aborted.signal.aborted;
    // Where removal fails too (the engine is gone), the watchdog goes on trying, and the first reason is the one to tell.
    await stop().catch(() => {});
    if (interrupted) throw new Interrupted();
    forget();
    throw error;
  }
}

/** @throws the first failure; what had started beside it loses its proxy */
function settled(starts: readonly PromiseSettledResult<Service>[]): Record<ServiceName, Service> {
  const failed = starts.find((start) => start.status === "rejected");
  if (failed === undefined) {
    const entries = starts.map((start, i) => [
      serviceNames[i],
      (start as PromiseFulfilledResult<Service>).value,
    ]);
    return Object.fromEntries(entries) as Record<ServiceName, Service>;
  }
  for (const start of starts) if (start.status === "fulfilled") close(start.value);
  throw failed.reason;
}

async function startService(
  site: Site,
  service: ServiceName,
  owner: Owner,
  benchmark: boolean,
): Promise<Service> {
  const { engine, onProgress } = site;
  const ports = { claimPort: () => freePort(), host: engine.host };
  return onFreePorts(ports, onProgress, async ({ servicePort, port }: Place) => {
    const directPort = service === "kafka" ? await freePort() : servicePort;
    const access = { servicePort, directPort, proxyPort: port, password: newPassword() };
    const spec = serviceSpec(service, access, engine.host, benchmark);
    const container = await startContainer(site, spec, labelsOf(owner, service, access));
    return { container, access, direct: spec.direct, worker: spec.worker };
  });
}

function close({ link, container }: Service): void {
  link.close();
  container.forget();
}

function assemble(
  why: string,
  services: Readonly<Record<ServiceName, Service>>,
  life: { readonly lasts: boolean; readonly stop: () => Promise<void> },
): Stack {
  const { kafka, postgres, redis } = services;
  const all = [kafka, postgres, redis];
  let stopped = false;
  return {
    kind: "containers",
    why,
    lasts: life.lasts,
    versions: {
      kafka: kafkaVersion,
      postgres: postgres.container.version,
      redis: redis.container.version,
    },
    direct: { kafkaBrokers: kafka.direct, databaseUrl: postgres.direct, redisUrl: redis.direct },
    worker: { kafkaBrokers: kafka.worker, databaseUrl: postgres.worker, redisUrl: redis.worker },
    link: (service) => services[service].link,
    cannot: () => undefined,
    pause: (service) => services[service].container.pause(),
    resume: (service) => services[service].container.resume(),
    kill: (service) => services[service].container.kill(),
    restart: (service) => services[service].container.restart(),
    processIds: (table) => {
      // All or none: a share of the machine can be told from others' only when every server is seen.
      const processes = stopped ? [] : all.map(({ container }) => container.processIds(table));
      return processes.some((ids) => ids.length === 0) ? [] : processes.flat();
    },
    stop: async () => {
      stopped = true;
      for (const service of all) close(service);
      await life.stop();
    },
  };
}

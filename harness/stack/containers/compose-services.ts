/**
 * Services of the external stack that are containers of docker-compose.yml. They were started for labs, so labs may
 * kill them and start them again. Everything else that answers on an address is somebody else's and never touched.
 */
import type { ProcessUsage } from "../../probe/processes.ts";
import type { Target } from "../link.ts";
import { type Condition, messageOf } from "../readiness.ts";
import { stopAtExit } from "../shutdown.ts";
import { type ServiceName, type StackProgress, serviceNames } from "../stack.ts";
import { type Engine, findEngine } from "./engine.ts";
import { explained } from "./errors.ts";
import { patience, type ServiceSpec } from "./services.ts";
import { type RunningContainer, watchedContainer } from "./watched.ts";

/** On each service of docker-compose.yml, with the service's name; the harness's own containers do not have it. */
export const composeLabel = "sluice.compose";

/** From the first look for an engine to its last answer; one that does not answer by then counts as none. */
const lookMs = 5_000;

/** What tells whose a container is, as the engine describes it. */
export interface Described {
  readonly Id: string;
  readonly State: { readonly Running: boolean };
  readonly Config: { readonly Labels: Readonly<Record<string, string>> };
  readonly HostConfig: {
    readonly PortBindings?: Readonly<Record<string, readonly Binding[] | null>> | null;
  };
}

interface Binding {
  readonly HostIp?: string;
  readonly HostPort?: string;
}

export interface OwnContainer {
  readonly service: ServiceName;
  readonly id: string;
  readonly ports: ServiceSpec["ports"];
}

/**
 * The one running container that is this service of docker-compose.yml and is published on exactly this address.
 *
 * @returns undefined when there is none, or when it cannot be told which
 */
export function ownContainer(
  service: ServiceName,
  { host, port }: Target,
  containers: readonly Described[],
): OwnContainer | undefined {
  // No other name: `localhost` may lead to somebody else's server on ::1.
  if (host !== "127.0.0.1") return undefined;
  const [own, ...more] = containers.filter(
    (one) =>
      one.State.Running &&
      one.Config.Labels[composeLabel] === service &&
      one.Config.Labels["com.docker.compose.service"] === service &&
      (one.Config.Labels["com.docker.compose.project"] ?? "") !== "" &&
      // As asked for and not as drawn: a port that the engine drew would be another one after a restart.
      bindingsOf(one).some(({ HostIp, HostPort }) => HostIp === host && HostPort === String(port)),
  );
  if (own === undefined || more.length > 0) return undefined;
  const bindings = Object.entries(own.HostConfig.PortBindings ?? {});
  const ports = bindings.flatMap(([container, hosts]) =>
    (hosts ?? []).map(({ HostPort }) => ({
      container: Number.parseInt(container, 10),
      host: Number(HostPort),
    })),
  );
  return { service, id: own.Id, ports };
}

const bindingsOf = ({ HostConfig }: Described): readonly Binding[] =>
  Object.values(HostConfig.PortBindings ?? {}).flatMap((bindings) => bindings ?? []);

export interface Found {
  readonly engine: Engine | undefined;
  readonly containers: readonly OwnContainer[];
  /** How many seconds an engine was given that did not answer. */
  readonly hungS?: number;
}

const none: Found = { engine: undefined, containers: [] };

export interface Search {
  /** Where each service is reached; absent when that is not one address. */
  readonly addresses: Partial<Readonly<Record<ServiceName, Target>>>;
  /** Where DOCKER_HOST is read. */
  readonly env: NodeJS.ProcessEnv;
  readonly engine?: () => Promise<Engine>;
  readonly timeoutMs?: number;
}

/** Never rejects, and takes no time where there is no engine. Containers are only looked at. */
export async function findComposeServices(search: Search): Promise<Found> {
  const { addresses, env, engine = () => findEngine(env), timeoutMs = lookMs } = search;
  if (Object.values(addresses).every(({ host }) => host !== "127.0.0.1")) return none;
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<Found>((resolve) => {
    timer = setTimeout(() => resolve({ ...none, hungS: timeoutMs / 1_000 }), timeoutMs);
  });
  try {
    return await Promise.race([engine().then((it) => look(it, addresses)), tooLate]);
  } catch {
    // No engine, or none that may be used from here: then nothing on it is ours.
    return none;
  } finally {
    clearTimeout(timer);
  }
}

async function look(engine: Engine, addresses: Search["addresses"]): Promise<Found> {
  // Another machine's 127.0.0.1 is not this one's.
  if (engine.host !== "127.0.0.1") return none;
  const { docker } = engine;
  const listed = await docker.listContainers({ filters: { label: [composeLabel] } });
  const described: readonly Described[] = await Promise.all(
    listed.map(({ Id }) => docker.getContainer(Id).inspect()),
  );
  const containers = serviceNames.flatMap((service) => {
    const address = addresses[service];
    return address === undefined ? [] : (ownContainer(service, address, described) ?? []);
  });
  return { engine, containers };
}

/** Completes the line that says which stack was taken; empty when there is nothing to say. */
export function tellOwn({ containers, hungS }: Found): string {
  if (hungS !== undefined) return `; the Docker engine did not answer within ${hungS} s and is left out`;
  if (containers.length === 0) return "";
  const names = containers.map(({ service }) => service).join(", ");
  return `; ${names}: ${containers.length > 1 ? "containers" : "a container"} of docker-compose.yml, which labs may kill and restart`;
}

export interface OwnServices {
  container(service: ServiceName): RunningContainer | undefined;
  /** Of all three services, or none: what servers use can be told from the rest only when every one is seen. */
  processIds(table?: readonly ProcessUsage[]): readonly number[];
  /** Leaves them as they were found: starts what a run that was cut short has killed, resumes what it has paused. */
  release(): Promise<void>;
}

/**
 * Takes charge of what was found, once it answers.
 *
 * @param ready met when a service answers, also after a restart
 * @throws CannotRun when one ends meanwhile
 */
export async function watchComposeServices(
  { engine, containers }: Found,
  ready: Readonly<Record<ServiceName, Condition<string>>>,
  onProgress: StackProgress,
): Promise<OwnServices> {
  const services = new Map<ServiceName, Reversible>();
  let released: Promise<void> | undefined;
  if (engine !== undefined) {
    const site = { engine, onProgress, stopping: () => released !== undefined };
    const watched = containers.map(({ service, id, ports }) => {
      const container = watchedContainer(site, { ...patience[service], ready: ready[service], ports }, id);
      services.set(service, reversible(container));
      return container;
    });
    try {
      await Promise.all(watched.map((container) => container.answers()));
    } catch (error) {
      for (const container of watched) container.forget();
      throw explained(error);
    }
  }
  const end = async (): Promise<void> => {
    for (const [service, one] of services) {
      await one.undo().catch((error: unknown) => {
        onProgress(
          `note: ${service} did not come back (${messageOf(error)}); docker compose up -d --wait starts it`,
        );
      });
      one.forget();
    }
    forget();
  };
  const release = (): Promise<void> => {
    released ??= end();
    return released;
  };
  const forget = stopAtExit({ name: "docker-compose.yml's services", stop: release, stopNow: () => {} });
  return {
    container: (service) => services.get(service),
    processIds: (table) => {
      if (released !== undefined || services.size < serviceNames.length) return [];
      const processes = [...services.values()].map((one) => one.processIds(table));
      return processes.some((ids) => ids.length === 0) ? [] : processes.flat();
    },
    release,
  };
}

interface Reversible extends RunningContainer {
  undo(): Promise<void>;
}

/** What is done to a container is done in turn, so that it can be undone at any moment. */
function reversible(container: RunningContainer): Reversible {
  let undoing: (() => Promise<void>) | undefined;
  let last: Promise<void> = Promise.resolve();
  const inTurn = (action: () => Promise<void>): Promise<void> => {
    const done = last.then(action);
    last = done.catch(() => {});
    return done;
  };
  const breaking = (action: () => Promise<void>, undo: () => Promise<void>) => () =>
    inTurn(async () => {
      undoing = undo;
      await action();
    });
  const mending = (action: () => Promise<void>) => () =>
    inTurn(async () => {
      await action();
      undoing = undefined;
    });
  return {
    get version() {
      return container.version;
    },
    pause: breaking(container.pause, container.resume),
    kill: breaking(container.kill, container.restart),
    resume: mending(container.resume),
    restart: mending(container.restart),
    undo: mending(async () => undoing?.()),
    processIds: container.processIds,
    forget: container.forget,
  };
}

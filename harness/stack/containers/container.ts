/** One service in a container: created by way of Testcontainers, and awaited. */
import { GenericContainer, type WaitStrategy } from "testcontainers";
import { removeContainer } from "./labels.ts";
import type { ServiceSpec } from "./services.ts";
import { type RunningContainer, type Site, type WatchedContainer, watchedContainer } from "./watched.ts";

/** Readiness is ours to tell: a request served, and no line of a log. */
const atOnce: WaitStrategy = {
  waitUntilReady: async () => undefined,
  withStartupTimeout: () => atOnce,
  isStartupTimeoutSet: () => false,
  getStartupTimeout: () => 0,
} as WaitStrategy;

/** A class because Testcontainers has its hooks as protected members. */
class PublishedContainer extends GenericContainer {
  readonly #bindAddress: string;
  readonly #created: (id: string) => void;

  constructor(spec: ServiceSpec, bindAddress: string, created: (id: string) => void) {
    super(spec.image);
    this.#bindAddress = bindAddress;
    this.#created = created;
    this.withEnvironment({ ...spec.environment })
      .withExposedPorts(...spec.ports)
      .withAutoCleanup(false)
      .withWaitStrategy(atOnce);
    if (spec.command !== undefined) this.withCommand([...spec.command]);
    const files = Object.entries(spec.files).map(([target, content]) => ({ target, content, mode: 0o644 }));
    if (files.length > 0) this.withCopyContentToContainer(files);
  }

  /** Testcontainers publishes on every interface of the machine. */
  protected override async beforeContainerCreated(): Promise<void> {
    const bindings = this.hostConfig.PortBindings as Record<string, { HostPort: string }[]>;
    this.hostConfig.PortBindings = Object.fromEntries(
      Object.entries(bindings).map(([port, hosts]) => [
        port,
        hosts.map((one) => ({ ...one, HostIp: this.#bindAddress })),
      ]),
    );
  }

  protected override async containerCreated(id: string): Promise<void> {
    this.#created(id);
  }
}

/**
 * Creates a container and waits until its service answers.
 *
 * @throws NotMet with the tail of its log when it does not answer in time or ends instead; the engine's error when it
 * cannot be started, with nothing left of it
 */
export async function startContainer(
  site: Site,
  spec: ServiceSpec,
  labels: Readonly<Record<string, string>>,
): Promise<RunningContainer> {
  let server: WatchedContainer | undefined;
  let id: string | undefined;
  let tellCreated = (): void => {};
  const created = new Promise<void>((resolve) => {
    tellCreated = resolve;
  });
  const blueprint = new PublishedContainer(spec, site.engine.bindAddress, (it) => {
    id = it;
    server = watchedContainer(site, spec, it);
    tellCreated();
  });
  const starting = blueprint.withLabels({ ...labels }).start();
  try {
    await Promise.race([created, starting]);
    if (server === undefined) throw new Error("the engine created no container");
    // Not only `starting`: Testcontainers goes on waiting for the ports of a service that ended at once.
    await server.answers(starting);
    return server;
  } catch (error) {
    server?.forget();
    // Removed first: that ends Testcontainers' wait for its ports.
    if (id !== undefined) await removeContainer(site.engine.docker, id).catch(() => {});
    await starting.catch(() => {});
    throw error;
  }
}

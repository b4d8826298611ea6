/** One service in a container: created, awaited, paused, killed and started again on the same address and data. */
import { GenericContainer, type WaitStrategy } from "testcontainers";
import type { ProcessUsage } from "../../probe/processes.ts";
import { NotMet, until } from "../readiness.ts";
import type { StackProgress } from "../stack.ts";
import type { Engine } from "./engine.ts";
import { removeContainer } from "./labels.ts";
import { processesOf } from "./processes.ts";
import type { ServiceSpec } from "./services.ts";

export interface Site {
  readonly engine: Engine;
  readonly onProgress: StackProgress;
  /** Whether the end of the stack has begun: what ends now was ended. */
  readonly stopping: () => boolean;
}

export interface RunningContainer {
  readonly version: string;
  pause(): Promise<void>;
  resume(): Promise<void>;
  kill(): Promise<void>;
  restart(): Promise<void>;
  /** It and its children as this machine's process ids; empty where the engine's processes cannot be seen from here. */
  processIds(table?: readonly ProcessUsage[]): readonly number[];
  /** Stops listening for its end; the container itself is left as it is. */
  forget(): void;
}

const politeSeconds = 10;

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

export interface WatchedContainer extends RunningContainer {
  /** Resolves when the service answers. @param starting rejects with the engine's error when it refuses to start it */
  answers(starting?: Promise<unknown>): Promise<void>;
}

/** A container that exists, for the rest of its life. */
export function watchedContainer(site: Site, spec: ServiceSpec, id: string): WatchedContainer {
  const { docker } = site.engine;
  const container = docker.getContainer(id);
  const listening = new AbortController();
  let life = newLife();
  let version = "unknown";
  let pids: (table?: readonly ProcessUsage[]) => readonly number[] = () => [];

  /** From a start to an end. An end that was asked for is no news. */
  function newLife(): { ended?: string; expected: boolean; ready: boolean } {
    const it: ReturnType<typeof newLife> = { expected: false, ready: false };
    container
      .wait({ condition: "next-exit", abortSignal: listening.signal })
      .then(async ({ StatusCode }: { readonly StatusCode: number }) => {
        it.ended = `exit code ${StatusCode}`;
        if (!it.ready || it.expected || site.stopping()) return;
        const tail = await logTail();
        site.onProgress([`${spec.title} ended by itself (${it.ended})`, ...tail].join("\n"));
      })
      .catch(() => {});
    return it;
  }

  const logTail = async (): Promise<readonly string[]> => {
    const log = await container.logs({ stdout: true, stderr: true, tail: 15, follow: false }).catch(() => "");
    return logLines(Buffer.from(log as Buffer)).map((line) => `  | ${line.slice(0, 300)}`);
  };
  const answers = async (starting: Promise<unknown> = Promise.resolve()): Promise<void> => {
    let refused: { readonly error: unknown } | undefined;
    starting.catch((error: unknown) => {
      refused = { error };
    });
    try {
      version = await until(spec.ready, {
        timeoutMs: spec.startTimeoutMs,
        hopeless: () =>
          life.ended === undefined ? refused && "the engine refused" : `it ended by itself (${life.ended})`,
      });
    } catch (error) {
      if (refused !== undefined) throw refused.error;
      throw error instanceof NotMet ? new NotMet(error.summary, await logTail()) : error;
    }
    life.ready = true;
    pids = await processesOf(docker, id, spec.ports);
  };
  const gone = async (): Promise<void> => {
    const stopped = {
      what: `${spec.title}'s container to end`,
      probe: async () => {
        if ((await container.inspect()).State.Running) throw new Error("it still runs");
      },
    };
    await until(stopped, { timeoutMs: (politeSeconds + 5) * 1_000, everyMs: 10 });
  };
  return {
    get version() {
      return version;
    },
    answers,
    processIds: (table) => (life.ended === undefined ? pids(table) : []),
    pause: () => container.pause(),
    resume: async () => {
      await container.unpause();
      await answers();
    },
    kill: async () => {
      life.expected = true;
      await container.kill({ signal: "SIGKILL" });
      await gone();
    },
    restart: async () => {
      if (life.ended === undefined) {
        life.expected = true;
        await container.stop({ t: politeSeconds });
        await gone();
      }
      life = newLife();
      await container.start();
      await answers();
    },
    forget: () => listening.abort(),
  };
}

/** The engine frames each piece of a log with eight bytes: stream, and length. */
export function logLines(framed: Buffer): readonly string[] {
  let text = "";
  for (let at = 0; at + 8 <= framed.length; ) {
    const length = framed.readUInt32BE(at + 4);
    text += framed.toString("utf8", at + 8, at + 8 + length);
    at += 8 + length;
  }
  return text.split("\n").filter((line) => line.trim() !== "");
}

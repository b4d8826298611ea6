/**
 * The three services a run needs, and what may be done to them.
 *
 * Every kind of stack (containers, native, external) satisfies this one interface and passes one
 * contract suite. Callers never ask which kind it is; they ask what it can do.
 */
import type { ProcessUsage } from "../probe/processes.ts";

export type ServiceName = "kafka" | "postgres" | "redis";
export const serviceNames: readonly ServiceName[] = ["kafka", "postgres", "redis"];

export type StackKind = "native" | "containers" | "external";

/** Where the services are reached. `databaseUrl` and `redisUrl` are URLs without a database name of a run. */
export interface Endpoints {
  /** `host:port`, comma separated when there are several. */
  readonly kafkaBrokers: string;
  readonly databaseUrl: string;
  readonly redisUrl: string;
}

/** What a stack may be unable to do; asked beforehand, so that a run can say so instead of guessing. */
export type StackAction = "cut" | "stall" | "pause" | "kill" | "restart";

export interface Stack {
  readonly kind: StackKind;
  /** One line: which kind and why, for people. */
  readonly why: string;
  /**
   * Whether the servers stay after `stop`: they were found, or are kept for the next run. Then whoever made something
   * on them removes it.
   */
  readonly lasts: boolean;
  /** Version of each server as it reports it or as pinned; "unknown" for a Kafka that the stack did not start. */
  readonly versions: Readonly<Record<ServiceName, string>>;
  /** The harness's own way to the services. Never cut, never proxied. */
  readonly direct: Endpoints;
  /** The workers' way: through the harness's proxies wherever the stack allows it. */
  readonly worker: Endpoints;
  /** The proxy in front of a service, or undefined where workers reach it directly. */
  link(service: ServiceName): Link | undefined;
  /** Undefined when the action can be done; otherwise one line that says why not. */
  cannot(action: StackAction, service: ServiceName): string | undefined;
  /** Freezes the server: connections stay open, nothing answers (SIGSTOP). */
  pause(service: ServiceName): Promise<void>;
  /** Resolves when the service answers again. */
  resume(service: ServiceName): Promise<void>;
  /** Ends the server without warning (SIGKILL). */
  kill(service: ServiceName): Promise<void>;
  /** Starts a killed (or stops and starts a running) server on its old address and data; resolves when ready. */
  restart(service: ServiceName): Promise<void>;
  /**
   * Ids of the servers' processes right now; none where they are not processes of this machine that one can see.
   * @param table a look that was just taken: another one costs time
   */
  processIds(table?: readonly ProcessUsage[]): readonly number[];
  /** Ends everything and removes what this stack made. Safe to call twice. */
  stop(): Promise<void>;
}

/**
 * A TCP proxy between workers and one service.
 *
 * Directions are seen from the worker: `toService` is what workers send, `toWorker` what they receive.
 */
export interface Link {
  /** `host:port` on which workers connect. */
  readonly address: string;
  /** Bytes forwarded since the proxy started; both only ever grow. */
  bytes(): { readonly toService: number; readonly toWorker: number };
  /** Open worker connections. */
  connections(): number;
  /**
   * Has an observer made for each connection that is opened from now on, which is told what is forwarded, in order, until
   * the returned function is called. An observer must not throw.
   */
  observe(observerOf: () => ConnectionObserver): () => void;
  /** A network cut: open connections are destroyed and new ones refused, until `heal`. */
  cut(): void;
  heal(): void;
  /**
   * Holds back everything in one direction without closing anything, until `release` or `sever`.
   * Held bytes stay in the kernel's and the proxy's buffers.
   */
  stall(direction: Direction): void;
  /** Ends a stall; held bytes go on. */
  release(): void;
  /**
   * Ends a stall for the connections whose worker is still there; those of a worker that has gone are destroyed, and
   * what was held of them is never delivered.
   */
  releaseLiving(): void;
  /** Ends a stall and destroys the connections; held bytes are never delivered. New connections are accepted. */
  sever(): void;
}

export type Direction = "toService" | "toWorker";

/** The bytes are its own only for as long as it is called. */
export type ConnectionObserver = (direction: Direction, chunk: Buffer) => void;

/** Progress while a stack starts: one line for people, such as "fetching Kafka 4.1.0 (43 MB)". */
export type StackProgress = (line: string) => void;

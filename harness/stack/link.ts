/**
 * The TCP proxy between workers and one service: counts, cuts and stalls what passes.
 *
 * Each direction of each connection is a lane: bytes read from its source go to its sink at once, or, while
 * the direction is stalled, into a queue. The lane's source stops being read while its sink is full or its
 * queue has `heldBytesPerLane`, so the kernel's buffers and TCP's own flow control carry the pressure on.
 */
import { createServer, connect as openSocket, type Server, type Socket } from "node:net";
import { messageOf } from "./readiness.ts";
import type { ConnectionObserver, Direction, Link } from "./stack.ts";

export interface Target {
  readonly host: string;
  readonly port: number;
}

export interface LinkOptions {
  /** Where the service is; asked at each connection, because a service may be given another port at its start. */
  readonly target: () => Target;
  /** Port to listen on, on 127.0.0.1. Best outside the ephemeral range, so that it is still free after a cut. */
  readonly port: number;
  /** Told, in one line, when the port cannot be had back after a cut. */
  readonly onProblem?: (line: string) => void;
}

export interface OpenLink extends Link {
  readonly port: number;
  /** Destroys every connection and gives the port back. Safe to call twice. */
  close(): void;
}

/** A stalled lane reads on until this much is held, so that it notices a closing sender; then the kernel holds. */
const heldBytesPerLane = 1 << 20;
const rebindEveryMs = 20;

/**
 * Opens a proxy.
 *
 * @throws Error with code EADDRINUSE when the port is taken
 */
export async function openLink(options: LinkOptions): Promise<OpenLink> {
  const bytes = { toService: 0, toWorker: 0 };
  const stalled = { toService: false, toWorker: false };
  const pairs = new Set<Pair>();
  const observers = new Set<() => ConnectionObserver>();
  let state: "open" | "cut" | "closed" = "open";
  let server: Server | undefined;
  let rebind: NodeJS.Timeout | undefined;

  const accept = (worker: Socket): void => {
    const observing = [...observers].map((observerOf) => ({ observerOf, observe: observerOf() }));
    const pair = openPair(worker, options.target(), {
      isStalled: (direction) => stalled[direction],
      forwarded: (direction, chunk) => {
        bytes[direction] += chunk.length;
        for (const { observerOf, observe } of observing) {
          if (observers.has(observerOf)) observe(direction, chunk);
        }
      },
      ended: () => pairs.delete(pair),
    });
    pairs.add(pair);
  };

  const listen = async (): Promise<void> => {
    const next = createServer({ allowHalfOpen: true, noDelay: true }, accept);
    await new Promise<void>((resolve, reject) => {
      next.once("error", reject);
      next.listen({ host: "127.0.0.1", port: options.port, backlog: 511 }, resolve);
    });
    // An error of a listening socket (such as too many open files at accept) must not end the harness.
    next.on("error", (error) => options.onProblem?.(`proxy on port ${options.port}: ${messageOf(error)}`));
    if (state === "open" && server === undefined) server = next;
    else next.close();
  };

  const listenAgain = (attempt: number): void => {
    listen().catch((error: unknown) => {
      if (state !== "open" || server !== undefined) return;
      if (attempt === 50) {
        options.onProblem?.(`proxy cannot have port ${options.port} back after a cut: ${messageOf(error)}`);
      }
      rebind = setTimeout(() => listenAgain(attempt + 1), rebindEveryMs);
    });
  };

  const destroyAll = (): void => {
    for (const pair of pairs) pair.destroy();
    pairs.clear();
  };
  const stopListening = (): void => {
    clearTimeout(rebind);
    server?.close();
    server = undefined;
  };
  const flow = (): void => {
    stalled.toService = false;
    stalled.toWorker = false;
  };

  await listen();

  return {
    port: options.port,
    address: `127.0.0.1:${options.port}`,
    bytes: () => ({ ...bytes }),
    connections: () => pairs.size,
    observe: (observerOf) => {
      observers.add(observerOf);
      return () => observers.delete(observerOf);
    },
    cut: () => {
      if (state !== "open") return;
      state = "cut";
      stopListening();
      destroyAll();
    },
    heal: () => {
      if (state !== "cut") return;
      state = "open";
      listenAgain(1);
    },
    stall: (direction) => {
      stalled[direction] = true;
    },
    release: () => {
      flow();
      for (const pair of pairs) pair.flush();
    },
    releaseLiving: () => {
      flow();
      for (const pair of pairs) {
        if (pair.isAbandoned()) pair.destroy();
        else pair.flush();
      }
    },
    sever: () => {
      destroyAll();
      flow();
    },
    close: () => {
      state = "closed";
      stopListening();
      destroyAll();
    },
  };
}

interface Traffic {
  readonly isStalled: (direction: Direction) => boolean;
  readonly forwarded: (direction: Direction, chunk: Buffer) => void;
  readonly ended: () => void;
}

/** One worker connection and its counterpart at the service. */
interface Pair {
  /** Delivers what a stall held back. */
  flush(): void;
  /** Resets both sides; what is held is dropped. */
  destroy(): void;
  /** Whether the worker has closed its side. */
  isAbandoned(): boolean;
}

function openPair(worker: Socket, target: Target, traffic: Traffic): Pair {
  const service = openSocket({ ...target, allowHalfOpen: true, noDelay: true });
  const lanes: Lane[] = [];
  let open = 2;
  const closed = (): void => {
    open -= 1;
    if (open === 0) traffic.ended();
  };
  const destroy = (): void => {
    for (const lane of lanes) lane.drop();
    reset(worker);
    reset(service);
  };
  worker.on("close", closed);
  service.on("close", closed);
  // Before the service has accepted there are no lanes: whichever side fails takes the other with it.
  const failEarly = (): void => {
    if (lanes.length === 0) destroy();
  };
  worker.on("error", failEarly);
  service.on("error", failEarly);
  service.once("connect", () => {
    lanes.push(
      openLane(worker, service, "toService", traffic),
      openLane(service, worker, "toWorker", traffic),
    );
  });
  return {
    destroy,
    isAbandoned: () => worker.readableEnded || worker.destroyed,
    flush: () => {
      for (const lane of lanes) lane.flush();
    },
  };
}

interface Lane {
  flush(): void;
  drop(): void;
}

function openLane(source: Socket, sink: Socket, direction: Direction, traffic: Traffic): Lane {
  let held: Buffer[] = [];
  let heldBytes = 0;
  /** What the source's end becomes at the sink: a FIN, or a close once all is written. */
  let ending: "none" | "end" | "close" = "none";
  let dropped = false;

  const forward = (chunk: Buffer): void => {
    if (!sink.writable) return;
    if (!sink.write(chunk)) source.pause();
    traffic.forwarded(direction, chunk);
  };
  const finish = (): void => {
    if (ending === "end" && sink.writable) sink.end();
    if (ending === "close") sink.destroySoon();
  };
  const endsWith = (how: "end" | "close"): void => {
    if (dropped || ending === "close") return;
    ending = how;
    if (!traffic.isStalled(direction) && held.length === 0) finish();
  };

  source.on("data", (chunk: Buffer) => {
    if (dropped) return;
    if (!traffic.isStalled(direction)) return forward(chunk);
    held.push(chunk);
    heldBytes += chunk.length;
    if (heldBytes >= heldBytesPerLane) source.pause();
  });
  sink.on("drain", () => {
    if (!traffic.isStalled(direction) && !dropped) source.resume();
  });
  source.on("end", () => endsWith("end"));
  // Also after an error: what the source had sent before still goes on, then the sink sees a close.
  source.on("close", () => endsWith("close"));
  return {
    flush: () => {
      const chunks = held;
      held = [];
      heldBytes = 0;
      for (const chunk of chunks) forward(chunk);
      finish();
      if (!sink.writableNeedDrain) source.resume();
    },
    drop: () => {
      dropped = true;
      held = [];
    },
  };
}

/** A reset rather than a FIN: the peer learns at once, and what the kernel has not sent is not sent. */
function reset(socket: Socket): void {
  if (socket.destroyed) return;
  if (socket.connecting) socket.destroy();
  else socket.resetAndDestroy();
}

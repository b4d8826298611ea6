/** Real sockets for the link's tests: a service, clients, and a look at what has arrived. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type OpenLink, openLink } from "./link.ts";
import { freePort } from "./ports.ts";
import { until } from "./readiness.ts";

const cleanups: (() => unknown)[] = [];

/** To be called after each test. */
export async function cleanUp(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}

/** Adds to what is undone after the test. */
export const undo = (cleanup: () => unknown): void => void cleanups.push(cleanup);

export interface Service {
  readonly port: number;
  readonly sockets: Socket[];
  /** All bytes each connection has received so far, in order of arrival. */
  received(): string;
  /** How often a connection ended or broke. */
  closes(): number;
}

export async function startService(onSocket: (socket: Socket) => void = () => {}): Promise<Service> {
  const sockets: Socket[] = [];
  const chunks: Buffer[] = [];
  let closes = 0;
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("close", () => {
      closes += 1;
    });
    socket.on("data", (chunk) => chunks.push(chunk));
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: address.port,
    sockets,
    received: () => Buffer.concat(chunks).toString(),
    closes: () => closes,
  };
}

export async function startLink(servicePort: number): Promise<OpenLink> {
  const port = await freePort();
  const link = await openLink({ port, target: () => ({ host: "127.0.0.1", port: servicePort }) });
  cleanups.push(() => link.close());
  return link;
}

interface Client {
  readonly socket: Socket;
  received(): string;
  error(): string | undefined;
}

export async function connectTo(port: number): Promise<Client> {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  const chunks: Buffer[] = [];
  let failure: string | undefined;
  socket.on("data", (chunk) => chunks.push(chunk));
  socket.on("error", (error: NodeJS.ErrnoException) => {
    failure = error.code;
  });
  cleanups.push(() => socket.destroy());
  await once(socket, "connect");
  return { socket, received: () => Buffer.concat(chunks).toString(), error: () => failure };
}

export const seen = (what: string, met: () => boolean): Promise<unknown> =>
  until(
    {
      what,
      probe: async () => {
        if (!met()) throw new Error("not so");
      },
    },
    { timeoutMs: 5_000, everyMs: 2 },
  );

/** Lets everything that is under way on the loopback arrive: some round trips elsewhere, and some turns. */
export async function settle(): Promise<void> {
  const bystander = createServer((socket) => socket.pipe(socket));
  await new Promise<void>((resolve) => bystander.listen(0, "127.0.0.1", resolve));
  const socket = connect((bystander.address() as { port: number }).port, "127.0.0.1");
  for (let trip = 0; trip < 20; trip += 1) {
    socket.write("ping");
    await once(socket, "data");
    for (let turn = 0; turn < 10; turn += 1) await nextTurn();
  }
  socket.destroy();
  bystander.close();
}

/** Resolves at the end of a connection, broken or not. */
export const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.once("close", () => resolve());
  });

export const connectFails = async (port: number): Promise<string> => {
  const socket = connect({ host: "127.0.0.1", port });
  const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
  return error.code ?? "";
};

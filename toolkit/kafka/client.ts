/** The kafkajs client as this toolkit wants it: quick on the wire, quiet in the log, and closed when it is told to. */
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type ISocketFactory, Kafka, type LogEntry, logLevel, type RetryOptions } from "kafkajs";
import { type Log, sparingly } from "../worker/log.ts";
import type { FetchTap } from "./fetch-tap.ts";

export interface ClientOptions {
  /** `host:port` each. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly requestTimeoutMs: number;
  readonly retry: RetryOptions;
  readonly log: Log;
  /** Gets what the brokers send. */
  readonly tap?: FetchTap;
}

/** What is read from a socket at once at most; it is copied from there, and the place used again. */
const readBytes = 128 * 1024;

export interface Client {
  readonly kafka: Kafka;
  /** Ends every connection at once, and lets no new one begin. */
  destroy(): void;
}

export function createClient(options: ClientOptions): Client {
  const sockets = new Set<Socket>();
  let destroyed = false;

  const socketFactory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
    if (destroyed) throw closedError();
    const socket = ssl
      ? connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...ssl }, onConnect)
      : options.tap === undefined
        ? connect({ host, port }, onConnect)
        : connectTapped(options.tap, host, port, onConnect);
    // Requests are small and waited for: Nagle's algorithm would hold them back.
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 10_000);
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    return socket;
  };

  return {
    kafka: new Kafka({
      brokers: [...options.brokers],
      clientId: options.clientId,
      connectionTimeout: 3_000,
      requestTimeout: options.requestTimeoutMs,
      retry: options.retry,
      socketFactory,
      logLevel: logLevel.ERROR,
      logCreator: () =>
        quietLog((line) => {
          if (!destroyed) options.log(line);
        }),
    }),
    destroy() {
      destroyed = true;
      // With an error, because kafkajs does not listen to the end of a socket as such.
      for (const socket of sockets) socket.destroy(closedError());
    },
  };
}

/** A connection whose bytes are read into one buffer, again and again, and come to kafkajs through the tap. */
function connectTapped(tap: FetchTap, host: string, port: number, onConnect: () => void): Socket {
  let feed: (chunk: Uint8Array) => void = () => {};
  const socket = connect(
    {
      host,
      port,
      onread: {
        buffer: Buffer.allocUnsafeSlow(readBytes),
        callback(count, buffer) {
          feed(buffer.subarray(0, count));
          return true;
        },
      },
    },
    onConnect,
  );
  ({ feed } = tap.attach(socket));
  return socket;
}

const closedError = () => new Error("the Kafka client is closed");

/** Errors that are the ordinary life of a group, or are told of elsewhere. */
const ordinary =
  /rebalancing|rejoin is needed|coordinator is not available|not the correct coordinator|coordinator is loading|loading hence|not aware of this member|generation id is not|^Crash:|^Restarting/i;

/** One line for each error that matters; the same one again only after a while, because a retry repeats it. */
export function quietLog(log: Log): (entry: LogEntry) => void {
  const say = sparingly(log);
  return ({ log: entry }) => {
    const detail = typeof entry.error === "string" ? `: ${entry.error}` : "";
    const line = `${entry.message}${detail}`;
    if (!ordinary.test(line)) say(`kafka: ${line}`);
  };
}

/** Opens Redis with the limits a worker needs. The only place, with its neighbours, that imports the client. */
import { Redis } from "ioredis";
import { type Log, logToStderr, sparingly } from "../worker/log.ts";

export type RedisClient = Redis;

export interface RedisOptions {
  /**
   * `fail`: a command that finds no Redis fails at once, and one that gets no answer soon, so that its caller can hold
   * back.
   * `wait`: it waits until Redis is back, however long that is; what blocks on Redis anyway needs this.
   */
  readonly whenAway: "fail" | "wait";
  /** Told when the connection is lost, in one line, and not again and again. Default: stderr. */
  readonly log?: Log;
}

const failing = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  // A network that swallows everything is noticed too.
  commandTimeout: 3_000,
};
const firstWaitMs = 25;
const longestWaitMs = 250;

/**
 * Connects in the background and, when the connection is lost, again and again until `quit` or `disconnect`.
 * A command that was sent when the connection broke is sent again (`wait`) or fails (`fail`); whether it had its effect
 * is unknown in both cases, so send only what may be sent twice.
 * @param url `redis://:password@host:port`
 */
export function openRedis(url: string, { whenAway, log = logToStderr }: RedisOptions): RedisClient {
  const say = sparingly(log);
  const client = new Redis(url, {
    ...(whenAway === "fail" ? failing : { maxRetriesPerRequest: null }),
    retryStrategy: (times) => Math.min(firstWaitMs * 2 ** (times - 1), longestWaitMs),
    enableReadyCheck: true,
    keepAlive: 10_000,
  });
  // Without a listener ioredis writes each failed attempt to stderr.
  client.on("error", (error: Error) => say(`redis: ${error.message}`));
  return client;
}

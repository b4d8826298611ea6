/**
 * A source that is pushed: `POST /events`, one event a request. Nobody who sends a request can be made to wait for
 * demand, so there are two honest answers: take the event, while there is room, or say no at once, so that the sender
 * keeps it.
 *
 * | answer | when |
 * |---|---|
 * | 202 | the event is **stored**: written and acknowledged by the pipeline, and never before |
 * | 400 | `read` refuses the body; its reason is in the answer |
 * | 413 | the body is longer than `maxBodyBytes`; what comes of it is thrown away |
 * | 422 | the pipeline failed the event, and the failure is stored |
 * | 429 | no room. Decided on the headers: no body is kept, nothing is queued. `Retry-After` says when to come back |
 * | 503 | the worker is stopping. `Retry-After` is set, and the connection is closed after it |
 *
 * Room is the pipeline's demand: as many requests are open as it has asked for, which is never more than its
 * `maxInFlight`. Whoever got no answer (a crash, a broken connection) does not know whether the event is stored and
 * sends it again: at least once, as from Kafka, so `write` must be idempotent.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Server as NetServer } from "node:net";
import { type Assignment, Message } from "../pipeline/message.ts";
import type { Source, SourceSink } from "../pipeline/source.ts";
import { BodyTooLarge, readBody } from "./body.ts";

export interface HttpSourceOptions<Value> {
  /** Where to listen. 0 for a free port, which `address` tells. */
  readonly port: number;
  /** Default 127.0.0.1: nobody but this machine. */
  readonly host?: string;
  /** Default `/events`. */
  readonly path?: string;
  /** Longest body. Default 64 KiB. Bodies in memory are at most this times the pipeline's `maxInFlight`. */
  readonly maxBodyBytes?: number;
  /** What `Retry-After` says, in whole seconds. Minimum and default 1. */
  readonly retryAfterSeconds?: number;
  /** How long a request may take to arrive; a slow one holds a place. Default 5,000 ms, then 408. */
  readonly requestTimeoutMs?: number;
  /**
   * When 202 is said. `stored` (default): see above. `taken`: as soon as the event has a place. Then a crash loses up to
   * `maxInFlight` events whose senders were told that all is well; for events that may be lost, and no others.
   */
  readonly answer?: "stored" | "taken";
  /** Makes a value of a body. What it throws is the 400's reason. */
  read(body: Buffer): Value;
}

/** A request as it came. */
export interface HttpRecord {
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export interface HttpSource<Value> extends Source<Value, HttpRecord> {
  /** `http://host:port`, once open. */
  readonly address: string;
}

export function httpSource<Value>(options: HttpSourceOptions<Value>): HttpSource<Value> {
  const { host = "127.0.0.1", path = "/events", maxBodyBytes = 64 * 1024, answer = "stored" } = options;
  const retryAfter = String(Math.max(1, Math.ceil(options.retryAfterSeconds ?? 1)));
  const name = `http ${path}`;
  const assignment: Assignment = { topic: name, partition: 0, generation: 0, revoked: false };
  /** Who waits for an answer, by the offset of the event. */
  const unanswered = new Map<number, ServerResponse>();
  let sink: SourceSink<Value, HttpRecord> | undefined;
  /** Asked for, and neither delivered nor promised to a request whose body is on its way. */
  let room = 0;
  let next = 0;
  let isPaused = false;
  let isStopping = false;
  let server: Server | undefined;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url !== path) return refuse(request, response, 404, `there is only POST ${path}`);
    if (request.method !== "POST") return refuse(request, response, 405, "POST only", { allow: "POST" });
    if (isStopping) return stopping(request, response);
    if (Number(request.headers["content-length"] ?? 0) > maxBodyBytes) return tooLarge(request, response);
    // Before the body is read: what there is no room for is not taken in.
    if (room === 0 || isPaused) return noRoom(request, response);
    room -= 1;
    let isTaken = false;
    try {
      const body = await readBody(request, maxBodyBytes);
      if (isStopping) return stopping(request, response);
      if (isPaused) return noRoom(request, response);
      isTaken = take(request, response, body);
    } catch (error) {
      if (error instanceof BodyTooLarge) tooLarge(request, response);
      // Else the sender went away, or was too slow: there is nobody to answer.
      else response.destroy();
    } finally {
      if (!isTaken) room += 1;
    }
  }

  /** Whether the event went into the pipeline; if not, it is answered. */
  function take(request: IncomingMessage, response: ServerResponse, body: Buffer): boolean {
    let value: Value;
    try {
      value = options.read(body);
    } catch (error) {
      refuse(request, response, 400, error instanceof Error ? error.message : String(error));
      return false;
    }
    const offset = next++;
    if (answer === "taken") reply(response, 202);
    else unanswered.set(offset, response);
    sink?.deliver([
      new Message<Value, HttpRecord>(value, { headers: request.headers, body }, assignment, offset),
    ]);
    return true;
  }

  function noRoom(request: IncomingMessage, response: ServerResponse): void {
    refuse(request, response, 429, "no room", { "retry-after": retryAfter });
  }

  function stopping(request: IncomingMessage, response: ServerResponse): void {
    refuse(request, response, 503, "stopping", { "retry-after": retryAfter, connection: "close" });
  }

  function tooLarge(request: IncomingMessage, response: ServerResponse): void {
    refuse(request, response, 413, `at most ${maxBodyBytes} bytes`);
  }

  return {
    name,
    get address() {
      const bound = server?.address();
      if (typeof bound !== "object" || bound === null) throw new Error(`${name} is not open`);
      return `http://${host}:${bound.port}`;
    },
    async open(given) {
      sink = given;
      const opened = createServer(
        // Senders keep their connections for as long as they like.
        {
          keepAliveTimeout: 60_000,
          requestTimeout: options.requestTimeoutMs ?? 5_000,
          connectionsCheckingInterval: 1_000,
        },
        (request, response) => void handle(request, response),
      );
      server = opened;
      await new Promise<void>((resolve, reject) => {
        opened.once("error", reject);
        opened.listen(options.port, host, resolve);
      });
      opened.on("error", (error) => given.fail(error));
    },
    request(count) {
      room += count;
    },
    acknowledge(messages) {
      for (const { offset, failure } of messages) {
        const response = unanswered.get(offset);
        unanswered.delete(offset);
        if (response === undefined) continue;
        if (failure === undefined) reply(response, 202);
        else reply(response, 422, failure.reason);
      }
    },
    pause() {
      isPaused = true;
    },
    resume() {
      isPaused = false;
    },
    async stop() {
      isStopping = true;
      // No new connections. Those that are open hear 503, or their own answer; http's own `close` would cut off idle
      // ones, with a request that is on its way in some of them.
      if (server !== undefined) NetServer.prototype.close.call(server);
    },
    async close() {
      isStopping = true;
      for (const response of unanswered.values()) {
        reply(response, 503, "not stored: send it again", { "retry-after": retryAfter, connection: "close" });
      }
      unanswered.clear();
      const closing = server;
      if (closing === undefined) return;
      await new Promise<void>((resolve) => {
        closing.close(() => resolve());
        closing.closeIdleConnections();
        // What is being answered gets its answer; whoever does not read it is cut off.
        setTimeout(() => closing.closeAllConnections(), closeWithinMs).unref();
      });
    },
  };
}

/** Within the second that a pipeline gives its source to close. */
const closeWithinMs = 500;

type Headers = Readonly<Record<string, string>>;

function reply(response: ServerResponse, status: number, text = "", headers: Headers = {}): void {
  if (response.destroyed || response.headersSent) return;
  const body = text === "" ? "" : `${text}\n`;
  response.writeHead(status, {
    "content-type": "text/plain",
    "content-length": Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
}

/**
 * An answer to a request whose body may still be on its way: what comes of it is thrown away, never kept. Where the
 * connection is to be closed, its end is awaited first, or the sender would see a broken connection and no answer.
 */
function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  text: string,
  headers: Headers = {},
): void {
  const answer = () => reply(response, status, text, headers);
  if (headers.connection === "close" && !request.complete) request.once("end", answer);
  else answer();
  request.resume();
}

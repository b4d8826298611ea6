/**
 * The gateway: `POST /payments/:eventId`, in a process of its own, so that neither probes nor proxies make it
 * late. It works for as long as the plan says, and notes of each call when it came, when it was answered, and how
 * many others were open then.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { monotonicOf } from "../monotonic.ts";
import { watchTurns } from "./lateness.ts";
import { answerTo, type GatewayOrder } from "./plan.ts";
import { type Attempts, type FromGateway, referencePath, type ToGateway, workHeader } from "./protocol.ts";

const path = /^\/payments\/([\w-]{1,100})$/;
const tellEveryMs = 200;

function tell(message: FromGateway): void {
  process.send?.(message);
}

interface Serving {
  /** The load begins. */
  start(atEpochMs: number): void;
  report(): Attempts;
  end(): void;
}

function serve(order: GatewayOrder): Serving {
  const eventIds: string[] = [];
  const arrivedMs: number[] = [];
  const answeredMs: number[] = [];
  const leftMs: number[] = [];
  const endLateMs: number[] = [];
  const turns = watchTurns();
  const status: number[] = [];
  const openAtArrival: number[] = [];
  const attemptsOf = new Map<string, number>();
  let accepted = 0;
  let open = 0;
  /** Of the load, on this process's monotonic clock; calls before it are answered and not noted. */
  let origin = Number.POSITIVE_INFINITY;
  const now = () => performance.now() - origin;

  function handle(request: IncomingMessage, response: ServerResponse): void {
    const isReference = request.url === referencePath;
    const eventId = isReference ? "" : path.exec(request.url ?? "")?.[1];
    if (request.method !== "POST" || eventId === undefined) {
      request.resume();
      response.writeHead(404).end("POST /payments/:eventId\n");
      return;
    }
    const atMs = now();
    const isNoted = atMs >= 0 && !isReference;
    /** Of the worker's. */
    const places = isReference ? 0 : 1;
    const index = isNoted ? eventIds.length : -1;
    const attempt = (attemptsOf.get(eventId) ?? 0) + 1;
    open += places;
    if (isNoted) {
      attemptsOf.set(eventId, attempt);
      eventIds.push(eventId);
      arrivedMs.push(atMs);
      answeredMs.push(Number.NaN);
      leftMs.push(Number.NaN);
      endLateMs.push(0);
      status.push(0);
      openAtArrival.push(open);
    }
    const answer = answerTo(order, { eventId, attempt, atMs });
    let timer: NodeJS.Timeout | undefined;
    let isOpen = true;
    const close = () => {
      isOpen = false;
      open -= places;
      clearTimeout(timer);
    };
    const finish = () => {
      if (!isOpen) return;
      // Closed before it is answered: the caller's next call can only come after the answer.
      close();
      const endMs = now();
      if (isNoted) {
        answeredMs[index] = endMs;
        // Its caller may have given up meanwhile.
        endLateMs[index] = turns.lateMs();
        status[index] = answer.status;
        if (answer.status === 200) accepted += 1;
      }
      const workedMs = isNoted ? endMs - atMs : performance.now() - cameAt;
      response.writeHead(answer.status, { "content-length": 0, [workHeader]: workedMs.toFixed(3) }).end();
    };
    const cameAt = performance.now();
    request.resume();
    request.once("end", () => {
      if (answer.status === 0) return;
      if (answer.workMs === 0) finish();
      else timer = setTimeout(finish, answer.workMs);
    });
    response.once("close", () => {
      if (!isOpen) return;
      close();
      if (!isNoted) return;
      leftMs[index] = now();
      endLateMs[index] = turns.lateMs();
    });
  }

  function report(): Attempts {
    return {
      eventIds,
      arrivedMs: Float64Array.from(arrivedMs),
      answeredMs: Float64Array.from(answeredMs),
      leftMs: Float64Array.from(leftMs),
      endLateMs: Float64Array.from(endLateMs),
      status: Uint16Array.from(status),
      open: Uint16Array.from(openAtArrival),
    };
  }

  // Workers may be silent for as long as they like, and keep their connections.
  const server = createServer({ keepAliveTimeout: 120_000, requestTimeout: 0 }, (request, response) => {
    response.sendDate = false;
    handle(request, response);
  });
  server.maxRequestsPerSocket = 0;
  server.on("error", (error) => fail(error));
  server.listen(0, "127.0.0.1", 1_024, () => {
    tell({ type: "ready", port: (server.address() as AddressInfo).port });
  });
  const counting = setInterval(
    () => tell({ type: "counters", counters: { attempts: eventIds.length, accepted, open } }),
    tellEveryMs,
  );
  return {
    start(atEpochMs) {
      origin = monotonicOf(atEpochMs);
    },
    report,
    end() {
      clearInterval(counting);
      turns.end();
      server.close();
      server.closeAllConnections();
    },
  };
}

function fail(error: Error): void {
  tell({ type: "failed", text: error.message });
  process.exitCode = 1;
  process.disconnect?.();
}

let serving: Serving | undefined;
process.on("message", (message: ToGateway) => {
  if (message.type === "order") {
    serving?.end();
    serving = serve(message.order);
  }
  if (message.type === "start") serving?.start(message.atEpochMs);
  if (message.type === "report" && serving !== undefined)
    tell({ type: "attempts", attempts: serving.report() });
});
// The harness is gone: so is the reason to answer.
process.on("disconnect", () => process.exit());
// Ctrl-C reaches the whole process group; the harness decides when this process ends.
process.on("SIGINT", () => undefined);

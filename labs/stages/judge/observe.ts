/**
 * The source and the consumers' work, in the harness: the subject is what lies between them. So demand is seen where it
 * arrives, and how fast a consumer works is not for the subject to say.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";
import type { DrillRun, Observation } from "../../../harness/drill.ts";
import { until } from "../../../harness/until.ts";
import { keyOf, type Round, roundsOf } from "./rounds.ts";

const ms = z.number();
const count = z.number().int().nonnegative();

/** One for each round that was begun, in order. */
const roundSchema = z.object({
  name: z.string(),
  startMs: ms,
  /** When the subject asked for the next round, or time was up. */
  endMs: ms,
  /** Whether the subject came to an end with it. */
  finished: z.boolean(),
  /** Demand at the source: how many were asked for, and how many were there. */
  asks: z.array(z.object({ atMs: ms, count, given: count })),
  /** What consumers worked on, a column each: events of one piece of work share its times. */
  handled: z.object({
    consumer: z.array(count),
    /** As the subject named them, however large: whether there is such an event is for the judge to say. */
    event: z.array(z.number()),
    fromMs: z.array(ms),
    toMs: z.array(ms),
  }),
});
export const seenSchema = z.object({ rounds: z.array(roundSchema) });

export type SeenRound = z.infer<typeof roundSchema>;
export type Seen = z.infer<typeof seenSchema>;

const paths = /^\/(?:next|([a-z]+)\/(ask|handle)\/(\d+))$/;

export async function observe(run: DrillRun): Promise<Observation<Seen>> {
  const rounds = roundsOf(run.parameter("unit"));
  const seen: SeenRound[] = [];
  let current: { readonly round: Round; readonly seen: SeenRound; given: number } | undefined;
  let isOver = false;
  let begunAt = 0;

  function finish(finished: boolean): void {
    if (current === undefined) return;
    current.seen.endMs = run.now();
    current.seen.finished = finished;
    current = undefined;
  }

  function next(response: ServerResponse): void {
    finish(true);
    const round = rounds[seen.length];
    if (round === undefined) {
      // Unanswered on purpose: the subject waits for SIGTERM.
      isOver = true;
      return;
    }
    if (seen.length === 0) run.begin();
    begunAt = run.now();
    const { name, dispatch } = round;
    run.say(`round ${name}`);
    const begun: SeenRound = {
      name,
      startMs: begunAt,
      endMs: begunAt,
      finished: false,
      asks: [],
      handled: { consumer: [], event: [], fromMs: [], toMs: [] },
    };
    current = { round, seen: begun, given: 0 };
    seen.push(begun);
    json(response, { name, dispatch, consumers: round.workMs.length });
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await textOf(request);
    const match = paths.exec(request.url ?? "");
    if (request.method !== "POST" || match === null) {
      response.writeHead(404).end("POST /next, /:round/ask/:count or /:round/handle/:consumer\n");
      return;
    }
    const [, name, verb, value] = match;
    if (verb === undefined) return next(response);
    const at = current;
    if (at === undefined || at.round.name !== name) {
      response.writeHead(409).end(`round ${name} is not under way\n`);
      return;
    }
    if (verb === "ask") {
      // A record holds no greater number; whoever asks for so many asks for too many.
      const count = Math.min(Number(value), Number.MAX_SAFE_INTEGER);
      const given = Math.min(count, at.round.events - at.given);
      const events = Array.from({ length: given }, (_, i) => ({
        number: at.given + i,
        key: keyOf(run.seed, at.given + i),
      }));
      at.given += given;
      at.seen.asks.push({ atMs: run.now(), count, given });
      json(response, { events, over: at.given === at.round.events });
      return;
    }
    const consumer = Number(value);
    const workMs = at.round.workMs[consumer];
    const events: unknown = parsed(body);
    if (workMs === undefined || !Array.isArray(events) || !events.every(Number.isInteger)) {
      response
        .writeHead(400)
        .end("the body is a JSON array of event numbers, the consumer one of the round's\n");
      return;
    }
    const { handled } = at.seen;
    const first = handled.event.length;
    const fromMs = run.now();
    for (const event of events) {
      handled.consumer.push(consumer);
      handled.event.push(event);
      handled.fromMs.push(fromMs);
      handled.toMs.push(Number.NaN);
    }
    setTimeout(() => {
      handled.toMs.fill(run.now(), first, first + events.length);
      json(response, {});
    }, workMs * events.length);
  }

  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  try {
    const { port } = server.address() as AddressInfo;
    await run.start({
      STAGES_URL: `http://127.0.0.1:${port}`,
      MAX_DEMAND: String(run.parameter("maxDemand")),
      MIN_DEMAND: String(run.parameter("minDemand")),
    });
    await run.untilReady("the subject to ask for its first round", () => seen.length > 0);
    const deadlineMs = run.parameter("roundDeadlineMs");
    await until("the rounds to be played", () => isOver || run.now() - begunAt > deadlineMs, {
      timeoutMs: deadlineMs * (rounds.length + 1),
      everyMs: 10,
      signal: run.signal,
    });
    finish(false);
    await run.terminate();
    return {
      seen: { rounds: seen.map(rounded) },
      phases: seen.map(({ name, startMs, endMs, handled }) => ({
        name,
        startMs,
        endMs,
        perSecond: Math.round((handled.event.length * 1_000) / Math.max(1, endMs - startMs)),
      })),
    };
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/** What was still being worked on when time was up, was so until then. */
function rounded(round: SeenRound): SeenRound {
  const { handled, endMs } = round;
  return {
    ...round,
    handled: { ...handled, toMs: handled.toMs.map((at) => (Number.isNaN(at) ? endMs : at)) },
  };
}

function json(response: ServerResponse, value: unknown): void {
  const body = JSON.stringify(value);
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

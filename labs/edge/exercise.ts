/**
 * The edge drill, yours to solve. This worker listens, calls the gateway, and fails the drill:
 *
 *     npx tsx labs/edge/run.ts --profile quick --subject exercise
 *
 * Server, calls and reading of bodies are done. Below are four TODOs; each names the criteria it earns. Do one, run
 * again, and see which verdict changed and which did not. README.md has the steps and hints.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { readBody } from "../../toolkit/http/body.ts";
import { openPoster } from "../../toolkit/http/poster.ts";
import { workerEnv } from "../../toolkit/worker/env.ts";

const env = workerEnv();
const { gatewayUrl, concurrency } = env;
const poster = openPoster();
const maxBodyBytes = 64 * 1024;

/** Taken in, and not called for yet. */
const waiting: { readonly eventId: string; readonly body: Buffer }[] = [];
let calls = 0;

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  // TODO 1: bounded-memory, answers-in-time, refuses-at-once
  // Nobody is ever refused. Count what was taken in and not answered; when that is env.maxInFlight, answer 429 with
  // Retry-After (whole seconds). Before the body is read: what you have no room for you do not want in memory.
  const body = await readBody(request, maxBodyBytes);

  // TODO 2: bad-requests
  // What cannot be read throws, and nobody is told. 400 for what is no event; 413 when readBody says BodyTooLarge.
  const { eventId } = JSON.parse(body.toString());
  waiting.push({ eventId, body });

  // TODO 3: lossless
  // 202, and the event is in a list in memory. Answer when the gateway has it, and not before.
  response.writeHead(202, { "content-length": 0 }).end();
  void work();
}

async function work(): Promise<void> {
  while (calls < concurrency) {
    const next = waiting.shift();
    if (next === undefined) return;
    calls += 1;
    await poster.post(`${gatewayUrl}/payments/${next.eventId}`, next.body);
    calls -= 1;
  }
}

const server = createServer((request, response) => {
  handle(request, response).catch(() => response.destroy());
});
server.listen(env.httpPort, "127.0.0.1");

// TODO 4: drains
// Stop listening, answer 503 to whoever still comes, finish what was taken in, answer it, and exit with 0.
process.once("SIGTERM", () => process.exit());

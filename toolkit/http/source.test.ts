import { Agent, type IncomingMessage, request } from "node:http";
import { afterEach, expect, test } from "vitest";
import { type Pipeline, startPipeline } from "../pipeline/pipeline.ts";
import { until } from "../testing/until.ts";
import { type HttpSource, type HttpSourceOptions, httpSource } from "./source.ts";

interface Order {
  readonly id: number;
}

function read(body: Buffer): Order {
  const { id } = JSON.parse(body.toString());
  if (typeof id !== "number") throw new TypeError("an order has an id");
  return { id };
}

let pipeline: Pipeline | undefined;
const agent = new Agent({ keepAlive: true });
afterEach(async () => {
  await pipeline?.stop({ deadlineMs: 0 });
});

/** A pipeline with room for `maxInFlight`, whose writes last until the test lets them go. */
async function edge(maxInFlight: number, options: Partial<HttpSourceOptions<Order>> = {}) {
  const source: HttpSource<Order> = httpSource({ port: 0, read, ...options });
  const stored: number[] = [];
  const failed: string[] = [];
  const gates: (() => void)[] = [];
  pipeline = startPipeline({
    source,
    maxInFlight,
    processors: { maxDemand: maxInFlight },
    process: (message) => (message.value.id < 0 ? message.fail("no such order") : message),
    batcher: { size: 1, concurrency: maxInFlight },
    async write({ values }) {
      await new Promise<void>((open) => gates.push(open));
      stored.push(...values.map(({ id }) => id));
    },
    failed: (messages) => void failed.push(...messages.map(({ failure }) => failure?.reason ?? "")),
  });
  await pipeline.ready;
  return { source, stored, failed, gates, pipeline, open: () => void gates.splice(0).map((open) => open()) };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
}

function send(url: string, body: string, method = "POST"): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request(url, { method, agent }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
      });
      response.once("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
      );
    })
      .once("error", reject)
      .end(body);
  });
}

const order = (id: number) => JSON.stringify({ id });

test("202 comes when the event is stored, and not before", async () => {
  const { source, stored, gates, open } = await edge(2);
  let answered = false;
  const answer = send(`${source.address}/events`, order(1)).then((one) => {
    answered = true;
    return one;
  });
  await until("the write", () => gates.length === 1);
  expect(answered).toBe(false);
  open();
  expect(await answer).toMatchObject({ status: 202 });
  expect(stored).toEqual([1]);
});

test("without room the answer is 429 with Retry-After, at once; with room again it is 202", async () => {
  const { source, stored, gates, open } = await edge(2, { retryAfterSeconds: 0.2 });
  const first = [1, 2].map((id) => send(`${source.address}/events`, order(id)));
  await until("both to be written", () => gates.length === 2);
  const refused = await Promise.all([3, 4, 5].map((id) => send(`${source.address}/events`, order(id))));
  for (const { status, headers } of refused) {
    expect(status).toBe(429);
    expect(headers["retry-after"]).toBe("1");
  }
  open();
  await Promise.all(first);
  const again = send(`${source.address}/events`, order(3));
  await until("the third write", () => gates.length === 1);
  open();
  expect((await again).status).toBe(202);
  expect(stored).toEqual([1, 2, 3]);
});

test("what is malformed, too large, refused by the pipeline or sent elsewhere is told so, and gives its place back", async () => {
  const { source, failed, gates, open } = await edge(1, { maxBodyBytes: 1_000 });
  const { address } = source;
  expect(await send(`${address}/events`, "{")).toMatchObject({ status: 400 });
  expect(await send(`${address}/events`, "{}")).toMatchObject({ status: 400, text: "an order has an id\n" });
  expect(await send(`${address}/events`, "x".repeat(1_000_000))).toMatchObject({ status: 413 });
  expect(await send(`${address}/events`, order(-1))).toMatchObject({ status: 422, text: "no such order\n" });
  expect(failed).toEqual(["no such order"]);
  expect(await send(`${address}/orders`, order(1))).toMatchObject({ status: 404 });
  expect(await send(`${address}/events`, "", "PUT")).toMatchObject({ status: 405 });
  const answer = send(`${address}/events`, order(1));
  await until("the write", () => gates.length === 1);
  open();
  expect((await answer).status).toBe(202);
});

test("a sender that goes away in the middle of its body leaves its place to others", {
  timeout: 4_000,
}, async () => {
  const { source } = await edge(1);
  /** Asks without taking a place for good: 400 while there is one, 429 when there is none. */
  const answered = async (status: number) => {
    while ((await send(`${source.address}/events`, "{")).status !== status);
  };
  const gone = request(`${source.address}/events`, { method: "POST", headers: { "content-length": 100 } });
  gone.on("error", () => undefined).write("{");
  await answered(429);
  gone.destroy();
  await answered(400);
});

test("stopping answers what is in flight, says 503 to who comes then, and listens no more", async () => {
  const { source, gates, open, pipeline } = await edge(2);
  const address = `${source.address}/events`;
  const first = send(address, order(1));
  await until("the write", () => gates.length === 1);
  // A kept connection, on which a request comes while the worker is stopping.
  expect((await send(address, "{")).status).toBe(400);
  const stopped = pipeline.stop();
  const late = await send(address, order(2));
  expect(late).toMatchObject({ status: 503, headers: { "retry-after": "1", connection: "close" } });
  await expect(send(address, order(3))).rejects.toThrow("ECONNREFUSED");
  open();
  expect((await first).status).toBe(202);
  expect(await stopped).toMatchObject({ written: 1, handedBack: 0 });
});

test("what could not be stored before the deadline is not accepted: 503, send it again", async () => {
  const { source, gates, pipeline } = await edge(1);
  const answer = send(`${source.address}/events`, order(1));
  await until("the write", () => gates.length === 1);
  expect(await pipeline.stop({ deadlineMs: 0 })).toMatchObject({ handedBack: 1 });
  expect(await answer).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
});

test("a paused pipeline has no room", async () => {
  const { source, pipeline } = await edge(5);
  pipeline.pause();
  expect((await send(`${source.address}/events`, order(1))).status).toBe(429);
});

test("answered as taken: 202 comes before the event is stored, within the same bound", async () => {
  const { source, gates, stored, open } = await edge(1, { answer: "taken" });
  expect((await send(`${source.address}/events`, order(1))).status).toBe(202);
  await until("the write", () => gates.length === 1);
  expect((await send(`${source.address}/events`, order(2))).status).toBe(429);
  open();
  await until("the event to be stored", () => stored.length === 1);
});

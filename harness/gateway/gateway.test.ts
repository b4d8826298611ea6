import { readFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { descendantsOf, processTable } from "../probe/processes.ts";
import { pauseFor, until } from "../until.ts";
import { attribute } from "./attach.ts";
import { type RunningGateway, startGateway } from "./gateway.ts";
import { measureCallOverhead } from "./overhead.ts";
import { answerTo, orderOf } from "./plan.ts";
import { startReference } from "./reference.ts";

let gateway: RunningGateway | undefined;
afterEach(async () => {
  await gateway?.close();
  gateway = undefined;
});

const agent = new Agent({ keepAlive: true });

function post(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    request(url, { method: "POST", agent }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
    })
      .once("error", reject)
      .end('{"eventId":"a"}');
  });
}

test("the work time is that of the phase in which a call comes; the last one holds to the end", () => {
  const phases = [10, 20, 30].map((forMs) => ({ name: "p", forMs, perSecond: 1 }));
  const order = orderOf({ workMs: [2, 5, 7] }, phases, 1);
  const at = (atMs: number) => answerTo(order, { eventId: "e", attempt: 1, atMs }).workMs;
  expect([-1, 0, 9.9, 10, 29.9, 30, 1e9].map(at)).toEqual([2, 2, 2, 5, 5, 7, 7]);
  expect(() => orderOf({ workMs: [2] }, phases, 1)).toThrow("3, and not 1");
});

describe("what a call is told", () => {
  const trouble = new Map<string, { status: 0 | 422 | 503; times: number }>([
    ["flaky", { status: 503, times: 2 }],
    ["refused", { status: 422, times: Number.POSITIVE_INFINITY }],
    ["silent", { status: 0, times: 1 }],
  ]);
  const order = {
    seed: 1,
    steps: [{ startMs: 0, workMs: 1 }],
    trouble,
    brownOut: { startMs: 100, endMs: 200, easesMs: 100 },
  };
  const statusOf = (eventId: string, attempt: number, atMs: number) =>
    answerTo(order, { eventId, attempt, atMs }).status;

  test("trouble counts attempts: some times later, always never, or no answer at all", () => {
    expect([1, 2, 3].map((attempt) => statusOf("flaky", attempt, 0))).toEqual([503, 503, 200]);
    expect([1, 2, 99].map((attempt) => statusOf("refused", attempt, 0))).toEqual([422, 422, 422]);
    expect([1, 2].map((attempt) => statusOf("silent", attempt, 0))).toEqual([0, 200]);
  });

  test("in a brown-out everybody is told to come later; afterwards fewer and fewer are", () => {
    expect([99.9, 100, 199.9, 300].map((atMs) => statusOf("healthy", 1, atMs))).toEqual([200, 503, 503, 200]);
    expect(statusOf("refused", 1, 150)).toBe(503);
    const failing = (atMs: number) =>
      Array.from({ length: 400 }, (_, i) => statusOf(`event-${i}`, 1, atMs)).filter((one) => one === 503)
        .length / 400;
    expect(failing(225)).toBeCloseTo(0.75, 1);
    expect(failing(275)).toBeCloseTo(0.25, 1);
    expect(statusOf("event-1", 1, 250)).toBe(statusOf("event-1", 1, 250));
  });
});

test("a gateway that was released serves the next plan, and knows nothing of the one before", async () => {
  const order = (workMs: number) => ({ seed: 1, steps: [{ startMs: 0, workMs }], trouble: new Map() });
  const first = await startGateway(order(1));
  first.start(Date.now());
  await post(`${first.url}/payments/a`);
  expect((await first.report()).eventIds).toEqual(["a"]);
  first.release();
  gateway = await startGateway(order(30));
  await expect(post(`${first.url}/payments/a`)).rejects.toThrow();
  gateway.start(Date.now());
  await post(`${gateway.url}/payments/b`);
  const { eventIds, arrivedMs, answeredMs } = await gateway.report();
  expect(eventIds).toEqual(["b"]);
  expect((answeredMs[0] ?? 0) - (arrivedMs[0] ?? 0)).toBeGreaterThanOrEqual(29);
});

test("a silent call stays open until its caller gives up", async () => {
  gateway = await startGateway({
    seed: 1,
    steps: [{ startMs: 0, workMs: 1 }],
    trouble: new Map([["silent", { status: 0, times: 1 }]]),
  });
  gateway.start(Date.now());
  const call = request(`${gateway.url}/payments/silent`, { method: "POST" });
  call.on("error", () => undefined).end("{}");
  const { counters } = gateway;
  await until("the call to be open", () => counters().open === 1, { timeoutMs: 2_000 });
  call.destroy();
  await until("the caller to be gone", () => counters().open === 0, { timeoutMs: 2_000 });
  expect(await post(`${gateway.url}/payments/silent`)).toBe(200);
  expect([...(await gateway.report()).status]).toEqual([0, 200]);
});

test("calls of the load are noted with their order, time, answer and company; earlier ones are not", async () => {
  gateway = await startGateway({ seed: 1, steps: [{ startMs: 0, workMs: 30 }] });
  expect(await post(`${gateway.url}/payments/too-early`)).toBe(200);
  gateway.start(Date.now());
  const began = Date.now();
  const calls = ["a", "b", "c"].map((id) => post(`${gateway?.url}/payments/${id}`));
  expect(await Promise.all(calls)).toEqual([200, 200, 200]);
  expect(Date.now() - began).toBeGreaterThanOrEqual(28);
  expect(await post(`${gateway.url}/payments/a`)).toBe(200);
  const { eventIds, arrivedMs, answeredMs, status, open } = await gateway.report();
  expect([...eventIds].sort()).toEqual(["a", "a", "b", "c"]);
  expect([...status]).toEqual([200, 200, 200, 200]);
  expect([...open]).toEqual([1, 2, 3, 1]);
  for (const [i, at] of arrivedMs.entries()) {
    expect((answeredMs[i] ?? 0) - at).toBeGreaterThan(25);
    expect((answeredMs[i] ?? 0) - at).toBeLessThan(1_000);
  }
  const { counters } = gateway;
  await until("the counters to tell of four calls", () => counters().accepted === 4, { timeoutMs: 2_000 });
  expect(counters()).toEqual({ attempts: 4, accepted: 4, open: 0 });
});

test("a caller that goes away frees its place, and its call has no answer", async () => {
  gateway = await startGateway({ seed: 1, steps: [{ startMs: 0, workMs: 5_000 }] });
  gateway.start(Date.now());
  const gone = request(`${gateway.url}/payments/gone`, { method: "POST" });
  gone.on("error", () => undefined).end("{}");
  const { counters } = gateway;
  await until("the call to be open", () => counters().open === 1, { timeoutMs: 2_000 });
  gone.destroy();
  await until("the place to be free", () => counters().open === 0, { timeoutMs: 2_000 });
  const { answeredMs, arrivedMs, leftMs, status } = await gateway.report();
  expect([...answeredMs]).toEqual([Number.NaN]);
  expect(leftMs[0]).toBeGreaterThanOrEqual(arrivedMs[0] ?? Number.NaN);
  expect([...status]).toEqual([0]);
});

/** The gateways of this process, frozen and thawed. */
async function signalGateways(signal: "SIGSTOP" | "SIGCONT"): Promise<void> {
  for (const pid of descendantsOf(await processTable(), [process.pid])) {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (command.includes("gateway/service")) process.kill(pid, signal);
  }
}

test.runIf(process.platform === "linux")(
  "a gateway that was held up when a caller left says how much earlier that may have been",
  async () => {
    gateway = await startGateway({ seed: 1, steps: [{ startMs: 0, workMs: 5_000 }] });
    const startedAt = Date.now();
    gateway.start(startedAt);
    const calls = ["early", "late"].map((id) => {
      const call = request(`${gateway?.url}/payments/${id}`, { method: "POST" });
      call.on("error", () => undefined).end("{}");
      return call;
    });
    const { counters } = gateway;
    await until("the calls to be open", () => counters().open === 2, { timeoutMs: 2_000 });
    calls[0]?.destroy();
    await until("one to have left", () => counters().open === 1, { timeoutMs: 2_000 });
    await signalGateways("SIGSTOP");
    calls[1]?.destroy();
    const goneMs = Date.now() - startedAt;
    await pauseFor(400);
    await signalGateways("SIGCONT");
    await until("the other to have left", () => counters().open === 0, { timeoutMs: 2_000 });
    const { eventIds, leftMs, endLateMs } = await gateway.report();
    const late = eventIds.indexOf("late");
    expect(leftMs[late]).toBeGreaterThan(goneMs + 350);
    expect((leftMs[late] ?? 0) - (endLateMs[late] ?? 0)).toBeLessThanOrEqual(goneMs + 5);
    expect(endLateMs[1 - late]).toBeLessThan(200);
  },
);

test("what is no payment is refused and not noted", async () => {
  gateway = await startGateway({ seed: 1, steps: [{ startMs: 0, workMs: 0 }] });
  gateway.start(Date.now());
  expect(await post(`${gateway.url}/payment/a`)).toBe(404);
  expect((await gateway.report()).eventIds).toEqual([]);
});

test("the overhead of a call is what remains without the gateway's work", async () => {
  gateway = await startGateway({ seed: 1, steps: [{ startMs: 0, workMs: 100 }] });
  const overhead = await measureCallOverhead({ url: gateway.url, concurrency: 16, bodyBytes: 4_000 });
  expect(overhead.samples).toBe(200);
  expect(overhead.p50Ms).toBeGreaterThan(0);
  expect(overhead.p50Ms).toBeLessThan(100);
});

test("calls are told by the message they are for; an event id that was never sent is a stranger", () => {
  const attempts = {
    eventIds: ["b", "x", "a", "b"],
    arrivedMs: Float64Array.of(1, 2, 3, 4),
    answeredMs: Float64Array.of(2, 3, Number.NaN, 5),
    leftMs: Float64Array.of(Number.NaN, Number.NaN, 3.5, Number.NaN),
    endLateMs: Float64Array.of(0, 0, 1.234, 0),
    status: Uint16Array.of(200, 200, 0, 200),
    open: Uint16Array.of(1, 1, 1, 2),
  };
  const ids = ["a", undefined, "b"];
  const { attempts: told, strangers } = attribute(attempts, { length: 3, eventId: (i) => ids[i] });
  expect(told.message).toEqual([2, -1, 0, 2]);
  expect(told.answeredMs).toEqual([2, 3, null, 5]);
  expect(told.leftMs).toEqual([null, null, 3.5, null]);
  expect(told.endLateMs).toEqual([0, 0, 1.23, 0]);
  expect(strangers).toEqual(["x"]);
});

test("the reference caller measures while the load runs, and its calls are nobody's", async () => {
  const steps = [
    { startMs: 0, workMs: 1 },
    { startMs: 1, workMs: 40 },
  ];
  gateway = await startGateway({ seed: 1, steps });
  const reference = startReference();
  try {
    const order = { url: gateway.url, concurrency: 2, bodyBytes: 4_000 };
    expect((await reference.calibrate(order)).samples).toBe(200);
    const startedAt = Date.now();
    gateway.start(startedAt);
    reference.start(startedAt);
    const { atMs, overheadMs } = await until(
      "the first calls",
      async () => {
        const samples = await reference.report();
        return samples.atMs.length >= 5 && samples;
      },
      { timeoutMs: 5_000 },
    );
    expect(overheadMs.length).toBe(atMs.length);
    expect(Math.min(...atMs)).toBeGreaterThan(0);
    for (const [i, at] of atMs.entries()) {
      expect(at).toBeGreaterThan(atMs[i - 1] ?? 0);
      expect(overheadMs[i]).toBeGreaterThan(0);
    }
    // It is calling nearly all of the time.
    for (const id of ["a", "b", "c"]) expect(await post(`${gateway.url}/payments/${id}`)).toBe(200);
    const { eventIds, open } = await gateway.report();
    expect(eventIds).toEqual(["a", "b", "c"]);
    expect([...open]).toEqual([1, 1, 1]);
  } finally {
    await reference.close();
  }
});

test("a reference caller whose gateway is gone says so, and ends the wait for its report", async () => {
  gateway = await startGateway({ seed: 1, steps: [{ startMs: 0, workMs: 0 }] });
  const reference = startReference();
  try {
    await reference.calibrate({ url: gateway.url, concurrency: 1, bodyBytes: 100 });
    await gateway.close();
    reference.start(Date.now());
    const failure = await until("its failure", () => reference.report().then(() => undefined, String), {
      timeoutMs: 5_000,
    });
    expect(failure).toContain("the reference caller failed while the harness waited");
  } finally {
    await reference.close();
  }
});

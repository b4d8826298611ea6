/**
 * A client that does not wait: one request a message, each at its due time, whatever became of the ones before it. In a
 * process of its own, so that nothing of the harness makes it late. It never sends a refused message again: what is
 * asked is what the worker did with each.
 */
import { Agent, type IncomingMessage, request } from "node:http";
import { planMessages } from "../load/messages.ts";
import { dueTimes, schedule } from "../load/schedule.ts";
import { monotonicOf } from "../monotonic.ts";
import type { FloodOrder, FromFlood, Requests, ToFlood } from "./protocol.ts";

const tickMs = 2;
/** After the last request: who has not answered by then has not answered. */
const lastAnswerMs = 12_000;

function tell(message: FromFlood): void {
  process.send?.(message, () => undefined);
}

function prepare({ url, seed, load }: FloodOrder): (atEpochMs: number) => void {
  const plan = planMessages(seed, load, 1);
  const dueMs = dueTimes(schedule(load.phases));
  const agent = new Agent({ keepAlive: true });
  const requests: Requests = {
    sentMs: new Float64Array(plan.length).fill(Number.NaN),
    answeredMs: new Float64Array(plan.length).fill(Number.NaN),
    status: new Uint16Array(plan.length),
    retryAfterSeconds: new Float64Array(plan.length).fill(Number.NaN),
  };
  let origin = 0;
  let next = 0;
  let open = 0;
  let giveUpAt = Number.POSITIVE_INFINITY;
  const now = () => performance.now() - origin;

  function send(index: number): void {
    const body = plan.value(index) ?? Buffer.alloc(0);
    const headers = { "content-type": "application/json", "content-length": body.length };
    let isOver = false;
    const over = () => {
      if (isOver) return;
      isOver = true;
      open -= 1;
    };
    open += 1;
    requests.sentMs[index] = now();
    const call = request(url, { method: "POST", agent, headers }, (response: IncomingMessage) => {
      requests.answeredMs[index] = now();
      requests.status[index] = response.statusCode ?? 0;
      const retryAfter = response.headers["retry-after"];
      if (retryAfter !== undefined) requests.retryAfterSeconds[index] = Number(retryAfter);
      response.resume().once("close", over);
    });
    // Refused or broken off: no answer, which is an observation and no error of ours.
    call.once("error", over).once("close", over);
    call.end(body);
  }

  function tick(): void {
    while (next < plan.length && (dueMs[next] ?? 0) <= now()) send(next++);
    if (next < plan.length) return;
    giveUpAt = Math.min(giveUpAt, now() + lastAnswerMs);
    if (open > 0 && now() < giveUpAt) return;
    clearInterval(timer);
    agent.destroy();
    tell({ type: "done", requests });
  }

  let timer: NodeJS.Timeout;
  return (atEpochMs) => {
    origin = monotonicOf(atEpochMs);
    timer = setInterval(tick, tickMs);
  };
}

let begin: ((atEpochMs: number) => void) | undefined;
process.on("message", (message: ToFlood) => {
  if (message.type === "order") {
    begin = prepare(message.order);
    tell({ type: "ready", planned: dueTimes(schedule(message.order.load.phases)).length });
  }
  if (message.type === "start") begin?.(message.atEpochMs);
});
// The harness is gone: so is the reason to send.
process.on("disconnect", () => process.exit());
// Ctrl-C reaches the whole process group; the harness decides when this process ends.
process.on("SIGINT", () => undefined);

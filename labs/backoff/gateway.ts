/** One call to the gateway, and what came of it as an outcome. */
import { Agent, request } from "node:http";
import { retryAfterMs } from "../../toolkit/jobs/backoff.ts";
import { dead, type Outcome, ok, retry } from "../../toolkit/jobs/outcome.ts";

export interface Gateway {
  /** Never rejects: what goes wrong on the way is an outcome too. */
  pay(eventId: string, body: string): Promise<Outcome>;
  close(): void;
}

/** Shorter than a place can be spared for an event that gets no answer. */
const answerWithinMs = 400;

/** @param url without a slash at its end */
export function openGateway(url: string): Gateway {
  const agent = new Agent({ keepAlive: true });
  return {
    pay: (eventId, body) =>
      new Promise((resolve) => {
        const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
        const call = request(`${url}/payments/${eventId}`, { method: "POST", agent, headers }, (answer) => {
          answer.resume();
          const { statusCode = 0, headers: told } = answer;
          answer.once("end", () => resolve(outcomeOf(statusCode, told["retry-after"])));
          answer.once("error", (error) => resolve(retry("unreachable", error.message)));
        });
        const timer = setTimeout(() => {
          resolve(retry("timeout", `no answer in ${answerWithinMs} ms`));
          call.destroy();
        }, answerWithinMs);
        call.once("close", () => clearTimeout(timer));
        call.once("error", (error) => resolve(retry("unreachable", error.message)));
        call.end(body);
      }),
    close: () => agent.destroy(),
  };
}

function outcomeOf(status: number, retryAfter: string | undefined): Outcome {
  if (status === 200) return ok;
  if (status === 422) return dead("refused", "the gateway refuses it (422)");
  return retry("unavailable", `the gateway answered ${status}`, retryAfterMs(retryAfter, Date.now()));
}

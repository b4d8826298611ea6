/** The way to the gateway: kept connections, and so many calls at once. */
import { Agent, request } from "node:http";

export interface Gateway {
  /** One call: 200 accepted, 422 never will be, 503 later; 0 without an answer. Waits for a free connection. */
  pay(eventId: string, body: Buffer): Promise<number>;
  close(): void;
}

const answerWithinMs = 5_000;

/**
 * @param url without a slash at its end
 * @param calls at once; others wait, the oldest first
 */
export function openGateway(url: string, calls: number): Gateway {
  const agent = new Agent({ keepAlive: true, maxSockets: calls, scheduling: "fifo" });
  return {
    pay: (eventId, body) =>
      new Promise((resolve) => {
        const headers = { "content-type": "application/json", "content-length": body.length };
        const call = request(`${url}/payments/${eventId}`, { method: "POST", agent, headers }, (answer) => {
          answer.resume();
          answer.once("end", () => resolve(answer.statusCode ?? 0));
          answer.once("error", () => resolve(0));
        });
        call.setTimeout(answerWithinMs, () => call.destroy());
        call.once("error", () => resolve(0));
        call.end(body);
      }),
    close: () => agent.destroy(),
  };
}

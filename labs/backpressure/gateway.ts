/** The way to the gateway: kept connections, and one call at a time on each. */
import { Agent, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

export interface Gateway {
  /**
   * Resolves when the gateway accepted the event; tries again, with a growing wait, for as long as it says "later"
   * or does not answer. Rejects when it refuses the event for good.
   */
  accept(eventId: string, body: Buffer): Promise<void>;
  close(): void;
}

const answerWithinMs = 10_000;
const firstWaitMs = 50;
const longestWaitMs = 2_000;

/** @param url without a slash at its end */
export function openGateway(url: string): Gateway {
  const agent = new Agent({ keepAlive: true });

  /** The status of one call. Rejects without an answer. */
  function post(eventId: string, body: Buffer): Promise<number> {
    return new Promise((resolve, reject) => {
      const headers = { "content-type": "application/json", "content-length": body.length };
      const call = request(`${url}/payments/${eventId}`, { method: "POST", agent, headers }, (answer) => {
        answer.resume();
        answer.once("end", () => resolve(answer.statusCode ?? 0));
        answer.once("error", reject);
      });
      call.setTimeout(answerWithinMs, () => call.destroy(new Error(`no answer in ${answerWithinMs} ms`)));
      call.once("error", reject);
      call.end(body);
    });
  }

  return {
    async accept(eventId, body) {
      for (let waitMs = firstWaitMs; ; waitMs = Math.min(longestWaitMs, waitMs * 2)) {
        const status = await post(eventId, body).catch(() => 503);
        if (status === 200) return;
        if (status === 422) throw new Error(`the gateway refuses event ${eventId}`);
        await delay(waitMs);
      }
    },
    close: () => agent.destroy(),
  };
}

/** Calls over kept connections. */
import { Agent, request } from "node:http";

export interface Poster {
  /** The status of one call. Rejects without an answer within the deadline. */
  post(url: string, body: Buffer): Promise<number>;
  close(): void;
}

/** @param answerWithinMs deadline of a call */
export function openPoster(answerWithinMs = 10_000): Poster {
  const agent = new Agent({ keepAlive: true });
  return {
    post: (url, body) =>
      new Promise((resolve, reject) => {
        const headers = { "content-type": "application/json", "content-length": body.length };
        const call = request(url, { method: "POST", agent, headers }, (answer) => {
          answer.resume();
          answer.once("end", () => resolve(answer.statusCode ?? 0));
          answer.once("error", reject);
        });
        call.setTimeout(answerWithinMs, () => call.destroy(new Error(`no answer in ${answerWithinMs} ms`)));
        call.once("error", reject);
        call.end(body);
      }),
    close: () => agent.destroy(),
  };
}

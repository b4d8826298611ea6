/**
 * Calls over kept connections. Not `fetch`: its first use loads a client, which holds up the event loop for 40 ms on an
 * idle machine and 200 on a busy one, at the moment when there is something urgent to post.
 */
import http from "node:http";
import https from "node:https";

export interface Poster {
  /** The status of one call to an http or https address. Rejects without a whole answer within the deadline. */
  post(url: string, body: Buffer): Promise<number>;
  close(): void;
}

/** @param answerWithinMs deadline of a call */
export function openPoster(answerWithinMs = 10_000): Poster {
  const plain = { request: http.request, agent: new http.Agent({ keepAlive: true }) };
  const secure = { request: https.request, agent: new https.Agent({ keepAlive: true }) };
  return {
    post: (url, body) =>
      new Promise((resolve, reject) => {
        const { request, agent } = url.startsWith("https:") ? secure : plain;
        const headers = { "content-type": "application/json", "content-length": body.length };
        const call = request(url, { method: "POST", agent, headers }, (answer) => {
          answer.resume();
          answer.once("end", () => resolve(answer.statusCode ?? 0));
          answer.once("error", reject);
        });
        // Of the whole call: a socket's own timeout begins anew with each byte.
        const deadline = setTimeout(() => {
          reject(new Error(`no answer in ${answerWithinMs} ms`));
          call.destroy();
        }, answerWithinMs);
        call.once("close", () => clearTimeout(deadline));
        call.once("error", reject);
        call.end(body);
      }),
    close() {
      plain.agent.destroy();
      secure.agent.destroy();
    },
  };
}
